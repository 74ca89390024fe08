/**
 * A trained network read from an ONNX file, normalised, and graphs written back to files.
 *
 * `read` refuses what it cannot represent faithfully, naming every node; `survey` reads as much as it can and lists
 * the rest, for looking at a file.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import type { ModelProto } from "onnx-buf"
import { ModelProtoSchema, TensorProto_DataType, ValueInfoProtoSchema } from "onnx-buf"
import type { Shape } from "./ir/Dim.ts"
import type { Graph } from "./ir/Graph.ts"
import { Refusal, refuse } from "./ir/Refusal.ts"
import type { DType } from "./ir/Tensor.ts"
import { bytes as bytesOf, isFill, isFloat, isKept } from "./ir/Tensor.ts"
import type { Tensor } from "./ir/Tensor.ts"
import {
  isFolder,
  open as openFolder,
  positionsOf as positionsIn,
  read as readFolder
} from "./folder/folder.ts"
import { pairs } from "./onnx/cache.ts"
import { externalIn, externalLoader } from "./onnx/external.ts"
import { MalformedModel, ModelFileError, UnsupportedModel } from "./onnx/errors.ts"
import type { UnsupportedNode } from "./onnx/errors.ts"
import { readModel } from "./onnx/read.ts"
import type { WrittenTypes } from "./onnx/elementTypes.ts"
import type { Quantization } from "./onnx/recognise.ts"
import { recognise } from "./onnx/recognise.ts"
import { writeModel } from "./onnx/write.ts"
import type { Grid } from "./onnx/grids.ts"
import type { ReadResult } from "./onnx/reading.ts"
import { normalize } from "./passes/normalize.ts"
import { type Unrounded, unround } from "./passes/unround.ts"
import { layersOf, unweighted } from "./work/Layer.ts"

export { isFolder } from "./folder/folder.ts"
export { MalformedModel, ModelFileError, UnsupportedModel } from "./onnx/errors.ts"
export type { UnsupportedNode } from "./onnx/errors.ts"
export type { Grid } from "./onnx/grids.ts"
export type { Quantization, QuantizationKind, QuantizedLayer } from "./onnx/recognise.ts"
export type { Rounding } from "./passes/unround.ts"

export interface Model {
  readonly name: string
  readonly file: string
  /** Hex digest of the file and of the external data it names, in the order they are read. */
  readonly sha256: string
  readonly opset: number
  /** Normalised: evaluation mode, constants folded, BatchNormalization and biases inside products. */
  readonly graph: Graph
  /** Empty after `read`. */
  readonly unsupported: ReadonlyArray<UnsupportedNode>
  /** Nodes kept as the file has them, because no table knows them: no gradient passes, costs are bytes moved. */
  readonly carried: ReadonlyArray<UnsupportedNode>
  /** Results of nodes of `unsupported` that would be carried if `ReadOptions.observed` gave their shapes. */
  readonly unshaped: ReadonlyArray<string>
  /** How the file's weights are quantized already, if they are. */
  readonly quantization: Quantization | undefined
  /** The float network in a quantized one, and the formats that it is rounded to; undefined where it is float. */
  readonly unquantized: Unquantized | undefined
  /** Sentences about what was read in another way than a reader of the file might expect. */
  readonly notes: ReadonlyArray<string>
  /** Input dimensions that are open (`ReadOptions.keepOpen`), or have the window's size (`ReadOptions.window`), by name. */
  readonly openDims: ReadonlyArray<string>
  /** Input dimensions that the file leaves open and `ReadOptions.dims` gave a size, by name. */
  readonly boundDims: ReadonlyArray<string>
}

export interface Unquantized extends Unrounded {
  /** Codes that constants of the graph stand for, by the constant's name. */
  readonly codes: ReadonlyMap<string, Grid>
}

export interface ReadOptions {
  /** Sizes of named input dimensions that are not the batch, and values of inputs that are one number, by their names. */
  readonly dims?: ReadonlyMap<string, number>
  /** Tokens of a text that are seen at once: the size of the second dimension of token inputs that leave it open. */
  readonly window?: number | undefined
  /**
   * Whether input dimensions without a size stay open, which is enough to pack weights and to run; else they are an
   * error, because costs and gradients need numbers.
   */
  readonly keepOpen?: boolean
  /** Bytes of weights in float32 up to which a folder's matrices are held in memory; as many as a file may have when absent. */
  readonly holdUpTo?: number
  /**
   * Types and shapes that a run of the file showed, by value; asked for where nothing else tells them
   * (`Model.unshaped`). Dimensions may be multiples of the batch; numbers are taken for guesses.
   */
  readonly observed?: ReadonlyMap<string, { readonly dtype: DType; readonly shape: Shape }>
}

const LARGEST_FILE_BYTES = 2 ** 31

/**
 * NaN anywhere, or an infinite weight, makes every later figure meaningless. Masks may hold -Infinity. Weights that stay in
 * their files were looked at there.
 */
const checkFinite = (graph: Graph): void => {
  const weights = new Set(layersOf(graph).map(({ weight }) => weight))
  for (const [name, { dtype, data }] of graph.constants) {
    if (!isFloat(dtype) || isKept(data)) continue
    const list = isFill(data) ? [data.fill] : data
    const bad = weights.has(name)
      ? list.findIndex((x) => !Number.isFinite(x))
      : list.findIndex((x) => Number.isNaN(x))
    if (bad >= 0)
      refuse(`constant ${name} holds ${list[bad]} at element ${bad}; the training run has probably diverged`)
  }
}

/** The graph without those of some inputs that nothing reads. */
const withoutUnread = (graph: Graph, candidates: ReadonlySet<string>): Graph => {
  const read = new Set(graph.nodes.flatMap(({ inputs }) => inputs))
  return { ...graph, inputs: graph.inputs.filter(({ name }) => read.has(name) || !candidates.has(name)) }
}

/** The carried nodes, with why. */
const carriedOf = (graph: Graph): ReadonlyArray<UnsupportedNode> =>
  graph.nodes.flatMap(({ op, name, attributes }) => {
    if (op !== "Opaque") return []
    const { domain, opType, why } = attributes
    return [{ node: name, op: domain === "" ? opType : `${domain}.${opType}`, why }]
  })

/**
 * What a quantized file was made from, as far as it can be told; codes of weights that a pass changed are none any more. Codes
 * of what is no layer's weights are arithmetic on integers, which float networks have, too.
 */
const unquantizedOf = (read: ReadResult): Unquantized | undefined => {
  const unrounded = unround(read.graph)
  if (read.grids.size === 0 && unrounded.rounded.size === 0) return undefined
  const graph = normalize(unrounded.graph)
  const weights = new Set(layersOf(graph).map(({ weight }) => weight))
  const codes = [...read.grids].filter(
    ([name]) => weights.has(name) && graph.constants.get(name) === read.graph.constants.get(name)
  )
  if (codes.length === 0 && unrounded.rounded.size === 0) return undefined
  return { ...unrounded, graph, codes: new Map(codes) }
}

const parseProto = (bytes: Uint8Array): ModelProto => {
  try {
    return fromBinary(ModelProtoSchema, bytes)
  } catch {
    // The parser's own message speaks of varints and wire types; what it means is this.
    return refuse("is not an ONNX model, or is damaged or truncated")
  }
}

/**
 * The model in `bytes`; `file` names it in messages and locates external data. `beside`: constants that the bytes lack, and
 * what tells them from others.
 */
export const decode = (
  bytes: Uint8Array,
  file: string,
  options: ReadOptions = {},
  beside?: { readonly constants: ReadonlyMap<string, Tensor>; readonly sha256: string }
): Effect.Effect<Model, MalformedModel> =>
  Effect.try({
    try: () => {
      const hash = createHash("sha256").update(bytes)
      if (beside !== undefined) hash.update(beside.sha256)
      const proto = parseProto(bytes)
      if (proto.graph === undefined || proto.irVersion === 0n)
        return refuse("is not an ONNX model (it contains no graph)")
      const loadExternal = externalLoader(file, (part) => hash.update(part))
      const read = readModel(proto, {
        loadExternal,
        beside: beside?.constants ?? new Map(),
        dims: options.dims ?? new Map(),
        window: options.window,
        keepOpen: options.keepOpen ?? false,
        observed: options.observed ?? new Map()
      })
      const whole = read.unsupported.length === 0 ? normalize(read.graph) : read.graph
      const graph = read.emptied.size === 0 ? whole : withoutUnread(whole, read.emptied)
      checkFinite(graph)
      return {
        name: path.basename(file).replace(/\.onnx$/, ""),
        file,
        sha256: hash.digest("hex"),
        opset: read.opset,
        graph,
        unsupported: read.unsupported,
        carried: carriedOf(graph),
        unshaped: read.unshaped,
        quantization: recognise(proto),
        unquantized: read.unsupported.length === 0 ? unquantizedOf(read) : undefined,
        notes: [...read.notes, ...unweighted(graph)],
        openDims: read.openDims,
        boundDims: read.boundDims
      }
    },
    catch: (cause) => {
      if (cause instanceof Refusal) return new MalformedModel({ file, why: cause.message })
      throw cause
    }
  })

/** Tokens that a language model was made for, where its folder says; a model read before has a sound one. */
export const positionsOf = ({ file }: Model): number | undefined =>
  isFolder(file) ? positionsIn(file) : undefined

/**
 * The files that a model is: its own and those that it keeps weights in, or all in its folder. A file that is named and is
 * not there is left out; reading the model tells of it.
 */
export const filesOf = Effect.fn("Model.filesOf")(function* (
  file: string
): Effect.fn.Return<ReadonlyArray<string>, ModelFileError | MalformedModel> {
  if (isFolder(file))
    return fs
      .readdirSync(file, { withFileTypes: true })
      .flatMap((entry) => (entry.isFile() ? [path.join(file, entry.name)] : []))
  const bytes = yield* readBytes(file)
  return yield* Effect.try({
    try: () => [
      file,
      ...[...externalIn(parseProto(bytes))]
        .map((location) => path.join(path.dirname(file), location))
        .filter((part) => fs.existsSync(part))
    ],
    catch: (cause) => {
      if (cause instanceof Refusal) return new MalformedModel({ file, why: cause.message })
      throw cause
    }
  })
})

const readBytes = (file: string): Effect.Effect<Uint8Array, ModelFileError> =>
  reading(file, () => {
    if (isFolder(file)) return readFolder(file)
    const { size } = fs.statSync(file)
    if (size >= LARGEST_FILE_BYTES) {
      return refuse(`has ${size} bytes; files from 2 GiB on are not read: store the weights as external data`)
    }
    return fs.readFileSync(file)
  })

const reading = <A>(file: string, read: () => A): Effect.Effect<A, ModelFileError> =>
  Effect.try({
    try: read,
    catch: (cause) => {
      const why =
        cause instanceof Refusal
          ? cause.message
          : `cannot be read: ${(cause as NodeJS.ErrnoException).code ?? cause}`
      return new ModelFileError({ file, why: why.replace("ENOENT", "no such file") })
    }
  })

/** Reads a model as far as possible; `unsupported` lists what is missing. */
export const survey = Effect.fn("Model.survey")(function* (file: string, options: ReadOptions = {}) {
  if (!isFolder(file)) return yield* decode(yield* readBytes(file), file, options)
  const { bytes, beside } = yield* reading(file, () => openFolder(file, options.holdUpTo))
  return yield* decode(bytes, file, options, beside)
})

/**
 * Bytes of float32 weights of a model that is too large to be held and run here, whose weights stay in their files
 * (`Tensor.Kept`); undefined of any other.
 */
export const tooLargeToHold = ({ graph }: Pick<Model, "graph">): number | undefined => {
  const constants = [...graph.constants.values()]
  return constants.some(({ data }) => isKept(data))
    ? constants.reduce((sum, constant) => sum + bytesOf(constant), 0)
    : undefined
}

/** Reads a model; any unsupported node is an error that lists all of them. */
export const read = Effect.fn("Model.read")(function* (file: string, options: ReadOptions = {}) {
  const model = yield* survey(file, options)
  if (model.unsupported.length > 0) return yield* new UnsupportedModel({ file, nodes: model.unsupported })
  return model
})

/**
 * The bytes of a file with some of its values as further outputs, so that a run shows their shapes
 * (`ReadOptions.observed`). Weights kept as external data are not part of them.
 */
export const exposing = Effect.fn("Model.exposing")(function* (
  file: string,
  values: ReadonlyArray<string>
): Effect.fn.Return<Uint8Array<ArrayBuffer>, ModelFileError | MalformedModel> {
  const bytes = yield* readBytes(file)
  return yield* Effect.try({
    try: () => {
      const proto = parseProto(bytes)
      if (proto.graph === undefined) return refuse("is not an ONNX model (it contains no graph)")
      const known = new Set(proto.graph.output.map(({ name }) => name))
      for (const name of values)
        if (!known.has(name)) proto.graph.output.push(create(ValueInfoProtoSchema, { name }))
      return toBinary(ModelProtoSchema, proto)
    },
    catch: (cause) => {
      if (cause instanceof Refusal) return new MalformedModel({ file, why: cause.message })
      throw cause
    }
  })
})

/** Types of floats that networks are analysed in float32 for, and that sessions are not fed. */
const otherFloats: ReadonlySet<number> = new Set([
  TensorProto_DataType.FLOAT16,
  TensorProto_DataType.BFLOAT16,
  TensorProto_DataType.DOUBLE
])

/** Why a session of the file's own bytes cannot be fed what one of the graph is, if it cannot. */
const unlike = (proto: ModelProto, graph: Graph): string | undefined => {
  const file = proto.graph
  if (file === undefined) return "it contains no graph"
  if (externalIn(proto).size > 0) return "it keeps weights in other files"
  const constants = new Set(file.initializer.map(({ name }) => name))
  const inputs = file.input.filter(({ name }) => !constants.has(name))
  const typed = [...inputs, ...file.output].find(
    ({ type }) => type?.value.case === "tensorType" && otherFloats.has(type.value.value.elemType)
  )
  if (typed !== undefined) return `${typed.name} is no float32`
  const names = (infos: typeof inputs) => infos.map(({ name }) => name)
  const fed = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...pairs(names(inputs), names(file.output)).map(({ past }) => past)
  ])
  const unfed = inputs.find(({ name }) => !fed.has(name))
  return unfed === undefined ? undefined : `its input ${unfed.name} is decided and not fed`
}

/**
 * The bytes of a model's file, where a session of them takes and gives what one of its graph does (`encode`): weights all
 * inside, float32 and the same inputs, caches aside; else why not.
 */
export const ownBytes = Effect.fn("Model.ownBytes")(function* ({ file, graph }: Model) {
  const bytes = yield* readBytes(file)
  return yield* Effect.try({
    try: () => {
      const why = unlike(parseProto(bytes), graph)
      return why === undefined ? { bytes } : { why }
    },
    catch: (cause) => {
      if (cause instanceof Refusal) return new MalformedModel({ file, why: cause.message })
      throw cause
    }
  })
})

/**
 * The graph as the bytes of an ONNX file: `analysed` computes in float32 throughout, which is what sessions are fed;
 * `file` has the float types of the file it came from, inputs and outputs included, as users want it back.
 */
export const encode = (graph: Graph, types: WrittenTypes = "analysed"): Uint8Array<ArrayBuffer> =>
  writeModel(graph, types)

/** Where constants begin in a file beside the model's: pages can be mapped. */
const PAGE_BYTES = 4096

/**
 * The same with large constants in a file of the name `location` beside it, which `write` gets from its beginning, constant
 * by constant, none held longer than it takes to write it.
 */
export const encodeBeside = (
  graph: Graph,
  location: string,
  write: (bytes: Uint8Array) => void
): Uint8Array<ArrayBuffer> => {
  let end = 0
  const append = (bytes: Uint8Array): number => {
    const offset = Math.ceil(end / PAGE_BYTES) * PAGE_BYTES
    if (offset > end) write(new Uint8Array(offset - end))
    write(bytes)
    end = offset + bytes.byteLength
    return offset
  }
  return writeModel(graph, "analysed", { location, append })
}

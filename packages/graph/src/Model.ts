/**
 * A trained network read from an ONNX file, normalised, and graphs written back to files.
 *
 * `read` refuses what it cannot represent faithfully, naming every node; `survey` reads as much as it can and lists
 * the rest, for looking at a file.
 */
import { fromBinary } from "@bufbuild/protobuf"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import type { ModelProto } from "onnx-buf"
import { ModelProtoSchema } from "onnx-buf"
import type { Graph } from "./ir/Graph.ts"
import { Refusal, refuse } from "./ir/Refusal.ts"
import { isFill, isFloat } from "./ir/Tensor.ts"
import { MalformedModel, ModelFileError, UnsupportedModel } from "./onnx/errors.ts"
import type { UnsupportedNode } from "./onnx/errors.ts"
import { readModel } from "./onnx/read.ts"
import type { LoadExternal } from "./onnx/tensorProto.ts"
import { writeModel } from "./onnx/write.ts"
import { normalize } from "./passes/normalize.ts"
import { layersOf } from "./work/Layer.ts"

export { MalformedModel, ModelFileError, UnsupportedModel } from "./onnx/errors.ts"
export type { UnsupportedNode } from "./onnx/errors.ts"

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
}

export interface ReadOptions {
  /** Sizes of named input dimensions that are not the batch. */
  readonly dims?: ReadonlyMap<string, number>
}

const LARGEST_FILE_BYTES = 2 ** 31

/** Reads parts of files in the model's own folder; anything outside is refused. */
const externalLoader = (modelFile: string, hash: (bytes: Uint8Array) => void): LoadExternal => {
  const folder = path.dirname(path.resolve(modelFile))
  return (location, offset, length) => {
    const file = path.resolve(folder, location)
    const outside = (candidate: string) =>
      path.relative(folder, candidate).startsWith("..") || path.isAbsolute(location)
    if (outside(file)) return refuse(`names external data outside the model's folder: ${location}`)
    if (!fs.existsSync(file))
      return refuse(`names the external data file ${location}, which is not beside the model`)
    const real = fs.realpathSync(file)
    if (path.relative(fs.realpathSync(folder), real).startsWith("..")) {
      return refuse(`names external data that links outside the model's folder: ${location}`)
    }
    const available = fs.statSync(real).size - offset
    const wanted = length ?? available
    if (wanted > available)
      return refuse(`needs ${wanted} bytes at ${offset} of ${location}, which has ${available} there`)
    const bytes = new Uint8Array(wanted)
    const descriptor = fs.openSync(real, "r")
    try {
      fs.readSync(descriptor, bytes, 0, wanted, offset)
    } finally {
      fs.closeSync(descriptor)
    }
    hash(bytes)
    return bytes
  }
}

/** NaN anywhere, or an infinite weight, makes every later figure meaningless. Masks may hold -Infinity. */
const checkFinite = (graph: Graph): void => {
  const weights = new Set(layersOf(graph).map(({ weight }) => weight))
  for (const [name, { dtype, data }] of graph.constants) {
    if (!isFloat(dtype)) continue
    const list = isFill(data) ? [data.fill] : data
    const bad = weights.has(name)
      ? list.findIndex((x) => !Number.isFinite(x))
      : list.findIndex((x) => Number.isNaN(x))
    if (bad >= 0)
      refuse(`constant ${name} holds ${list[bad]} at element ${bad}; the training run has probably diverged`)
  }
}

const parseProto = (bytes: Uint8Array): ModelProto => {
  try {
    return fromBinary(ModelProtoSchema, bytes)
  } catch {
    // The parser's own message speaks of varints and wire types; what it means is this.
    return refuse("is no ONNX model, or is damaged or truncated")
  }
}

/** The model in `bytes`; `file` names it in messages and locates external data. */
export const decode = (
  bytes: Uint8Array,
  file: string,
  options: ReadOptions = {}
): Effect.Effect<Model, MalformedModel> =>
  Effect.try({
    try: () => {
      const hash = createHash("sha256").update(bytes)
      const proto = parseProto(bytes)
      if (proto.graph === undefined || proto.irVersion === 0n)
        return refuse("is no ONNX model (it contains no graph)")
      const loadExternal = externalLoader(file, (part) => hash.update(part))
      const { graph, opset, unsupported } = readModel(proto, {
        loadExternal,
        dims: options.dims ?? new Map()
      })
      const normal = unsupported.length === 0 ? normalize(graph) : graph
      checkFinite(normal)
      const name = path.basename(file).replace(/\.onnx$/, "")
      return { name, file, sha256: hash.digest("hex"), opset, graph: normal, unsupported }
    },
    catch: (cause) => {
      if (cause instanceof Refusal) return new MalformedModel({ file, why: cause.message })
      throw cause
    }
  })

const readBytes = (file: string): Effect.Effect<Uint8Array, ModelFileError> =>
  Effect.try({
    try: () => {
      const { size } = fs.statSync(file)
      if (size >= LARGEST_FILE_BYTES) {
        return refuse(
          `has ${size} bytes; files from 2 GiB on are not read: store the weights as external data`
        )
      }
      return fs.readFileSync(file)
    },
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
  return yield* decode(yield* readBytes(file), file, options)
})

/** Reads a model; any unsupported node is an error that lists all of them. */
export const read = Effect.fn("Model.read")(function* (file: string, options: ReadOptions = {}) {
  const model = yield* survey(file, options)
  if (model.unsupported.length > 0) return yield* new UnsupportedModel({ file, nodes: model.unsupported })
  return model
})

/** The graph as the bytes of an ONNX file. */
export const encode = (graph: Graph): Uint8Array<ArrayBuffer> => writeModel(graph)

/**
 * ModelProto → Graph: one pass over the nodes in which every node is parsed, shaped and, where its inputs are
 * known, evaluated.
 *
 * A node that cannot be read does not end the pass: what depends on it is left out and all faults are reported
 * together. Shapes declared in the file are used only for inputs; everything else is computed.
 */
import type { GraphProto, ModelProto, NodeProto, ValueInfoProto } from "onnx-buf"
import type { Dim } from "../ir/Dim.ts"
import { batchDim } from "../ir/Dim.ts"
import { foldNode } from "../ir/fold.ts"
import type { AnyNode, Graph, Value } from "../ir/Graph.ts"
import { node } from "../ir/Graph.ts"
import type { Known } from "../ir/Known.ts"
import { toTensor } from "../ir/Known.ts"
import type { Op } from "../ir/Op.ts"
import { Refusal, refuse } from "../ir/Refusal.ts"
import { inferNode } from "../ir/shapes.ts"
import type { Tensor } from "../ir/Tensor.ts"
import { AttributeReader } from "./attributes.ts"
import type { UnsupportedNode } from "./errors.ts"
import { legacyOps } from "./legacy.ts"
import { parsers } from "./parse.ts"
import type { Parse, RawNode } from "./rawNode.ts"
import type { LoadExternal } from "./tensorProto.ts"
import { dtypeOf, readTensor } from "./tensorProto.ts"

export const OLDEST_OPSET = 7
export const NEWEST_OPSET = 25

export interface ReadOptions {
  readonly loadExternal: LoadExternal
  /** Sizes for named dimensions of the inputs. Unbound, a first dimension is the batch; any other is an error. */
  readonly dims: ReadonlyMap<string, number>
}

export interface ReadResult {
  readonly graph: Graph
  readonly opset: number
  /** Nodes that could not be read; the graph lacks them and everything that depends on them. */
  readonly unsupported: ReadonlyArray<UnsupportedNode>
}

const isOp = (opType: string): opType is Op => Object.hasOwn(parsers, opType)

const opsetOf = (model: ModelProto): number => {
  const version = model.opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version
  if (version === undefined) return refuse("imports no ONNX opset")
  const opset = Number(version)
  if (opset < OLDEST_OPSET || opset > NEWEST_OPSET) {
    refuse(
      `is written in opset ${opset}; opsets ${OLDEST_OPSET} to ${NEWEST_OPSET} are read: convert it to one of them`
    )
  }
  return opset
}

/** Shape and dtype of a graph input; a symbolic or missing first dimension is the batch. */
const readInput = (info: ValueInfoProto, options: ReadOptions): Value => {
  const type = info.type?.value
  if (type?.case !== "tensorType") return refuse(`input ${info.name} is no tensor`)
  const { shape, elemType } = type.value
  if (shape === undefined)
    return refuse(`input ${info.name} has no shape; export the model with its input shapes`)
  const dims = shape.dim.map(({ value }, i): Dim => {
    if (value.case === "dimValue" && value.value > 0n) return Number(value.value)
    const symbol = value.case === "dimParam" ? value.value : ""
    const bound = options.dims.get(symbol)
    if (bound !== undefined) return bound
    if (i === 0) return batchDim()
    const name = symbol === "" ? `${info.name}:${i}` : symbol
    const byPosition = options.dims.get(`${info.name}:${i}`)
    return (
      byPosition ??
      refuse(`dimension ${i} of input ${info.name} has no fixed size; bind it with --dim ${name}=<size>`)
    )
  })
  return { name: info.name, dtype: dtypeOf(elemType), shape: dims }
}

class Reader {
  readonly #values = new Map<string, Value>()
  readonly #known = new Map<string, Known>()
  readonly #aliases = new Map<string, string>()
  readonly #nodes: Array<AnyNode> = []
  readonly #names = new Set<string>()
  readonly #unreadable = new Set<string>()
  readonly #unsupported: Array<UnsupportedNode> = []
  readonly #proto: GraphProto
  readonly #opset: number
  readonly #options: ReadOptions

  constructor(proto: GraphProto, opset: number, options: ReadOptions) {
    this.#proto = proto
    this.#opset = opset
    this.#options = options
  }

  read(): ReadResult {
    for (const proto of this.#proto.initializer) this.#constant(proto.name, this.#readConstant(proto))
    if (this.#proto.sparseInitializer.length > 0) refuse("has sparse initializers, which are not supported")
    const inputs = this.#proto.input
      .filter(({ name }) => !this.#values.has(name))
      .map((info) => readInput(info, this.#options))
    for (const value of inputs) this.#values.set(value.name, value)
    this.#proto.node.forEach((proto, i) => this.#node(proto, i))
    const outputs = this.#proto.output.map(({ name }) => name).filter((name) => this.#output(name))
    return { graph: this.#graph(inputs, outputs), opset: this.#opset, unsupported: this.#unsupported }
  }

  #readConstant(proto: GraphProto["initializer"][number]): Tensor {
    try {
      return readTensor(proto, this.#options.loadExternal)
    } catch (cause) {
      if (cause instanceof Refusal) return refuse(`constant ${proto.name} ${cause.message}`)
      throw cause
    }
  }

  #constant(name: string, known: Known): void {
    this.#values.set(name, { name, dtype: known.dtype, shape: known.shape })
    this.#known.set(name, known)
  }

  /** Follows values that are only passed on (Identity, Dropout). */
  #resolve(name: string): string {
    return this.#aliases.get(name) ?? name
  }

  #uniqueName(wanted: string): string {
    let name = wanted
    for (let i = 1; this.#names.has(name); i++) name = `${wanted}_${i}`
    this.#names.add(name)
    return name
  }

  #node(proto: NodeProto, index: number): void {
    const name = proto.name === "" ? `${proto.opType}_${index}` : proto.name
    // What depends on an unreadable node is unreadable too, and reported once: where it began.
    if (proto.input.some((input) => this.#unreadable.has(this.#resolve(input)))) {
      for (const output of proto.output) this.#unreadable.add(output)
      return
    }
    try {
      this.#readNode(proto, name)
    } catch (cause) {
      if (!(cause instanceof Refusal)) throw cause
      const op = proto.domain === "" ? proto.opType : `${proto.domain}.${proto.opType}`
      this.#unsupported.push({ node: name, op, why: cause.message })
      for (const output of proto.output) this.#unreadable.add(output)
    }
  }

  #readNode(proto: NodeProto, name: string): void {
    const attributes = new AttributeReader(proto, this.#options.loadExternal)
    if (proto.domain !== "" && proto.domain !== "ai.onnx")
      refuse(`operators of the domain ${proto.domain} are not supported`)
    if (proto.opType === "Constant") {
      this.#constant(proto.output[0]!, attributes.constant())
      return
    }
    const inputs = proto.input.map((input) => this.#resolve(input))
    const outputs = proto.output.filter((output, i) => output !== "" || i === 0)
    const rewrite = legacyOps.get(proto.opType)
    const steps = rewrite?.({ inputs, outputs }) ?? [{ opType: proto.opType, inputs, outputs }]
    for (const step of steps) {
      // Upsample keeps its name for the row that reads both generations' arguments.
      const opType = proto.opType === "Upsample" ? proto.opType : step.opType
      const raw: RawNode = {
        ...step,
        opType,
        name,
        attributes,
        opset: this.#opset,
        valueOf: (value) => this.#values.get(value) ?? refuse(`reads ${value}, which no earlier node makes`),
        knownOf: (value) => this.#known.get(value)
      }
      this.#readStep(raw, step.opType)
    }
  }

  #readStep(raw: RawNode, opType: string): void {
    if (opType === "Identity") {
      this.#aliases.set(raw.outputs[0]!, raw.valueOf(raw.inputs[0]!).name)
      return
    }
    if (!isOp(opType)) return refuse("no such operator is known to bitbudget")
    const parsed = (parsers[opType] as Parse<Op>)(raw)
    const inputs = raw.inputs.slice(0, parsed.inputs)
    const read = node(opType, this.#uniqueName(raw.name), inputs, raw.outputs, parsed.attributes)
    const results = inferNode(
      read,
      inputs.map((input) => (input === "" ? undefined : raw.valueOf(input)))
    )
    if (raw.outputs.length > results.length)
      refuse(`uses ${raw.outputs.length} outputs; only ${results.length} supported`)
    raw.outputs.forEach((name, i) => this.#values.set(name, { ...results[i]!, name }))
    const known = this.#evaluate(read, results[0]!)
    if (known === undefined) this.#nodes.push(read)
    else this.#known.set(raw.outputs[0]!, known)
    // Values that depend on the batch size stay nodes too, in case something reads them as data.
    if (known !== undefined && toTensor(known) === undefined) this.#nodes.push(read)
  }

  #evaluate(
    read: AnyNode,
    result: { readonly dtype: Value["dtype"]; readonly shape: Value["shape"] }
  ): Known | undefined {
    if (read.op === "Shape") {
      const shape = this.#values.get(read.inputs[0]!)!.shape
      const data = shape.slice(read.attributes.start, read.attributes.end)
      return { dtype: "int64", shape: [data.length], data }
    }
    const inputs = read.inputs.map((input) => this.#known.get(input))
    return inputs.every((known) => known !== undefined) ? foldNode(read, inputs, result) : undefined
  }

  /** Whether the network's output could be read; passed-on or constant outputs get a node that makes them. */
  #output(name: string): boolean {
    const source = this.#resolve(name)
    if (this.#unreadable.has(source)) return false
    const value = this.#values.get(source) ?? refuse(`output ${name} is made by no node`)
    if (source === name && !this.#known.has(name)) return true
    const wanted = source === name ? `${name}/constant` : source
    if (source === name) this.#constant(wanted, this.#known.get(name)!)
    this.#nodes.push(node("Identity", this.#uniqueName(`${name}/Identity`), [wanted], [name], {}))
    this.#values.set(name, { ...value, name })
    return true
  }

  #graph(inputs: ReadonlyArray<Value>, outputs: ReadonlyArray<string>): Graph {
    const constants = new Map<string, Tensor>()
    const made = new Set(this.#nodes.flatMap(({ outputs }) => outputs))
    for (const [name, known] of this.#known) {
      const constant = toTensor(known)
      if (constant !== undefined && !made.has(name)) constants.set(name, constant)
    }
    return { name: this.#proto.name, inputs, outputs, nodes: this.#nodes, values: this.#values, constants }
  }
}

/** Throws a Refusal where the file as a whole cannot be read. */
export const readModel = (model: ModelProto, options: ReadOptions): ReadResult => {
  const opset = opsetOf(model)
  if (model.graph === undefined) return refuse("contains no graph")
  return new Reader(model.graph, opset, options).read()
}

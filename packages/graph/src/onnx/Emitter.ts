/** Collects the nodes and initializers of a file while it is written; names of its own do not clash with the graph's. */
import { create, fromBinary } from "@bufbuild/protobuf"
import type { NodeProto, TensorProto } from "onnx-buf"
import { NodeProtoSchema } from "onnx-buf"
import type { BatchDim, Shape } from "../ir/Dim.ts"
import { isBatch, isOpen, isStatic, isStaticShape } from "../ir/Dim.ts"
import type { AnyNode, Graph } from "../ir/Graph.ts"
import { valueOf } from "../ir/Graph.ts"
import type { DType, Tensor } from "../ir/Tensor.ts"
import { bytes, int64, isFill, isFloat, tensor, values } from "../ir/Tensor.ts"
import type { AttributeValue } from "./attributes.ts"
import type { ElementTypes } from "./elementTypes.ts"
import { writeAttribute } from "./attributes.ts"
import { madeInside, subgraphsOf } from "./scope.ts"
import { protoType, writeExternally, writeTensor } from "./tensorProto.ts"
import type { ExternalData } from "./tensorProto.ts"

/** Names made inside a carried node's subgraphs, which outer ones must not hide. */
const namesInside = (node: AnyNode): ReadonlyArray<string> =>
  node.op === "Opaque"
    ? subgraphsOf(fromBinary(NodeProtoSchema, node.attributes.proto)).flatMap((graph) =>
        Array.from(madeInside(graph))
      )
    : []

/** A filled constant is written as a node where that is smaller than this many bytes of data. */
const FILL_AS_NODE_BYTES = 1024

/** Constants from so many bytes on go into the file beside the model's, where there is one. */
const EXTERNAL_BYTES = 1024

export class Emitter {
  readonly nodes: Array<NodeProto> = []
  readonly initializers: Array<TensorProto> = []
  readonly #graph: Graph
  readonly #types: ElementTypes
  readonly #shared = new Map<string, string>()
  /** Name of each value in each type it has been asked for. */
  readonly #typed = new Map<string, string>()
  readonly #taken: Set<string>
  readonly #external: ExternalData | undefined
  #computing: DType = "float32"
  #batch: string | undefined
  #fresh = 0

  constructor(graph: Graph, types: ElementTypes, external?: ExternalData) {
    this.#graph = graph
    this.#external = external
    this.#types = types
    this.#taken = new Set([...graph.values.keys(), ...graph.nodes.flatMap(namesInside)])
  }

  /** The float type the node being written computes in: what its arguments are written in. */
  computing(dtype: DType): void {
    this.#computing = dtype
  }

  dtype(name: string): DType {
    const { dtype } = valueOf(this.#graph, name)
    return isFloat(dtype) ? this.#computing : dtype
  }

  isFloat(name: string): boolean {
    return isFloat(valueOf(this.#graph, name).dtype)
  }

  #name(hint: string): string {
    let name: string
    do name = `${hint}_${this.#fresh++}`
    while (this.#taken.has(name))
    return name
  }

  /** `wanted`, or the first `wanted_1`, … that no value has. */
  fresh(wanted: string): string {
    let name = wanted
    for (let i = 1; this.#taken.has(name); i++) name = `${wanted}_${i}`
    this.#taken.add(name)
    return name
  }

  cast(from: string, to: string, dtype: DType): void {
    this.node("Cast", to, [from], [to], { to: { int: protoType(dtype) } })
  }

  /** The name of a value in an element type: its own, or that of a cast. Constants are written when first read. */
  as(name: string, dtype: DType | undefined): string {
    const constant = this.#graph.constants.get(name)
    if (constant === undefined) {
      const own = this.#types.of(name)
      return dtype === undefined || dtype === own
        ? name
        : this.#once(`${dtype} ${name}`, () => {
            const made = this.fresh(`${name}/${dtype}`)
            this.cast(name, made, dtype)
            return made
          })
    }
    const wanted = dtype ?? this.#types.of(name)
    return this.#once(`${wanted} ${name}`, () => {
      // The first form has the constant's own name.
      const written = this.#once(`first ${name}`, () => `${wanted} ${name}`) === `${wanted} ${name}`
      const made = written ? name : this.fresh(`${name}/${wanted}`)
      this.#named(made, { ...constant, dtype: wanted })
      return made
    })
  }

  #once(key: string, make: () => string): string {
    const made = this.#typed.get(key) ?? make()
    this.#typed.set(key, made)
    return made
  }

  node(
    opType: string,
    name: string,
    inputs: ReadonlyArray<string>,
    outputs: ReadonlyArray<string>,
    attributes: Readonly<Record<string, AttributeValue>> = {}
  ): void {
    const lastUsed = inputs.findLastIndex((input) => input !== "")
    this.nodes.push(
      create(NodeProtoSchema, {
        opType,
        name,
        input: inputs.slice(0, lastUsed + 1),
        output: [...outputs],
        attribute: Object.entries(attributes).map(([key, value]) => writeAttribute(key, value))
      })
    )
  }

  #named(name: string, constant: Tensor): void {
    if (isFill(constant.data) && bytes(constant) > FILL_AS_NODE_BYTES) {
      const value = tensor(constant.dtype, [1], [constant.data.fill])
      this.node("ConstantOfShape", `${name}/fill`, [this.ints(constant.shape)], [name], {
        value: { tensor: value }
      })
    } else
      this.initializers.push(
        this.#external === undefined || bytes(constant) < EXTERNAL_BYTES
          ? writeTensor(name, constant)
          : writeExternally(name, constant, this.#external)
      )
  }

  /** A small constant; equal ones are shared. Returns its name. */
  constant(constant: Tensor): string {
    const data = isFill(constant.data) ? [constant.data.fill] : [...values(constant)]
    const key = `${constant.dtype}[${constant.shape.join(",")}]${data.join(",")}`
    const existing = this.#shared.get(key)
    if (existing !== undefined) return existing
    const name = this.#name("constant")
    this.#shared.set(key, name)
    this.initializers.push(writeTensor(name, constant))
    return name
  }

  ints(list: ReadonlyArray<number>): string {
    return this.constant(int64([list.length], list))
  }

  /** The batch size as a vector of one, read off the first input that has it. */
  #batchVector(): string {
    if (this.#batch !== undefined) return this.#batch
    const input = this.#graph.inputs.find(({ shape }) => shape.some(isBatch))
    if (input === undefined)
      throw new Error(`graph ${this.#graph.name} has a batch dimension but no input has one`)
    const at = input.shape.findIndex(isBatch)
    const size = this.#name("batch_size")
    this.node("Shape", size, [input.name], [size], { start: { int: at }, end: { int: at + 1 } })
    this.#batch = this.#scaled(size, 1 / (input.shape[at] as BatchDim).batch)
    return this.#batch
  }

  #scaled(vector: string, factor: number): string {
    if (factor === 1) return vector
    const name = this.#name("batch_multiple")
    const op = factor > 1 ? "Mul" : "Div"
    this.node(op, name, [vector, this.ints([Math.round(factor > 1 ? factor : 1 / factor)])], [name])
    return name
  }

  /** A shape as an int64 vector, computed in the file where it contains the batch size. */
  dims(shape: Shape): string {
    if (isStaticShape(shape)) return this.ints(shape)
    const parts = shape.map((dim) => {
      if (isOpen(dim)) throw new Error("a shape with open dimensions is carried, not printed")
      return isStatic(dim) ? this.ints([dim]) : this.#scaled(this.#batchVector(), dim.batch)
    })
    const name = this.#name("shape")
    this.node("Concat", name, parts, [name], { axis: { int: 0 } })
    return name
  }

  /** A multiple of the batch size as a scalar. */
  scalarDim(dim: BatchDim, dtype: DType): string {
    const name = this.#name("batch_scalar")
    this.node("Squeeze", name, [this.#scaled(this.#batchVector(), dim.batch), this.ints([0])], [name])
    if (dtype === "int64") return name
    const cast = this.#name("batch_cast")
    this.node("Cast", cast, [name], [cast], { to: { int: protoType(dtype) } })
    return cast
  }
}

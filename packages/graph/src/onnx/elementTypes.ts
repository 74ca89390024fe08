/**
 * Which float type every value is written in: float32 as analysed, or the file's own, with casts where neighbours
 * differ.
 *
 * Values the file had keep its type; what a rewrite added follows the first activation it is made of. Quantizing
 * and dequantizing are always done in float32, so that scales keep their precision.
 */
import type { AnyNode, Graph } from "../ir/Graph.ts"
import { valueOf } from "../ir/Graph.ts"
import type { DType } from "../ir/Tensor.ts"
import { isFloat } from "../ir/Tensor.ts"

export type WrittenTypes = "analysed" | "file"

const alwaysFloat32: ReadonlySet<AnyNode["op"]> = new Set<AnyNode["op"]>([
  "QuantizeLinear",
  "DequantizeLinear",
  "OneHot",
  "NonMaxSuppression"
])

/** Nodes whose first input may be of any type, whatever the result. */
const anyInput: ReadonlySet<AnyNode["op"]> = new Set<AnyNode["op"]>(["Cast", "Shape"])

export class ElementTypes {
  readonly #graph: Graph
  readonly #types = new Map<string, DType>()

  constructor(graph: Graph, wanted: WrittenTypes) {
    this.#graph = graph
    if (wanted === "analysed" || graph.stored === undefined) return
    for (const [name, type] of graph.stored) {
      const value = graph.values.get(name)
      if (value?.dtype === "float32") this.#types.set(name, type)
    }
    for (const node of graph.nodes) {
      for (const output of node.outputs) {
        if (this.#types.has(output) || graph.values.get(output)?.dtype !== "float32") continue
        if (node.op !== "Opaque" && !alwaysFloat32.has(node.op)) this.#types.set(output, this.#source(node))
      }
    }
  }

  /** The type of the first activation a node reads. */
  #source(node: AnyNode): DType {
    if (node.op === "Cast") return "float32"
    const name = node.inputs.find(
      (input) =>
        input !== "" && !this.#graph.constants.has(input) && isFloat(valueOf(this.#graph, input).dtype)
    )
    return name === undefined ? "float32" : this.of(name)
  }

  /** The type a value is written in. A constant has none of its own: it is written as its readers want it. */
  of(name: string): DType {
    return this.#types.get(name) ?? valueOf(this.#graph, name).dtype
  }

  /** The type a node wants its `index`-th input in; undefined: as it is. */
  wanted(node: AnyNode, index: number): DType | undefined {
    const input = node.inputs[index] ?? ""
    if (input === "" || !isFloat(valueOf(this.#graph, input).dtype)) return undefined
    if (node.op === "Opaque") {
      const type = node.attributes.inputTypes[index]
      return type !== undefined && isFloat(type) ? type : undefined
    }
    if (anyInput.has(node.op)) return undefined
    return this.operands(node)
  }

  /** The float type a node computes in. */
  operands(node: AnyNode): DType {
    if (alwaysFloat32.has(node.op)) return "float32"
    const result = node.outputs.find((output) => output !== "" && isFloat(valueOf(this.#graph, output).dtype))
    return result === undefined ? this.#source(node) : this.of(result)
  }

  /** The type a node makes its `index`-th result in. */
  made(node: AnyNode, index: number): DType {
    const { dtype } = valueOf(this.#graph, node.outputs[index]!)
    if (!isFloat(dtype)) return dtype
    if (node.op === "Opaque") return node.attributes.results[index]!.dtype
    return node.op === "Cast" ? this.of(node.outputs[index]!) : this.operands(node)
  }
}

/**
 * Networks that are quantized already, told by their operators: by quantize-dequantize pairs, by integer operators,
 * by quantization at run time, or by packed weights of ONNX Runtime's own domain. Nothing is judged by names.
 */
import type { ModelProto, NodeProto, TensorProto } from "onnx-buf"
import { TensorProto_DataType as Type } from "onnx-buf"
import { subgraphsOf } from "./scope.ts"

export type QuantizationKind = "QDQ" | "QOperator" | "dynamic" | "weight-only"

/** A product whose weights the file keeps in few bits. */
export interface QuantizedLayer {
  /** The node's name. */
  readonly node: string
  readonly op: string
  /** Bits a weight is stored in. */
  readonly weightBits: number
  /** Bits of the activations it reads; undefined: they are floats. */
  readonly activationBits: number | undefined
}

export interface Quantization {
  /** All forms that occur, most frequent first. */
  readonly kinds: ReadonlyArray<QuantizationKind>
  readonly layers: ReadonlyArray<QuantizedLayer>
}

const bitsOfType: Readonly<Record<number, number>> = {
  [Type.INT8]: 8,
  [Type.UINT8]: 8,
  [Type.INT16]: 16,
  [Type.UINT16]: 16,
  [Type.INT4]: 4,
  [Type.UINT4]: 4,
  [Type.INT2]: 2,
  [Type.UINT2]: 2
}

/** Which input holds the weights, and which the activations, of operators that compute with integers. */
const integerOps: Readonly<
  Record<string, readonly [kind: QuantizationKind, weight: number, activation: number]>
> = {
  QLinearConv: ["QOperator", 3, 0],
  QLinearMatMul: ["QOperator", 3, 0],
  QGemm: ["QOperator", 3, 0],
  QAttention: ["QOperator", 1, 0],
  ConvInteger: ["dynamic", 1, 0],
  MatMulInteger: ["dynamic", 1, 0],
  DynamicQuantizeMatMul: ["dynamic", 1, 0],
  MatMulIntegerToFloat: ["dynamic", 1, 0],
  DynamicQuantizeLSTM: ["dynamic", 1, 0]
}

const products: ReadonlySet<string> = new Set(["Conv", "ConvTranspose", "Gemm", "MatMul", "Gather"])

const recurrent: ReadonlySet<string> = new Set(["LSTM", "GRU", "RNN"])

/** Nodes that only move or widen a constant on its way from storage to use. */
const passing: ReadonlySet<string> = new Set([
  "Identity",
  "Cast",
  "Transpose",
  "Reshape",
  "Squeeze",
  "Unsqueeze",
  "Mul",
  "Flatten",
  "Min"
])

const allNodes = (nodes: ReadonlyArray<NodeProto>): ReadonlyArray<NodeProto> =>
  nodes.flatMap((node) => [node, ...subgraphsOf(node).flatMap((graph) => allNodes(graph.node))])

class Recogniser {
  readonly #makers = new Map<string, NodeProto>()
  readonly #constants = new Map<string, TensorProto>()

  constructor(nodes: ReadonlyArray<NodeProto>, initializers: ReadonlyArray<TensorProto>) {
    for (const constant of initializers) this.#constants.set(constant.name, constant)
    for (const node of nodes) {
      for (const output of node.output) this.#makers.set(output, node)
      const value =
        node.opType === "Constant" ? node.attribute.find(({ name }) => name === "value")?.t : undefined
      if (value !== undefined) this.#constants.set(node.output[0] ?? "", value)
    }
  }

  /** The dequantization a value comes from, through nodes that move it. */
  dequantizer(name: string, depth = 0): NodeProto | undefined {
    const maker = this.#makers.get(name)
    if (maker === undefined || depth > 8) return undefined
    if (maker.opType === "DequantizeLinear") return maker
    return passing.has(maker.opType) ? this.dequantizer(maker.input[0] ?? "", depth + 1) : undefined
  }

  /** Bits of a stored integer constant, through casts and a quantization of floats. */
  bits(name: string, depth = 0): number | undefined {
    const constant = this.#constants.get(name)
    if (constant !== undefined) return bitsOfType[constant.dataType]
    const maker = this.#makers.get(name)
    if (maker === undefined || depth > 8) return undefined
    if (maker.opType === "QuantizeLinear") return this.quantizedBits(maker)
    return passing.has(maker.opType) ? this.bits(maker.input[0] ?? "", depth + 1) : undefined
  }

  /** Bits a QuantizeLinear makes: its zero point's type, or the stated one. */
  quantizedBits(node: NodeProto): number {
    const zero = this.#constants.get(node.input[2] ?? "")
    const stated = node.attribute.find(({ name }) => name === "output_dtype")
    return bitsOfType[zero?.dataType ?? Number(stated?.i ?? Type.UINT8)] ?? 8
  }

  /** Bits of the activation behind a dequantization. */
  activationBits(name: string): number | undefined {
    const dequantizer = this.dequantizer(name)
    const quantizer = this.#makers.get(dequantizer?.input[0] ?? "")
    return quantizer?.opType === "QuantizeLinear" ? this.quantizedBits(quantizer) : undefined
  }

  isConstant(name: string, depth = 0): boolean {
    if (this.#constants.has(name)) return true
    const maker = this.#makers.get(name)
    if (maker === undefined || depth > 8) return false
    return (
      (passing.has(maker.opType) || maker.opType === "QuantizeLinear") &&
      this.isConstant(maker.input[0] ?? "", depth + 1)
    )
  }

  layer(node: NodeProto): readonly [QuantizationKind, QuantizedLayer] | undefined {
    const name = node.name === "" ? (node.output[0] ?? "") : node.name
    const integer = integerOps[node.opType]
    if (integer !== undefined) {
      const [kind, weight] = integer
      const weightBits = this.bits(node.input[weight] ?? "")
      if (weightBits === undefined) return undefined
      return [kind, { node: name, op: node.opType, weightBits, activationBits: 8 }]
    }
    if (node.opType === "MatMulNBits" || node.opType === "GatherBlockQuantized") {
      const bits = Number(node.attribute.find((a) => a.name === "bits")?.i ?? 4n)
      return ["weight-only", { node: name, op: node.opType, weightBits: bits, activationBits: undefined }]
    }
    if (recurrent.has(node.opType)) {
      const source = this.dequantizer(node.input[1] ?? "")?.input[0] ?? ""
      const weightBits = this.isConstant(source) ? this.bits(source) : undefined
      if (weightBits === undefined) return undefined
      return ["weight-only", { node: name, op: node.opType, weightBits, activationBits: undefined }]
    }
    if (!products.has(node.opType)) return undefined
    for (const [index, other] of [
      [1, 0],
      [0, 1]
    ] as const) {
      const dequantizer = this.dequantizer(node.input[index] ?? "")
      const source = dequantizer?.input[0] ?? ""
      const weightBits = dequantizer !== undefined && this.isConstant(source) ? this.bits(source) : undefined
      if (weightBits === undefined) continue
      const activationBits = this.activationBits(node.input[other] ?? "")
      const kind = activationBits === undefined ? "weight-only" : "QDQ"
      return [kind, { node: name, op: node.opType, weightBits, activationBits }]
    }
    return undefined
  }
}

/** How the file's products are quantized, or undefined where none is. */
export const recognise = (model: ModelProto): Quantization | undefined => {
  if (model.graph === undefined) return undefined
  const nodes = allNodes([...model.graph.node, ...model.functions.flatMap((f) => f.node)])
  const recogniser = new Recogniser(nodes, model.graph.initializer)
  const found = nodes.flatMap((node) => {
    const layer = recogniser.layer(node)
    return layer === undefined ? [] : [layer]
  })
  if (found.length === 0) return undefined
  const counts = new Map<QuantizationKind, number>()
  for (const [kind] of found) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return {
    kinds: [...counts].sort(([, a], [, b]) => b - a).map(([kind]) => kind),
    layers: found.map(([, layer]) => layer)
  }
}

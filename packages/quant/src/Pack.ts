/**
 * The deployable network: integer weights packed at their bit width behind DequantizeLinear, activations through
 * QuantizeLinear → DequantizeLinear pairs, all standard ONNX (opset 21; opset 25 where 2-bit types are used).
 *
 * A width without an ONNX type of its own is stored in the next wider one (3 → 4, 5…7 → 8 bits).
 */
import type { Graph, GraphBuilder, Layer } from "@bitbudget/graph"
import { Model, Tensor } from "@bitbudget/graph"
import type { Quantized } from "./Affine.ts"
import type { Formats, LayerFormat } from "./LayerFormat.ts"
import type { Ranges } from "./Ranges.ts"
import type { Activation } from "./rewriteLayers.ts"
import { rewriteLayers } from "./rewriteLayers.ts"
import { quantizeWeights, weightsOf } from "./Weights.ts"

const containers = [2, 4, 8, 16] as const
export type ContainerBits = (typeof containers)[number]

/** Bits an integer format takes in the file. */
export const containerBits = (bits: number): ContainerBits => {
  const found = containers.find((container) => bits <= container)
  if (found === undefined) throw new Error(`no ONNX type holds ${bits}-bit integers`)
  return found
}

const signedTypes = { 2: "int2", 4: "int4", 8: "int8", 16: "int16" } as const
const unsignedTypes = { 2: "uint2", 4: "uint4", 8: "uint8", 16: "uint16" } as const

/** ONNX element type of a format's codes. */
export const storedType = (bits: number, signed: boolean): Tensor.DType =>
  (signed ? signedTypes : unsignedTypes)[containerBits(bits)]

const dequantized = (builder: GraphBuilder, name: string, quantized: Quantized): string => {
  const { shape, bits, axis, codes, scales, zeroPoints } = quantized
  const dtype = storedType(bits, zeroPoints === undefined)
  const perTensor = scales.length === 1
  const parameterShape = perTensor ? [] : [scales.length]
  const inputs = [
    builder.constant(Tensor.tensor(dtype, shape, codes), `${name}/int${bits}`),
    builder.constant(Tensor.float32(parameterShape, scales), `${name}/scale`),
    ...(zeroPoints === undefined
      ? []
      : [builder.constant(Tensor.tensor(dtype, parameterShape, zeroPoints), `${name}/zero_point`)])
  ]
  return builder.add(
    "DequantizeLinear",
    inputs,
    { axis: perTensor ? 0 : axis, blockSize: 0 },
    { name: `${name}/dq` }
  )
}

const packedWeights =
  (graph: Graph.Graph) =>
  (builder: GraphBuilder, layer: Layer.Layer, format: LayerFormat): string => {
    const weights = weightsOf(graph, layer)
    if (format.precision.weights.kind === "int") {
      return dequantized(builder, layer.weight, quantizeWeights(weights, layer, format))
    }
    const half = Tensor.tensor("float16", weights.shape, Tensor.values(weights))
    const stored = builder.constant(half, `${layer.weight}/half`)
    return builder.add("Cast", [stored], { to: "float32" }, { name: `${layer.weight}/from_half` })
  }

const packedActivation = (builder: GraphBuilder, { value, bits, scale, zeroPoint }: Activation): string => {
  const dtype = storedType(bits, false)
  const step = builder.constant(Tensor.scalar("float32", scale), `${value}/scale`)
  const zero = builder.constant(Tensor.scalar(dtype, zeroPoint), `${value}/zero_point`)
  // The type's own range does not clip a narrower format; the values are clipped to it first.
  const top = 2 ** bits - 1
  const bounds = { min: Math.fround(-zeroPoint * scale), max: Math.fround((top - zeroPoint) * scale) }
  const inside =
    bits === containerBits(bits) ? value : builder.add("Clip", [value], bounds, { name: `${value}/clipped` })
  const codes = builder.add(
    "QuantizeLinear",
    [inside, step, zero],
    { axis: 0, blockSize: 0, to: dtype },
    { name: `${value}/q` }
  )
  return builder.add(
    "DequantizeLinear",
    [codes, step, zero],
    { axis: 0, blockSize: 0 },
    { name: `${value}/dq` }
  )
}

/** The network with packed weights and quantized activations. `ranges` as for the simulation. */
export const rewrite = (graph: Graph.Graph, formats: Formats, ranges: Ranges): Graph.Graph =>
  rewriteLayers(graph, formats, ranges, { weights: packedWeights(graph), activation: packedActivation })

/** The packed network as the bytes of an ONNX file. */
export const encode = (graph: Graph.Graph, formats: Formats, ranges: Ranges): Uint8Array<ArrayBuffer> =>
  Model.encode(rewrite(graph, formats, ranges))

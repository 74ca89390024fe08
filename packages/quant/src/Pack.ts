/**
 * The deployable network: integer weights packed at their bit width behind DequantizeLinear, activations through
 * QuantizeLinear → DequantizeLinear pairs, all standard ONNX (opset 21; opset 25 where 2-bit types are used).
 *
 * Weights of a width without an ONNX type of its own are stored in the next wider one (3 → 4, 5…7 → 8 bits).
 */
import type { Graph, GraphBuilder, Layer } from "@bitbudget/graph"
import { Model, Tensor } from "@bitbudget/graph"
import type { Quantized } from "./Affine.ts"
import type { Formats, LayerFormat } from "./LayerFormat.ts"
import type { Ranges } from "./Ranges.ts"
import type { Activation } from "./rewriteLayers.ts"
import { rewriteLayers } from "./rewriteLayers.ts"
import { quantizeWeights, weightKey, weightsOf } from "./Weights.ts"

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

/**
 * Whether the layer is left in the form that runtimes turn into an integer kernel: DequantizeLinear straight into
 * the product. ONNX Runtime 1.30 does that for 8-bit operands only, but prepares for it at any width: it rounds the
 * bias to multiples of (weight scale × activation scale), which are coarse below 8 bits, and fails on 2-bit types.
 */
export const isFusable = ({ precision: { weights, activations } }: LayerFormat): boolean =>
  weights.kind === "int" &&
  containerBits(weights.bits) === 8 &&
  activations.kind === "int" &&
  activations.bits <= 8

/** A vector along `axis` in a tensor of rank `rank`, so that it multiplies channel by channel. */
const alongAxis = (length: number, axis: number, rank: number): ReadonlyArray<number> =>
  Array.from({ length: rank }, (_, i) => (i === axis ? length : 1))

const dequantized = (builder: GraphBuilder, name: string, quantized: Quantized, fusable: boolean): string => {
  const { shape, bits, axis, codes, scales, zeroPoints } = quantized
  const dtype = storedType(bits, zeroPoints === undefined)
  const perTensor = scales.length === 1
  const parameterShape = perTensor ? [] : [scales.length]
  const stored = builder.constant(Tensor.tensor(dtype, shape, codes), `${name}/int${bits}`)
  const zero =
    zeroPoints === undefined
      ? []
      : [builder.constant(Tensor.tensor(dtype, parameterShape, zeroPoints), `${name}/zero_point`)]
  const attributes = { axis: perTensor ? 0 : axis, blockSize: 0 }
  if (fusable) {
    const scale = builder.constant(Tensor.float32(parameterShape, scales), `${name}/scale`)
    return builder.add("DequantizeLinear", [stored, scale, ...zero], attributes, { name: `${name}/dq` })
  }
  // Scaling apart from the conversion keeps the product in float; DequantizeLinear only takes off the zero point.
  const unit = builder.constant(
    zeroPoints === undefined ? Tensor.scalar("float32", 1) : Tensor.filled("float32", parameterShape, 1),
    `${name}/unit`
  )
  const steps = builder.add(
    "DequantizeLinear",
    [stored, unit, ...zero],
    zeroPoints === undefined ? { axis: 0, blockSize: 0 } : attributes,
    { name: `${name}/dq` }
  )
  const scale = builder.constant(
    Tensor.float32(perTensor ? [] : alongAxis(scales.length, axis, shape.length), scales),
    `${name}/scale`
  )
  return builder.add("Mul", [steps, scale], {}, { name: `${name}/scaled` })
}

const packedWeights =
  (graph: Graph.Graph) =>
  (builder: GraphBuilder, layer: Layer.Layer, format: LayerFormat): string => {
    const weights = weightsOf(graph, layer)
    if (format.precision.weights.kind === "int") {
      return dequantized(builder, layer.weight, quantizeWeights(weights, layer, format), isFusable(format))
    }
    const half = Tensor.tensor("float16", weights.shape, Tensor.values(weights))
    const stored = builder.constant(half, `${layer.weight}/half`)
    return builder.add("Cast", [stored], { to: "float32" }, { name: `${layer.weight}/from_half` })
  }

/**
 * Activations narrower than 8 bits are 8-bit codes of a narrower range: they take no space in the file, and ONNX
 * Runtime 1.30 cannot load 4-bit activations after a Clip.
 */
const packedActivation = (builder: GraphBuilder, { value, bits, scale, zeroPoint }: Activation): string => {
  const dtype = bits <= 8 ? "uint8" : "uint16"
  const step = builder.constant(Tensor.scalar("float32", scale), `${value}/scale`)
  const zero = builder.constant(Tensor.scalar(dtype, zeroPoint), `${value}/zero_point`)
  // The type's own range does not clip a narrower format; the values are clipped to it first.
  const top = 2 ** bits - 1
  const bounds = { min: Math.fround(-zeroPoint * scale), max: Math.fround((top - zeroPoint) * scale) }
  const inside =
    bits === 8 || bits === 16 ? value : builder.add("Clip", [value], bounds, { name: `${value}/clipped` })
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
  rewriteLayers(graph, formats, ranges, {
    weightKey: (layer, format) => `${weightKey(layer, format)}|${isFusable(format)}`,
    weights: packedWeights(graph),
    activation: packedActivation
  })

/** The packed network as the bytes of an ONNX file. */
export const encode = (graph: Graph.Graph, formats: Formats, ranges: Ranges): Uint8Array<ArrayBuffer> =>
  Model.encode(rewrite(graph, formats, ranges))

/** A layer's weights in a format: what the quantizer makes of them. */
import type { Graph, Layer } from "@bitbudget/graph"
import { Precision, Tensor } from "@bitbudget/graph"
import type { Quantized } from "./Affine.ts"
import { dequantize, quantize, roundToFloat16 } from "./Affine.ts"
import type { LayerFormat } from "./LayerFormat.ts"

export const weightsOf = (graph: Graph.Graph, layer: Layer.Layer): Tensor.Tensor =>
  graph.constants.get(layer.weight)!

export const quantizeWeights = (weights: Tensor.Tensor, layer: Layer.Layer, format: LayerFormat): Quantized =>
  quantize(weights, {
    bits: format.precision.weights.bits,
    scheme: format.scheme,
    granularity: format.granularity,
    axis: layer.channelAxis
  })

/** The weights as the device will see them, in float32. */
export const roundedWeights = (
  weights: Tensor.Tensor,
  layer: Layer.Layer,
  format: LayerFormat
): Tensor.Tensor => {
  const { kind, bits } = format.precision.weights
  if (kind === "int") return dequantize(quantizeWeights(weights, layer, format))
  return bits === 16 ? roundToFloat16(weights) : weights
}

/** Two layers that read one constant share its quantized form where this is equal. */
export const weightKey = (layer: Layer.Layer, { precision, scheme, granularity }: LayerFormat): string =>
  [
    layer.weight,
    Precision.showPrecision({ ...precision, activations: Precision.float(32) }),
    scheme,
    granularity,
    layer.channelAxis
  ].join("|")

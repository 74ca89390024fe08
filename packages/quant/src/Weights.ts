/** A layer's weights in a format: what the quantizer makes of them, for simulation, sensitivities and file alike. */
import type { Graph, Layer, Tensor } from "@bitbudget/graph"
import type { WeightFormat } from "./format/WeightFormat.ts"
import { dequantize, type Encoded, quantize, show } from "./weights/kinds.ts"

export const weightsOf = (graph: Graph.Graph, layer: Layer.Layer): Tensor.Tensor =>
  graph.constants.get(layer.weight)!

/** Codes and parameters of a layer's weights. */
export const encoded = (graph: Graph.Graph, layer: Layer.Layer, format: WeightFormat): Encoded =>
  quantize(weightsOf(graph, layer), layer.channelAxis, format)

/** The weights as the device will see them, in float32. */
export const rounded = (graph: Graph.Graph, layer: Layer.Layer, format: WeightFormat): Tensor.Tensor =>
  dequantize(encoded(graph, layer, format))

/** Two layers that read one constant share its quantized form where this is equal. */
export const weightKey = (layer: Layer.Layer, format: WeightFormat): string =>
  [layer.weight, show(format), layer.channelAxis].join("|")

/**
 * Simulated quantization: the float network with weights and activations rounded to what their formats hold.
 *
 * Activations go through x̂ = s · clip(⌊x/s⌉, −z, 2^b − 1 − z), which equals quantizing and dequantizing with zero
 * point z, for any b, in four operators every runtime has.
 */
import type { Graph, GraphBuilder } from "@bitbudget/graph"
import { Tensor } from "@bitbudget/graph"
import type { Formats } from "./LayerFormat.ts"
import type { Ranges } from "./Ranges.ts"
import type { Activation } from "./rewriteLayers.ts"
import { rewriteLayers } from "./rewriteLayers.ts"
import { roundedWeights, weightKey, weightsOf } from "./Weights.ts"

const roundedActivation = (builder: GraphBuilder, { value, bits, scale, zeroPoint }: Activation): string => {
  const step = builder.constant(Tensor.scalar("float32", scale), `${value}/scale`)
  const steps = builder.add("Div", [value, step], {}, { name: `${value}/steps` })
  const whole = builder.add("Round", [steps], {}, { name: `${value}/rounded` })
  const bounds = { min: -zeroPoint, max: 2 ** bits - 1 - zeroPoint }
  const clipped = builder.add("Clip", [whole], bounds, { name: `${value}/clipped` })
  return builder.add("Mul", [clipped, step], {}, { name: `${value}/quantized` })
}

/** The network as it would compute under `formats`. `ranges` must cover the inputs of layers with integer activations. */
export const rewrite = (graph: Graph.Graph, formats: Formats, ranges: Ranges): Graph.Graph =>
  rewriteLayers(graph, formats, ranges, {
    weightKey,
    weights: (builder, layer, format) =>
      builder.constant(roundedWeights(weightsOf(graph, layer), layer, format), `${layer.weight}/rounded`),
    activation: roundedActivation
  })

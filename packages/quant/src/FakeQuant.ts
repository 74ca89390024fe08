/**
 * Simulated quantization: the float network with weights and activations rounded to what their formats hold.
 *
 * Activations go through x̂ = s · clip(⌊x/s⌉, −z, 2^b − 1 − z), which equals quantizing and dequantizing with zero
 * point z, for any b, in four operators every runtime has.
 */
import { type Graph, type GraphBuilder, Tensor } from "@bitbudget/graph"
import type { Choices } from "./format/Choice.ts"
import { withRoomForBiases } from "./arithmetic/biasRoom.ts"
import { integerBias } from "./arithmetic/integerBias.ts"
import { productOf } from "./product.ts"
import { plain, type QuantizedNetwork } from "./QuantizedNetwork.ts"
import type { Ranges } from "./Ranges.ts"
import type { Activation, LayerRewriter } from "./rewriteLayers.ts"
import { rewriteLayers } from "./rewriteLayers.ts"
import { requantized } from "./stream.ts"
import { dequantize, isByChannel } from "./weights/kinds.ts"

/** Adds the steps that a value is rounded to, codes less zero point, and their scale; returns the names of both. */
export const roundedSteps = (builder: GraphBuilder, { value, bits, scale, zeroPoint }: Activation) => {
  const step = builder.constant(Tensor.scalar("float32", scale), `${value}/scale`)
  const steps = builder.add("Div", [value, step], {}, { name: `${value}/steps` })
  const whole = builder.add("Round", [steps], {}, { name: `${value}/rounded` })
  const bounds = { min: -zeroPoint, max: 2 ** bits - 1 - zeroPoint }
  return { steps: builder.add("Clip", [whole], bounds, { name: `${value}/clipped` }), step }
}

/** Adds the rounded activation and returns its name. */
export const roundedActivation = (builder: GraphBuilder, activation: Activation): string => {
  const { steps, step } = roundedSteps(builder, activation)
  return builder.add("Mul", [steps, step], {}, { name: `${activation.value}/quantized` })
}

/** Weights, activations and the biases of integer products rounded. */
export const simulation = (network: QuantizedNetwork): LayerRewriter => {
  const product = productOf(network.graph)
  const codes = requantized(network.graph, network.choices)
  return {
    form: () => "rounded",
    weights: (builder, layer, encoded) => builder.constant(dequantize(encoded), `${layer.weight}/rounded`),
    activation: roundedActivation,
    bias: (builder, layer, { bias: { name, values }, encoded, choice, activationScale }) => {
      // Kernels round the bias where they requantize the sum; a sum that leaves as floats gets its bias in floats.
      const isInteger = product(layer, choice) !== "float" && codes.has(layer.output)
      if (!isByChannel(encoded) || !isInteger) return name
      return builder.constant(integerBias(values, encoded.scales, activationScale), `${name}/steps`)
    }
  }
}

/** The network as it would compute. */
export const simulate = (network: QuantizedNetwork): Graph.Graph => {
  const roomy = withRoomForBiases(network)
  return rewriteLayers(roomy, simulation(roomy))
}

/** The same with plain rounding. `ranges` must cover the inputs of layers with integer activations. */
export const rewrite = (graph: Graph.Graph, choices: Choices, ranges: Ranges): Graph.Graph =>
  simulate(plain(graph, choices, ranges))

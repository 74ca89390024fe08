/**
 * A quantized network as a value: the float network (its biases, scales and weights possibly corrected), the choice
 * of every layer, the ranges of activations, and the codes of the weights.
 *
 * Simulation, sensitivities and file are made from it, so that all three have the same codes. Recipes make it;
 * `plain` is the one that needs nothing but ranges.
 */
import { Layer } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import type { Choice, Choices } from "./format/Choice.ts"
import type { Ranges } from "./Ranges.ts"
import { extremes, type Fitting } from "./weights/Fitting.ts"
import { dequantize, type Encoded, quantize } from "./weights/kinds.ts"
import { weightKey, weightsOf } from "./Weights.ts"

export interface QuantizedNetwork {
  readonly graph: Graph.Graph
  readonly choices: Choices
  readonly ranges: Ranges
  /** By layer id: of every layer whose weights are not float32. Layers that share a constant share the encoding. */
  readonly encoded: ReadonlyMap<string, Encoded>
}

const isExact = ({ weights }: Choice): boolean => weights.kind === "float" && weights.bits === 32

/** The layers whose weights are rounded, with their choices. */
export const roundedLayers = (
  graph: Graph.Graph,
  choices: Choices
): ReadonlyArray<{ readonly layer: Layer.Layer; readonly choice: Choice }> =>
  Layer.layersOf(graph).flatMap((layer) => {
    const choice = choices.get(layer.id)
    return choice === undefined || isExact(choice) ? [] : [{ layer, choice }]
  })

/** Encodings by layer id, made once for layers that share a constant in one format. */
export const encodeLayers = (
  graph: Graph.Graph,
  choices: Choices,
  make: (layer: Layer.Layer, choice: Choice) => Encoded
): ReadonlyMap<string, Encoded> => {
  const made = new Map<string, Encoded>()
  return new Map(
    roundedLayers(graph, choices).map(({ layer, choice }) => {
      const key = weightKey(layer, choice.weights)
      const encoded = made.get(key) ?? make(layer, choice)
      made.set(key, encoded)
      return [layer.id, encoded]
    })
  )
}

/** One layer's weights by plain rounding; undefined where they stay float32. */
export const encodedAlone = (
  graph: Graph.Graph,
  choices: Choices,
  layer: Layer.Layer
): Encoded | undefined => {
  const choice = choices.get(layer.id)
  return choice === undefined || isExact(choice)
    ? undefined
    : quantize(weightsOf(graph, layer), layer.channelAxis, choice.weights, extremes)
}

/** The weights rounded by themselves: no calibration but the ranges. */
export const fitted = (
  graph: Graph.Graph,
  choices: Choices,
  ranges: Ranges,
  fitting: Fitting
): QuantizedNetwork => ({
  graph,
  choices,
  ranges,
  encoded: encodeLayers(graph, choices, (layer, { weights }) =>
    quantize(weightsOf(graph, layer), layer.channelAxis, weights, fitting)
  )
})

/** The weights that an encoding stands for, float32. */
export const weightsFrom = dequantize

/** Plain rounding: scales of the extreme values, nearest codes. */
export const plain = (graph: Graph.Graph, choices: Choices, ranges: Ranges): QuantizedNetwork =>
  fitted(graph, choices, ranges, extremes)

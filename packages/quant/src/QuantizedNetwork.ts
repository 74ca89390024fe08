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

/**
 * Encodings by layer id, made once for layers that share a constant in one format: for the product among them, whose codes may
 * be chosen for what it reads, where a table has them too.
 */
export const encodeLayers = (
  graph: Graph.Graph,
  choices: Choices,
  make: (layer: Layer.Layer, choice: Choice) => Encoded
): ReadonlyMap<string, Encoded> => {
  const made = new Map<string, Encoded>()
  const layers = roundedLayers(graph, choices)
  const keyOf = ({ layer, choice }: (typeof layers)[number]) => weightKey(layer, choice.weights)
  for (const rounded of layers.toSorted((a, b) => +Layer.isProduct(b.layer) - +Layer.isProduct(a.layer))) {
    const key = keyOf(rounded)
    if (!made.has(key)) made.set(key, make(rounded.layer, rounded.choice))
  }
  return new Map(layers.map((rounded) => [rounded.layer.id, made.get(keyOf(rounded))!]))
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

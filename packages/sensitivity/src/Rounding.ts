/**
 * What a choice does to a layer: ΔW = Q(W) − W of its weights, by the code that packs the file, and x̂ − x of the
 * activation it reads.
 */
import { type Graph, type GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import {
  ActivationFormat,
  type Choice,
  Affine,
  FakeQuant,
  type Ranges,
  type WeightFormat,
  Weights
} from "@bitbudget/quant"

/** The choices whose cost is asked, by layer id. */
export type LayerChoices = ReadonlyMap<string, ReadonlyArray<Choice.Choice>>

/** The same choices for every layer. */
export const everywhere = (graph: Graph.Graph, choices: ReadonlyArray<Choice.Choice>): LayerChoices =>
  new Map(Layer.layersOf(graph).map(({ id }) => [id, choices]))

/** Choices of a layer, one after the other; none where nothing is asked of it. */
export const choicesOf = (choices: LayerChoices, layer: Layer.Layer): ReadonlyArray<Choice.Choice> =>
  choices.get(layer.id) ?? []

export const isFloat32 = (format: WeightFormat.WeightFormat | ActivationFormat.ActivationFormat): boolean =>
  format.kind === "float" && format.bits === 32

/** ΔW, in the weights' own layout. */
export const roundingError = (
  graph: Graph.Graph,
  layer: Layer.Layer,
  format: WeightFormat.WeightFormat
): Float32Array => {
  const weights = Tensor.values(Weights.weightsOf(graph, layer))
  const rounded = Tensor.values(Weights.rounded(graph, layer, format))
  const error = new Float32Array(rounded.length)
  for (let i = 0; i < error.length; i++) error[i] = rounded[i]! - weights[i]!
  return error
}

export const squaredNorm = (values: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2
  return sum
}

/** Adds x̂, the layer's input in a format, and returns its name. Integers need the input's range. */
export const roundedInput = (
  builder: GraphBuilder,
  layer: Layer.Layer,
  format: ActivationFormat.ActivationFormat,
  ranges: Ranges.Ranges
): string => {
  const value = layer.input
  if (isFloat32(format)) return value
  if (format.kind === "float") {
    const half = builder.add("Cast", [value], { to: "float16" }, { name: `${value}/half` })
    return builder.add("Cast", [half], { to: "float32" }, { name: `${value}/from_half` })
  }
  const range = ranges.get(value)
  if (range === undefined) throw new Error(`no range for ${value}, the input of layer ${layer.id}`)
  const { bits } = format
  const parameters = Affine.affineParameters(range.low, range.high, bits)
  return FakeQuant.roundedActivation(builder, { value, bits, ...parameters })
}

/**
 * What a choice does to a layer: ΔW = Q(W) − W of its weights, by the code that packs the file, and x̂ − x of the
 * activation it reads.
 */
import { type Graph, type GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import { ActivationFormat, Choice, FakeQuant, Ranges, type WeightFormat, Weights } from "@bitbudget/quant"

/** The choices whose cost is asked, by layer id. */
export type LayerChoices = ReadonlyMap<string, ReadonlyArray<Choice.Choice>>

/** The same choices for every layer, as far as they are a layer's: each once. */
export const everywhere = (graph: Graph.Graph, choices: ReadonlyArray<Choice.Choice>): LayerChoices =>
  new Map(
    Layer.layersOf(graph).map((layer) => {
      const own = choices.map((choice) => Choice.forLayer(layer, choice))
      return [layer.id, [...new Map(own.map((choice) => [Choice.show(choice), choice])).values()]]
    })
  )

/** Choices of a layer, one after the other; none where nothing is asked of it. */
export const choicesOf = (choices: LayerChoices, layer: Layer.Layer): ReadonlyArray<Choice.Choice> =>
  choices.get(layer.id) ?? []

export const isFloat32 = (format: WeightFormat.WeightFormat | ActivationFormat.ActivationFormat): boolean =>
  format.kind === "float" && format.bits === 32

/** What a layer becomes at a choice: weights as the device sees them, and its bias where a recipe moves it too. */
export interface Rounded {
  readonly weights: Tensor.Tensor
  readonly bias?: { readonly constant: string; readonly values: Tensor.Tensor }
}

/** How layers are rounded: by the recipe that will be applied. */
export type Rounder = (layer: Layer.Layer, choice: Choice.Choice) => Rounded

/** Plain rounding. */
export const nearest =
  (graph: Graph.Graph): Rounder =>
  (layer, { weights }) => ({ weights: Weights.rounded(graph, layer, weights) })

const difference = (after: Tensor.Tensor, before: Tensor.Tensor): Float32Array => {
  const [x, y] = [Tensor.values(after), Tensor.values(before)]
  const error = new Float32Array(x.length)
  for (let i = 0; i < error.length; i++) error[i] = x[i]! - y[i]!
  return error
}

/** ΔW, in the weights' own layout. */
export const weightError = (graph: Graph.Graph, layer: Layer.Layer, { weights }: Rounded): Float32Array =>
  difference(weights, Weights.weightsOf(graph, layer))

/** Δb, one number an output channel, zeros where the bias stays; undefined where there is none to move. */
export const biasError = (graph: Graph.Graph, { bias }: Rounded): Float32Array | undefined =>
  bias === undefined ? undefined : difference(bias.values, graph.constants.get(bias.constant)!)

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
  const { bits } = format
  const parameters = Ranges.parametersAt(ranges, value, bits)
  if (parameters === undefined) throw new Error(`no range for ${value}, the input of layer ${layer.id}`)
  return FakeQuant.roundedActivation(builder, { value, bits, ...parameters })
}

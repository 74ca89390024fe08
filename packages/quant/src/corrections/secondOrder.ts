/**
 * Second-order rounding of all layers. Matrices of a network whose outputs are scores of classes are rounded by the curvature of
 * their probabilities' divergence (`kronecker.ts`), with scales that follow. The others by what their own output loses (`gptq.ts`
 * does one channel), with scales of the extreme values, or fitted with the diagonal of XᵀX as importance: whichever
 * leaves a layer's output nearer once its codes are chosen. Layers without XᵀX (transposed convolutions), and formats with too many values to choose among, keep
 * their rounding.
 */
import type { Graph, Layer } from "@bitbudget/graph"
import { Effect } from "effect"
import type { Calibration } from "../calibration/Calibration.ts"
import { fromRows, type Gram, grams, importanceOf, position, rowsOf } from "../calibration/gram.ts"
import { encodeLayers, type QuantizedNetwork, roundedLayers } from "../QuantizedNetwork.ts"
import { type Encoded, levels, quantize, recode } from "../weights/kinds.ts"
import { extremes, type Fitting } from "../weights/Fitting.ts"
import { weightsOf } from "../Weights.ts"
import { curvatures } from "../calibration/curvature.ts"
import { type Prepared, prepare, roundChannel } from "./gptq.ts"
import { gridOf } from "./grid.ts"
import { prepareSides, Rounding, type Sides } from "./kronecker.ts"

/** Σ δᵀHδ over a layer's channels, after and before. */
export interface Bought {
  readonly objective: number
  readonly nearest: number
}

/** What the channels of each group of a layer need. */
export const preparedOf = ({ values, size, groups }: Gram): ReadonlyArray<Prepared | undefined> =>
  Array.from({ length: groups }, (_, group) =>
    prepare(values.subarray(group * size * size, (group + 1) * size * size), size)
  )

/** A layer's codes by second-order rounding, with the levels of `encoded`. */
export const roundLayer = (
  graph: Graph.Graph,
  layer: Layer.Layer,
  encoded: Encoded,
  { size, groups }: Gram,
  prepared: ReadonlyArray<Prepared | undefined>
): { readonly encoded: Encoded; readonly bought: Bought } | undefined => {
  const levelsOf = levels(encoded)
  if (levelsOf === undefined) return undefined
  const rows = rowsOf(layer, weightsOf(graph, layer))
  const channels = rows.length / size
  const rounded = new Float64Array(rows.length)
  let [objective, nearest] = [0, 0]
  for (let group = 0; group < groups; group++) {
    const [from, to] = [(group * channels) / groups, ((group + 1) * channels) / groups]
    const own = prepared[group]
    for (let channel = from; channel < to; channel++) {
      const weights = rows.subarray(channel * size, (channel + 1) * size)
      if (own === undefined) {
        rounded.set(weights, channel * size)
        continue
      }
      const result = roundChannel(own, weights, (k) => levelsOf(position(layer, channel, k)))
      rounded.set(result.values, channel * size)
      objective += result.objective
      nearest += result.nearest
    }
  }
  return { encoded: recode(encoded, fromRows(layer, rounded)), bought: { objective, nearest } }
}

/** Turns of moving codes and scales: more change little. */
const TURNS = 3

/** A matrix's codes and scales by the curvature of the divergence, from the scales of `encoded`. */
const roundMatrix = (
  graph: Graph.Graph,
  layer: Layer.Layer,
  encoded: Encoded,
  sides: Sides
): Encoded | undefined => {
  const grid = gridOf(layer, encoded)
  if (grid === undefined) return undefined
  const rounding = new Rounding(sides, rowsOf(layer, weightsOf(graph, layer)), grid)
  for (let turn = 0; turn < TURNS; turn++) {
    rounding.refit()
    if (!rounding.sweep()) break
  }
  return recode(grid.encoded(), fromRows(layer, rounding.values()))
}

/** Widths that have something to gain: above 8 bits rounding is not what costs. */
const isCoarse = ({ format }: Encoded): boolean => format.kind !== "int" || format.bits <= 8

/** `original` is the float network that `network` came from. */
export const secondOrder = <E>(
  original: Graph.Graph,
  network: QuantizedNetwork,
  calibration: Calibration<E>
): Effect.Effect<QuantizedNetwork, E> =>
  Effect.gen(function* () {
    const { graph, choices } = network
    const layers = roundedLayers(graph, choices).map(({ layer }) => layer)
    const known = yield* curvatures(original, calibration)
    const sides = new Map([...known].map(([id, factors]) => [id, prepareSides(factors)]))
    const others = layers.filter(({ id }) => sides.get(id) === undefined)
    const seen = yield* grams(graph, others, calibration)
    const encoded = encodeLayers(graph, choices, (layer, { weights }) => {
      const own = network.encoded.get(layer.id)!
      if (!isCoarse(own)) return own
      const both = sides.get(layer.id)
      if (both !== undefined) return roundMatrix(graph, layer, own, both) ?? own
      const gram = seen.get(layer.id)
      if (gram === undefined) return own
      const importance = importanceOf(layer, gram)
      const prepared = preparedOf(gram)
      const fittings: ReadonlyArray<Fitting> = [extremes, { objective: "leastSquares", importance }]
      return fittings
        .flatMap(
          (fitting) =>
            roundLayer(
              graph,
              layer,
              quantize(weightsOf(graph, layer), layer.channelAxis, weights, fitting),
              gram,
              prepared
            ) ?? []
        )
        .reduce((best, next) => (next.bought.objective < best.bought.objective ? next : best), {
          encoded: own,
          bought: { objective: Number.POSITIVE_INFINITY, nearest: Number.POSITIVE_INFINITY }
        }).encoded
    })
    return { ...network, encoded }
  })

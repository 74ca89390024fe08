/**
 * Second-order rounding of all layers (`gptq.ts` does one channel). Scales are those of the extreme values, or fitted
 * with the diagonal of XᵀX as importance: whichever leaves a layer's output nearer once its codes are chosen. Layers
 * without XᵀX (transposed convolutions), and formats with too many values to choose among, keep their rounding.
 */
import type { Graph, Layer } from "@bitbudget/graph"
import { Effect } from "effect"
import type { Calibration } from "../calibration/Calibration.ts"
import { fromRows, type Gram, grams, importanceOf, position, rowsOf } from "../calibration/gram.ts"
import { encodeLayers, type QuantizedNetwork, roundedLayers } from "../QuantizedNetwork.ts"
import { type Encoded, levels, quantize, recode } from "../weights/kinds.ts"
import { extremes, type Fitting } from "../weights/Fitting.ts"
import { weightsOf } from "../Weights.ts"
import { type Prepared, prepare, roundChannel } from "./gptq.ts"

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

/** Widths that have something to gain: above 8 bits rounding is not what costs. */
const isCoarse = ({ format }: Encoded): boolean => format.kind !== "int" || format.bits <= 8

export const secondOrder = <E>(
  network: QuantizedNetwork,
  calibration: Calibration<E>
): Effect.Effect<QuantizedNetwork, E> =>
  Effect.gen(function* () {
    const { graph, choices } = network
    const layers = roundedLayers(graph, choices).map(({ layer }) => layer)
    const seen = yield* grams(graph, layers, calibration)
    const encoded = encodeLayers(graph, choices, (layer, { weights }) => {
      const gram = seen.get(layer.id)
      const own = network.encoded.get(layer.id)!
      if (gram === undefined || !isCoarse(own)) return own
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

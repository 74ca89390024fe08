/**
 * What packing a network too large to be held will take, told before the work: one of its layers is rounded, and the others
 * take time by their weights. Memory is that of the largest matrix, in all the forms that it has on its way.
 */
import { type Layer, type Model, Tensor } from "@bitbudget/graph"
import { type Choice, QuantizedNetwork } from "@bitbudget/quant"

/** Bytes of the process itself, with the graph. */
const OWN_BYTES = 300e6

/** A weight as it is read, turned, rounded, laid out and packed: bytes at once, as `bench/language-large.ts` finds them. */
const BYTES_A_WEIGHT = 20

/** Packing takes so much longer than reading and rounding alone. */
const PACKING = 1.6

export interface Forecast {
  readonly weights: number
  readonly seconds: number
  readonly bytes: number
}

export const forecastOf = ({ graph }: Model.Model, choices: Choice.Choices): Forecast | undefined => {
  const rounded = QuantizedNetwork.roundedLayers(graph, choices).map(({ layer }) => layer)
  const bySize = rounded.toSorted((a, b) => a.weightElements - b.weightElements)
  const middle = bySize[Math.floor(bySize.length / 2)]
  if (middle === undefined) return undefined
  const timed = (layer: Layer.Layer): number => {
    const began = performance.now()
    QuantizedNetwork.weightsFrom(QuantizedNetwork.encodedAlone(graph, choices, layer)!)
    return (performance.now() - began) / 1e3
  }
  // The first one finds the code uncompiled.
  timed(bySize[0]!)
  const seconds = timed(middle)
  const weights = rounded.reduce((sum, { weightElements }) => sum + weightElements, 0)
  const largest = Math.max(...[...graph.constants.values()].map(Tensor.size))
  return {
    weights,
    seconds: (PACKING * seconds * weights) / middle.weightElements,
    bytes: OWN_BYTES + BYTES_A_WEIGHT * largest
  }
}

/** In a sentence. */
export const show = ({ weights, seconds, bytes }: Forecast): string =>
  `${weights} weights are packed one matrix at a time: about ${Math.max(1, Math.round(seconds / 60))} min, and at most about ${(bytes / 2 ** 30).toFixed(1)} GiB of memory`

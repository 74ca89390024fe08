/**
 * Ranges of the activations over the calibration samples: the extremes in one pass, in a second one histograms between
 * them, on which the bounds for each width are chosen.
 */
import type { Graph } from "@bitbudget/graph"
import { GraphBuilder } from "@bitbudget/graph"
import { Effect } from "effect"
import type { Choices } from "../format/Choice.ts"
import { observe, observedValues, type Range, type Ranges, union } from "../Ranges.ts"
import type { Calibration } from "./Calibration.ts"
import { boundsOf, type Clipping } from "./clipping.ts"
import * as Histogram from "./Histogram.ts"
import { eachBatch } from "./passes.ts"

/** The network with the observed values as its results; inputs come through Identity. */
const exposing = (graph: Graph.Graph) => {
  const builder = GraphBuilder.from(graph)
  const outputs = new Map(
    observedValues(graph).map((value) => [
      value,
      builder.add("Identity", [value], {}, { name: `${value}/observed` })
    ])
  )
  return { graph: builder.finish([...outputs.values()]), outputs }
}

export const extremesOver = <E>(
  graph: Graph.Graph,
  calibration: Calibration<E>
): Effect.Effect<Ranges, E> => {
  const observed = observe(graph)
  const ranges = new Map<string, Range>()
  const take = eachBatch(calibration, observed.graph, (results) => {
    for (const [value, { low, high }] of observed.outputs)
      ranges.set(
        value,
        union(ranges.get(value), { low: results.get(low)![0]!, high: results.get(high)![0]! })
      )
  })
  return Effect.as(take, ranges)
}

/** Widths of integer activations that the choices ask for. */
const widthsOf = (choices: Choices): ReadonlyArray<number> => [
  ...new Set(
    [...choices.values()].flatMap(({ activations }) => (activations.kind === "int" ? [activations.bits] : []))
  )
]

/**
 * Ranges with bounds for every width that `choices` ask for, once for each way of clipping. Above 8 bits the extremes are
 * kept: there is nothing to gain by clipping.
 */
export const activationRanges = <E>(
  graph: Graph.Graph,
  choices: Choices,
  calibration: Calibration<E>,
  clippings: ReadonlyArray<Clipping>
): Effect.Effect<ReadonlyArray<Ranges>, E> =>
  Effect.gen(function* () {
    const widths = widthsOf(choices)
    if (widths.length === 0) return clippings.map(() => new Map())
    const extremes = yield* extremesOver(graph, calibration)
    const clippedWidths = widths.filter((bits) => bits <= 8)
    if (clippedWidths.length === 0) return clippings.map(() => extremes)
    const histograms = new Map(
      [...extremes].map(([value, { low, high }]) => [value, Histogram.make(low, high)])
    )
    const exposed = exposing(graph)
    yield* eachBatch(calibration, exposed.graph, (results) => {
      for (const [value, output] of exposed.outputs)
        Histogram.add(histograms.get(value)!, results.get(output)!)
    })
    return clippings.map(
      (clipping) =>
        new Map(
          [...extremes].map(([value, { low, high }]): [string, Range] => {
            const histogram = histograms.get(value)!
            const clipped = clippedWidths.map((bits) => [bits, boundsOf(histogram, bits, clipping)] as const)
            return [value, { low, high, clipped: new Map(clipped) }]
          })
        )
    )
  })

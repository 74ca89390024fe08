/** Passes over the calibration samples: one graph, all batches in order, their results handed to a reducer. */
import type { Graph } from "@bitbudget/graph"
import { Effect } from "effect"
import type { Calibration, Results } from "./Calibration.ts"

/** Runs every batch (or the first `limit`) and hands on its results. */
export const eachBatch = <E>(
  calibration: Calibration<E>,
  graph: Graph.Graph,
  use: (results: Results, batch: number) => void,
  limit = Number.POSITIVE_INFINITY
): Effect.Effect<void, E> =>
  Effect.scoped(
    Effect.gen(function* () {
      const run = yield* calibration.open(graph)
      for (let batch = 0; batch < Math.min(calibration.batches, limit); batch++) use(yield* run(batch), batch)
    })
  )

/** Sums of a graph's results over batches, element by element, in float64. */
export const sums = <E>(
  calibration: Calibration<E>,
  graph: Graph.Graph,
  limit = Number.POSITIVE_INFINITY
): Effect.Effect<ReadonlyMap<string, Float64Array>, E> => {
  const totals = new Map<string, Float64Array>()
  const add = (results: Results): void => {
    for (const name of graph.outputs) {
      const values = results.get(name)!
      const total = totals.get(name) ?? new Float64Array(values.length)
      for (let i = 0; i < total.length; i++) total[i]! += values[i]!
      totals.set(name, total)
    }
  }
  return Effect.as(eachBatch(calibration, graph, add, limit), totals)
}

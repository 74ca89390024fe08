/** Passes over the calibration samples: one graph, all batches in order, their results handed to a reducer. */
import type { Graph, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import type { Calibration, Results, Run } from "./Calibration.ts"

export interface PassOptions {
  /** The first so many batches; all when absent. */
  readonly limit?: number
  /** What a batch is fed besides the network's own input. */
  readonly feedsOf?: (batch: number) => ReadonlyMap<string, Tensor.Tensor>
}

/** Runs the batches of an open graph and hands on their results. */
export const eachBatchOf = Effect.fnUntraced(function* <E>(
  { batches }: Pick<Calibration, "batches">,
  run: Run<E>,
  use: (results: Results, batch: number) => void,
  { limit = Number.POSITIVE_INFINITY, feedsOf }: PassOptions = {}
) {
  for (let batch = 0; batch < Math.min(batches, limit); batch++)
    use(yield* run(batch, feedsOf?.(batch)), batch)
})

/** Runs the batches and hands on their results. */
export const eachBatch = <E>(
  calibration: Calibration<E>,
  graph: Graph.Graph,
  use: (results: Results, batch: number) => void,
  options: PassOptions = {}
): Effect.Effect<void, E> =>
  Effect.scoped(Effect.flatMap(calibration.open(graph), (run) => eachBatchOf(calibration, run, use, options)))

/** Sums of a graph's results over batches, element by element, in float64. */
export const sums = <E>(
  calibration: Calibration<E>,
  graph: Graph.Graph,
  options: PassOptions = {}
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
  return Effect.as(eachBatch(calibration, graph, add, options), totals)
}

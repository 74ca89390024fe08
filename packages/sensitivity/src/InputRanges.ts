/** Extremes of every layer's input over the samples, where the caller brings no calibrated ranges. */
import { Model } from "@bitbudget/graph"
import { Ranges } from "@bitbudget/quant"
import type { Evaluate } from "@bitbudget/runtime"
import { Session } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as Samples from "./Samples.ts"
import type { Setting } from "./Setting.ts"

const LARGEST_BATCH = 128

export const inputRanges = ({
  graph,
  split,
  samples: count,
  loss,
  ...setting
}: Setting): Effect.Effect<Ranges.Ranges, Evaluate.Failure> =>
  Effect.scoped(
    Effect.gen(function* () {
      const threads = setting.threads === undefined ? {} : { threads: setting.threads }
      const batchSize = setting.batchSize ?? LARGEST_BATCH
      const samples = yield* Samples.open({ graph, split, loss, samples: count, batchSize, ...threads })
      const observed = Ranges.observe(graph)
      const session = yield* Session.make(Model.encode(observed.graph), { name: graph.name, ...threads })
      const ranges = new Map<string, Ranges.Range>()
      yield* Samples.each(samples, (batch) =>
        Effect.map(session.run(batch.inputs), (results) => {
          for (const [value, { low, high }] of observed.outputs) {
            const range = { low: Number(results[low]!.data[0]), high: Number(results[high]!.data[0]) }
            ranges.set(value, Ranges.union(ranges.get(value), range))
          }
        })
      )
      return ranges
    })
  )

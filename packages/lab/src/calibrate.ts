/** Ranges of the activations that layers read, over the calibration samples. */
import type { Graph } from "@bitbudget/graph"
import { Model } from "@bitbudget/graph"
import { Ranges } from "@bitbudget/quant"
import type { Data } from "@bitbudget/runtime"
import { Evaluate, Session } from "@bitbudget/runtime"
import { Effect } from "effect"

export const calibrate = (graph: Graph.Graph, split: Data.Split, limit: number, threads?: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const observed = Ranges.observe(graph)
      const session = yield* Session.make(Model.encode(observed.graph), {
        name: graph.name,
        ...(threads === undefined ? {} : { threads })
      })
      const names = [...observed.outputs.values()].flatMap(({ low, high }) => [low, high])
      const ranges = new Map<string, Ranges.Range>()
      return yield* Evaluate.outputs(
        session,
        split,
        names,
        ranges,
        (state, results) => {
          for (const [value, { low, high }] of observed.outputs) {
            const range = { low: Number(results[low]!.data[0]), high: Number(results[high]!.data[0]) }
            state.set(value, Ranges.union(state.get(value), range))
          }
          return state
        },
        // Repeated samples do not change extremes.
        { limit, stage: "activation ranges", filling: "keep" }
      )
    })
  )

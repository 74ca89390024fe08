/**
 * What quantization does to a network as a whole, without labels: Σ(z − ẑ)² / Σz² over its outputs z on some calibration
 * samples. Recipes decide by it whether a pass is kept.
 */
import type { Graph } from "@bitbudget/graph"
import { Effect } from "effect"
import type { Calibration } from "../calibration/Calibration.ts"
import { eachBatch } from "../calibration/passes.ts"
import { simulate } from "../FakeQuant.ts"
import type { QuantizedNetwork } from "../QuantizedNetwork.ts"

/** Enough to tell passes apart, few enough to be cheap. */
const SAMPLES = 256

export const outputErrorOf = <E>(
  graph: Graph.Graph,
  calibration: Calibration<E>
): Effect.Effect<(network: QuantizedNetwork) => Effect.Effect<number, E>, E> =>
  Effect.gen(function* () {
    const batches = Math.max(1, Math.floor(SAMPLES / calibration.batchSize))
    const exact: Array<ReadonlyArray<Float64Array>> = []
    let signal = 0
    yield* eachBatch(
      calibration,
      graph,
      (results) => {
        const outputs = graph.outputs.map((name) => Float64Array.from(results.get(name)!))
        for (const values of outputs) for (const z of values) signal += z * z
        exact.push(outputs)
      },
      batches
    )
    return (network) => {
      const simulated = simulate(network)
      let noise = 0
      return Effect.map(
        eachBatch(
          calibration,
          simulated,
          (results, batch) =>
            simulated.outputs.forEach((name, o) => {
              const [z, values] = [exact[batch]![o]!, results.get(name)!]
              for (let i = 0; i < z.length; i++) noise += (z[i]! - values[i]!) ** 2
            }),
          batches
        ),
        () => noise / Math.max(signal, Number.MIN_VALUE)
      )
    }
  })

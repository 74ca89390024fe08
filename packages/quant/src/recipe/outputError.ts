/**
 * What quantization does to a network as a whole, without labels, on some calibration samples: Σ(z − ẑ)² / Σz² over its outputs
 * z; where these are scores of classes, the divergence KL(softmax(z) ‖ softmax(ẑ)), since what all scores have in common
 * does not matter. Recipes decide by it whether a pass is kept.
 */
import { Gradient, type Graph, Tensor } from "@bitbudget/graph"
import { Effect, type Scope } from "effect"
import type { Calibration } from "../calibration/Calibration.ts"
import { eachBatch, eachBatchOf } from "../calibration/passes.ts"
import { simulate } from "../FakeQuant.ts"
import type { QuantizedNetwork } from "../QuantizedNetwork.ts"

/** Enough to tell passes apart, few enough to be cheap. */
const SAMPLES = 256

/** Samples with many targets each, of which fewer are enough. */
const LONG_SAMPLES = 64

/** The error of a network that has constants of the quantized one as inputs, given their values. */
type ErrorAt<E> = (values: ReadonlyMap<string, Tensor.Tensor>) => Effect.Effect<number, E>

export interface OutputErrors<E = never> {
  readonly unit: "share" | "nats"
  readonly errorOf: (network: QuantizedNetwork) => Effect.Effect<number, E>
  /** The same of one simulation with some constants free, for many values of them; open as long as the scope. */
  readonly errorsOf: (
    simulated: Graph.Graph,
    free: ReadonlyArray<string>
  ) => Effect.Effect<ErrorAt<E>, E, Scope.Scope>
}

const withErrorOf = <E>({ unit, errorsOf }: Omit<OutputErrors<E>, "errorOf">): OutputErrors<E> => ({
  unit,
  errorsOf,
  errorOf: (network) =>
    Effect.scoped(Effect.flatMap(errorsOf(simulate(network), []), (errorAt) => errorAt(new Map())))
})

export const outputErrorOf = <E>(
  graph: Graph.Graph,
  calibration: Calibration<E>
): Effect.Effect<OutputErrors<E>, E> => {
  const rank = graph.values.get(graph.outputs[0]!)!.shape.length
  return calibration.classAxis === rank - 2 ? divergence(graph, calibration, rank) : share(graph, calibration)
}

const batchesFor = ({ batchSize }: Pick<Calibration, "batchSize">, samples: number) => ({
  limit: Math.max(1, Math.floor(samples / batchSize))
})

/** Mean divergence of a target's probabilities, in nats. */
const divergence = <E>(
  graph: Graph.Graph,
  calibration: Calibration<E>,
  rank: number
): Effect.Effect<OutputErrors<E>, E> =>
  Effect.gen(function* () {
    const limit = batchesFor(calibration, rank > 2 ? LONG_SAMPLES : SAMPLES)
    const output = Gradient.scoredOutput(graph, "klDivergence")
    const shape = Gradient.bindBatch(graph, calibration.batchSize).values.get(output)!.shape
    const exact: Array<Tensor.Tensor> = []
    yield* eachBatch(
      calibration,
      { ...graph, outputs: [output] },
      (results) => exact.push(Tensor.float32(shape.map(Number), Float32Array.from(results.get(output)!))),
      limit
    )
    return withErrorOf({
      unit: "nats",
      errorsOf: (simulated, free) => {
        const lossy = Gradient.withLoss(simulated, "klDivergence")
        const scored = { ...Gradient.freeConstants(lossy.graph, free), outputs: [lossy.losses] }
        return Effect.map(calibration.open(scored), (run) => (values) => {
          let [sum, count] = [0, 0]
          const pass = eachBatchOf(
            calibration,
            run,
            (results) => {
              for (const loss of results.get(lossy.losses)! as Float32Array) {
                sum += loss
                count++
              }
            },
            { ...limit, feedsOf: (batch) => new Map([...values, [lossy.target, exact[batch]!]]) }
          )
          return Effect.map(pass, () => sum / count)
        })
      }
    })
  })

/** Squared error over signal, of all outputs. */
const share = <E>(graph: Graph.Graph, calibration: Calibration<E>): Effect.Effect<OutputErrors<E>, E> =>
  Effect.gen(function* () {
    const limit = batchesFor(calibration, SAMPLES)
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
      limit
    )
    return withErrorOf({
      unit: "share",
      errorsOf: (simulated, free) =>
        Effect.map(calibration.open(Gradient.freeConstants(simulated, free)), (run) => (values) => {
          let noise = 0
          const pass = eachBatchOf(
            calibration,
            run,
            (results, batch) =>
              simulated.outputs.forEach((name, o) => {
                const [z, values] = [exact[batch]![o]!, results.get(name)!]
                for (let i = 0; i < z.length; i++) noise += (z[i]! - values[i]!) ** 2
              }),
            { ...limit, feedsOf: () => values }
          )
          return Effect.map(pass, () => noise / Math.max(signal, Number.MIN_VALUE))
        })
    })
  })

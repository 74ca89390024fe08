/**
 * ½·ΔWᵀHΔW of every layer's rounding errors with the Hessian itself: what the Gauss–Newton form leaves out where a
 * network bends smoothly with its weights.
 *
 * A layer and format takes a run of second derivatives, several times a forward pass: more than measuring the increase
 * outright, and worth it only to tell curvature from slope and higher terms.
 */
import { Means } from "@bitbudget/numerics"
import type { Layer } from "@bitbudget/graph"
import { Gradient, Model } from "@bitbudget/graph"
import { WeightKinds } from "@bitbudget/quant"
import type { Evaluate } from "@bitbudget/runtime"
import { Progress, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { secondDerivatives } from "./Directional.ts"
import * as Rounding from "./Rounding.ts"
import * as Samples from "./Samples.ts"
import * as Setting from "./Setting.ts"

export interface Options extends Setting.Setting {
  readonly choices: Rounding.LayerChoices
}

export interface LayerForms {
  readonly id: string
  /** By weight format; standard errors over samples. */
  readonly byWeights: Readonly<Record<string, Means.Estimate>>
}

/** Copies of the network's values a graph of second derivatives holds. */
const COPIES = 6
const LARGEST_BATCH = 32

export const hessianForms = (
  options: Options
): Effect.Effect<ReadonlyArray<LayerForms>, Evaluate.Failure | Gradient.NotDifferentiable> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { graph, layers, choices, rounder = Rounding.nearest(graph) } = options
      const { samples, lossy, threads } = yield* Setting.open(options, COPIES, LARGEST_BATCH)
      const stage = "Hessian forms of the rounding errors"

      const formsOf = (layer: Layer.Layer) =>
        Effect.scoped(
          Effect.gen(function* () {
            const made = yield* Gradient.attempt(() =>
              secondDerivatives(graph, lossy, [layer], samples.batchSize)
            )
            const session = yield* Session.make(Model.encode(made.graph), {
              name: `second derivatives of ${graph.name}`,
              ...threads
            })
            const formats = new Map(
              Rounding.choicesOf(choices, layer).map((choice) => [WeightKinds.show(choice.weights), choice])
            )
            const errors = [...formats.values()].map((choice) =>
              Value.float32(layer.weightShape, Rounding.weightError(graph, layer, rounder(layer, choice)))
            )
            const forms = errors.map(() => new Float64Array(samples.count))
            yield* Samples.each(samples, (batch) =>
              Effect.gen(function* () {
                const feeds = { ...batch.inputs, [lossy.target]: batch.target }
                for (const [f, error] of errors.entries()) {
                  const results = yield* session.run({ ...feeds, [made.directions[0]!]: error })
                  const { data } = results[made.forms[0]!]!
                  for (let n = batch.from; n < batch.to; n++)
                    forms[f]![n] = 0.5 * Number(data[n - batch.from])
                }
              })
            )
            return Object.fromEntries([...formats.keys()].map((id, f) => [id, Means.estimate(forms[f]!)]))
          })
        )

      const found: Array<LayerForms> = []
      for (const layer of layers) {
        yield* Progress.step({ stage, done: found.length, total: layers.length })
        found.push({ id: layer.id, byWeights: yield* formsOf(layer) })
      }
      yield* Progress.step({ stage, done: layers.length, total: layers.length })
      return found
    })
  )

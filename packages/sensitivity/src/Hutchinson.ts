/**
 * Traces of every layer's Hessian block by random probes: E vᵀHv = tr H for independent signs v.
 * (Hutchinson 1990; Avron & Toledo, JACM 2011; HAWQ-v2, NeurIPS 2020, for networks.)
 *
 * One second derivative along signs in all weights serves all layers: v_l·(Hv)_l is unbiased for tr H_ll, with
 * noise from the other layers' blocks v_lᵀH_lm v_m, which drowns layers of little curvature. Three things keep the
 * noise down, none of which costs a run:
 * - A layer's signs are scaled by s_l ≈ (tr H_ll)^−½, from a few pilot probes, and its value divided by s_l²: still
 *   unbiased, and the noise of every layer becomes relative to its own trace.
 * - Every batch gets signs of its own: H is the mean of the batches' Hessians, and independent noise averages out.
 * - Values are taken sample by sample in float32 and summed in float64.
 *
 * Probing stops when every layer's standard error is at most `tolerance` times its trace, or after `maxProbes`. The
 * standard error is widened so that ±1.96 of it is a 95 % interval with few, skewed values too.
 */
import { Means, Random } from "@bitbudget/numerics"
import type { Graph, Layer } from "@bitbudget/graph"
import { Gradient, Model } from "@bitbudget/graph"
import type { Evaluate } from "@bitbudget/runtime"
import { Progress, Session, Value } from "@bitbudget/runtime"
import type { Scope } from "effect"
import { Effect } from "effect"
import { secondDerivatives } from "./Directional.ts"
import * as Samples from "./Samples.ts"

export interface Options {
  readonly seed: number
  /** Standard error over trace at which probing stops. */
  readonly tolerance: number
  readonly maxProbes: number
}

export interface HutchinsonTrace {
  readonly id: string
  readonly trace: number
  /** Of the probes, on these samples. */
  readonly stdErr: number
  /** Over the samples: what another draw of the data would change. Null for one sample. */
  readonly samplingStdErr: number | null
  /** Passes over all samples. */
  readonly probes: number
}

const PILOT_PROBES = 8
const LEAST_PROBES = 32
/** A batch is read once for so many probes. */
const ROUND = 8

/** Copies of the network's values a graph of second derivatives holds: forward, backward, and both again. */
export const COPIES = 6

/** Traces of all layers' blocks of the Hessian of the mean loss. `samples` must be filled up to whole batches. */
export const traces = (
  graph: Graph.Graph,
  samples: Samples.Samples,
  lossy: Gradient.Lossy,
  layers: ReadonlyArray<Layer.Layer>,
  { seed, tolerance, maxProbes, ...options }: Options & Session.Options
): Effect.Effect<
  ReadonlyArray<HutchinsonTrace>,
  Evaluate.Failure | Gradient.NotDifferentiable,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const made = yield* Gradient.attempt(() => secondDerivatives(graph, lossy, layers, samples.batchSize))
    const session = yield* Session.make(Model.encode(made.graph), options)

    /** vᵀHv of every layer, unscaled, for the probes [from, to); `each` sees every sample's part. */
    const probe = (
      purpose: string,
      from: number,
      to: number,
      scales: ReadonlyArray<number>,
      each: (layer: number, sample: number, value: number) => void
    ) =>
      Effect.gen(function* () {
        const sums = Array.from({ length: to - from }, () => layers.map(() => 0))
        yield* Samples.each(samples, (batch) =>
          Effect.gen(function* () {
            for (const [p, sum] of sums.entries()) {
              const directions = layers.map(({ id, weightShape, weightElements }, l) => {
                const signs = Random.rademacher(
                  seed,
                  `${purpose} ${from + p} ${batch.from} ${id}`,
                  weightElements
                )
                const scaled = signs.map((sign) => sign * scales[l]!)
                return [made.directions[l]!, Value.float32(weightShape, scaled)] as const
              })
              const feeds = { ...batch.inputs, [lossy.target]: batch.target }
              const results = yield* session.run({ ...feeds, ...Object.fromEntries(directions) })
              made.forms.forEach((name, l) => {
                const { data } = results[name]!
                for (let i = 0; i < batch.to - batch.from; i++) {
                  const value = Number(data[i]) / scales[l]! ** 2
                  sum[l]! += value / samples.count
                  each(l, batch.from + i, value)
                }
              })
            }
          })
        )
        return sums
      })

    const ones = layers.map(() => 1)
    const pilot = yield* probe("pilot", 0, PILOT_PROBES, ones, () => undefined)
    const scales = layers.map((_, l) => {
      const { value, stdErr } = Means.estimate(pilot.map((values) => values[l]!))
      const size = Math.max(Math.abs(value), stdErr ?? 0)
      return size > 0 ? 1 / Math.sqrt(size) : 1
    })

    const stage = "Hutchinson traces"
    const values: Array<ReadonlyArray<number>> = []
    const sampleSums = layers.map(() => new Float64Array(samples.count))
    const summary = () =>
      layers.map(({ id }, l): HutchinsonTrace => {
        const { value, stdErr } = Means.fewValues(values.map((row) => row[l]!))
        const probes = values.length
        return {
          id,
          trace: value,
          stdErr: stdErr ?? Infinity,
          samplingStdErr: Means.estimate(sampleSums[l]!.map((sum) => sum / probes)).stdErr,
          probes
        }
      })
    let target = Math.min(LEAST_PROBES, maxProbes)
    while (values.length < target) {
      const done = values.length
      yield* Progress.step({ stage, done, total: target })
      const to = Math.min(target, done + ROUND)
      values.push(
        ...(yield* probe("probe", done, to, scales, (l, n, value) => {
          sampleSums[l]![n]! += value
        }))
      )
      if (values.length < target) continue
      // Errors fall with the square root of the probes. Looking seldom keeps the intervals honest: stopping at the
      // first look that pleases would favour errors that are estimated too small.
      const worst = Math.max(
        ...summary().map(({ trace, stdErr }) => (stdErr === 0 ? 0 : stdErr / Math.abs(trace) / tolerance))
      )
      if (worst > 1)
        target = Math.min(maxProbes, Math.ceil(target * Math.min(4, Math.max(1.5, 1.2 * worst ** 2))))
    }
    yield* Progress.step({ stage, done: values.length, total: values.length })
    return summary()
  })

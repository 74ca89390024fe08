/**
 * Measure: what each layer suffers from each of its choices, rounded by the recipe that will be applied. It depends on the
 * network, the data, the choices and the recipe only, so every later budget and device finds it.
 */
import { type Graph } from "@bitbudget/graph"
import { Choice } from "@bitbudget/quant"
import type { Data } from "@bitbudget/runtime"
import { Curvature, Loss, type Report, Sensitivity } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import { samplesFor } from "../Sensitivities.ts"
import type { StoreFailure } from "../store/failures.ts"
import * as Stage from "../store/Stage.ts"
import type { Cookery } from "./cook.ts"
import type { Job, JobFailure } from "./job.ts"
import { type MetricChoice, takenFrom } from "./losses.ts"
import type { Opened } from "./open.ts"
import { DEFAULT_SAMPLES } from "./Request.ts"

export interface Measured {
  readonly report: Report.SensitivityReport
  /** What plans are compared on: the split and how many of its samples. */
  readonly tuning: { readonly split: Data.Split; readonly samples: number }
}

/** Traces are worth their time where they are exact, or where the user wants what is made of them. */
const metricsFor = (
  graph: Graph.Graph,
  split: Data.Split,
  metric: MetricChoice
): ReadonlyArray<Sensitivity.Metric> => {
  const { holds } = Curvature.gaussNewtonEqualsHessian(graph, Loss.named(Loss.defaultFor(split)))
  const usual = Sensitivity.defaultMetrics.filter((name) => holds || name !== "trace")
  return metric === "auto" ? usual : [...new Set([...usual, takenFrom[metric]])]
}

/** Choices of every layer as plain data. */
export const written = ({
  layers,
  choices
}: Opened): ReadonlyArray<readonly [string, ReadonlyArray<string>]> =>
  layers.map(({ id }) => [id, choices.get(id)!.map(Choice.show)])

export const measure = Effect.fn("measure")(function* (
  job: Job,
  opened: Opened,
  { key, ranges, rounder }: Pick<Cookery, "ranges" | "rounder"> & { readonly key: unknown }
): Effect.fn.Return<Measured, JobFailure> {
  const { model, data, metric, seed, threads } = job.request
  const { graph } = opened
  const tuning = yield* data.split("sensitivity")
  const samples = samplesFor(tuning, DEFAULT_SAMPLES, job.request.samples)
  const metrics = metricsFor(graph, tuning, metric)
  // What every metric's figures depend on; which of them are taken does not.
  const inputs = [model.sha256, job.data, written(opened), key, samples, seed]
  const report = yield* Sensitivity.analyze<StoreFailure>({
    ...(threads === undefined ? {} : { threads }),
    graph,
    choices: opened.choices,
    ranges,
    rounder,
    split: tuning,
    samples,
    metrics,
    whenUnavailable: "note",
    seed,
    ...(metric === "auto" ? {} : { referee: false }),
    stage: (name, work) => job.stage(Stage.plain(`sensitivity: ${name}`, 1), [inputs, metrics], work)
  })
  const measured: Measured = { report, tuning: { split: tuning, samples } }
  return measured
})

/**
 * Measure: what each layer suffers from each of its choices, rounded by the recipe that will be applied. It depends on the
 * network, the data, the choices and the recipe only, so every later budget and device finds it.
 */
import { type Graph, Work } from "@bitbudget/graph"
import { Choice } from "@bitbudget/quant"
import type { Data } from "@bitbudget/runtime"
import { Curvature, Loss, type Report, Sensitivity } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import { samplesFor } from "../Sensitivities.ts"
import type { StoreFailure } from "../store/failures.ts"
import * as Stage from "../store/Stage.ts"
import { asItIs, type Cookery } from "./cook.ts"
import { evaluate, lossOf } from "./evaluation.ts"
import type { Job, JobFailure } from "./job.ts"
import { type MetricChoice, takenFrom } from "./losses.ts"
import type { Opened } from "./open.ts"
import { DEFAULT_SAMPLES } from "./Request.ts"

export interface Measured {
  readonly report: Report.SensitivityReport
  /** What whole plans are compared on: the split and how many of its samples. */
  readonly tuning: { readonly split: Data.Split; readonly samples: number }
  /** The float network's loss there; null without labels. */
  readonly floatLoss: number | null
}

/** Traces are worth their time where they are exact, or where the user wants what is made of them. */
const metricsFor = (
  graph: Graph.Graph,
  split: Data.Split,
  metric: MetricChoice
): ReadonlyArray<Sensitivity.Metric> => {
  const { holds } = Curvature.gaussNewtonEqualsHessian(graph, Loss.named(Loss.defaultFor(graph, split)))
  const usual = Sensitivity.defaultMetrics.filter((name) => holds || name !== "trace")
  return metric === "auto" ? usual : [...new Set([...usual, takenFrom[metric]])]
}

/** Multiplications that trying one plan may take, */
const TRIAL_MACS = 4e10

/** and samples it is tried on at most. Plans differ by less than 512 samples can tell. */
const MOST_TRIAL_SAMPLES = 4096

/** Samples of a trial: more than sensitivities need, as long as the network is small. */
const trialSamples = ({ workload }: Opened, split: Data.Split, least: number): number => {
  const macs = workload.steps.reduce((sum, { work }) => sum + Work.macs(work), 0)
  const affordable = Math.floor(TRIAL_MACS / Math.max(1, macs))
  return Math.min(split.size, Math.max(least, Math.min(MOST_TRIAL_SAMPLES, affordable)))
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
  const asked: Sensitivity.Options<StoreFailure> = {
    ...(threads === undefined ? {} : { threads }),
    graph,
    choices: opened.choices,
    ranges,
    rounder,
    split: tuning,
    samples,
    metrics,
    ...(metric === "auto" ? {} : { always: [takenFrom[metric]] }),
    whenUnavailable: "note",
    seed,
    ...(metric === "auto" ? {} : { referee: false }),
    stage: (name, work) => job.stage(Stage.plain(`sensitivity: ${name}`, 4), [inputs, metrics], work)
  }
  const report =
    graph.inputs.length === 1
      ? yield* Sensitivity.analyze<StoreFailure>(asked)
      : Sensitivity.unmeasured(
          asked,
          `the network has ${graph.inputs.length} inputs, so no derivatives are taken: every layer is rounded alone, and what the outputs suffer is measured`
        )
  const trial = { split: tuning, samples: job.request.samples ?? trialSamples(opened, tuning, samples) }
  const float = asItIs(graph, new Map(opened.layers.map(({ id }) => [id, Choice.f32])))
  const floatLoss = lossOf(yield* evaluate(job, opened, float, trial, "trying the float network")) ?? null
  const measured: Measured = { report, tuning: trial, floatLoss }
  return measured
})

/**
 * How much each layer suffers from each width, stored as it is found: what `sensitivity` prints and what the main
 * job minimises. Every metric is a stage of the run, so an interrupted analysis goes on behind the last one.
 */
import { GraphBuilder, type Model } from "@bitbudget/graph"
import { Data } from "@bitbudget/runtime"
import { Choice } from "@bitbudget/quant"
import { Loss, type Report, Rounding, Sensitivity } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "./errors.ts"
import type { SensitivityResult } from "./results/sensitivity.ts"
import type { StoreFailure } from "./store/failures.ts"
import type { RefereeRow, SensitivityRow } from "./store/Outcome.ts"
import { notingTheEnd, RunStore } from "./store/RunStore.ts"
import { runId } from "./store/identity.ts"
import * as Stage from "./store/Stage.ts"

export interface Request {
  readonly model: Model.Model
  readonly data: Data.Dataset
  /** Those that are usual, as far as the network allows, when absent. */
  readonly metrics?: ReadonlyArray<Sensitivity.Metric> | undefined
  readonly choices: ReadonlyArray<Choice.Choice>
  /** DEFAULT_SAMPLES, or fewer of text, when absent. */
  readonly samples?: number | undefined
  readonly seed: number
  /** What the data's labels allow when absent. */
  readonly loss?: Loss.LossName | undefined
  readonly threads?: number | undefined
  /** Standard error over trace at which random probes stop. */
  /** The one output to judge; all when absent. */
  readonly output?: string | undefined
  readonly tolerance: number
  /** "hutchinson" probes even where the exact trace is to be had. */
  readonly traceMethod: "auto" | "hutchinson"
  readonly force: boolean
}

export const metricNames = Sensitivity.metrics
export const defaultMetricNames = Sensitivity.defaultMetrics
export const lossNames = Loss.names

/** Metrics as a user names them, with commas. */
export const metricsOf = (
  text: string | undefined
): Effect.Effect<ReadonlyArray<Sensitivity.Metric> | undefined, UnusableRequest> => {
  if (text === undefined) return Effect.succeed(undefined)
  const names = text.split(",").map((name) => name.trim())
  const unknown = names.find((name) => !Sensitivity.metrics.some((metric) => metric === name))
  return unknown === undefined
    ? Effect.succeed(Sensitivity.metrics.filter((metric) => names.includes(metric)))
    : Effect.fail(
        new UnusableRequest({
          why: `--metrics: "${unknown}" is not one of ${Sensitivity.metrics.join(", ")}`
        })
      )
}

/** Predictions that are enough to tell layers apart where nothing is said: a sample of text has many. */
const ENOUGH_LABELS = 4096

/** Samples where the user names no number: at most `most`, fewer where each sample has many labels. */
export const samplesFor = (split: Data.Split, most: number, asked: number | undefined): number => {
  const labels = (split.labels?.shape ?? []).reduce((a, b) => a * b, 1)
  return asked ?? Math.max(16, Math.min(most, Math.floor(ENOUGH_LABELS / labels)))
}

/** Samples of `sensitivity` where nothing is said. */
export const DEFAULT_SAMPLES = 256

/** Fields that are figures, not the error of one. */
type Figure<R> = {
  [K in keyof R]-?: K extends `${string}StdErr${string}` | "stdErr" | "topEigenvalueResidual"
    ? never
    : R[K] extends number | null | undefined
      ? K
      : never
}[keyof R]

/** Each figure and the field of its error, if it has one: all of the report's, as the compiler checks. */
type Figures<R> = { readonly [K in Figure<R>]: keyof R | undefined }

const layerFigures: Figures<Omit<Report.LayerReport, "params">> = {
  trace: "traceStdErr",
  gaussNewtonTrace: "gaussNewtonTraceStdErr",
  topEigenvalue: "topEigenvalueResidual",
  fisher: "fisherStdErr"
}
const formatFigures: Figures<Report.FormatReport> = {
  deltaWeightSq: undefined,
  omega: "omegaStdErr",
  lambdaOmega: undefined,
  fisherOmega: undefined,
  quadratic: "quadraticStdErr",
  hessianQuadratic: "hessianQuadraticStdErr",
  linear: "linearStdErr",
  klDivergence: "klDivergenceStdErr",
  outputSqnrDb: "outputSqnrStdErrDb",
  deltaLoss: "stdErr"
}
const inputFigures: Figures<Omit<Report.ActivationReport, "elements">> = { trace: "traceStdErr" }
const inputFormatFigures: Figures<Report.ActivationFormatReport> = {
  noiseOmega: undefined,
  deltaLoss: "stdErr"
}

type Row = Pick<SensitivityRow, "metric" | "value" | "stdErr">

const rows = <R extends object>(
  report: R,
  figures: Figures<R>,
  named = (field: string) => field
): ReadonlyArray<Row> => {
  const numbers = new Map<unknown, unknown>(Object.entries(report))
  const number = (field: unknown) => {
    const value = numbers.get(field)
    return typeof value === "number" ? value : null
  }
  return Object.entries(figures).flatMap(([field, error]) => {
    const value = number(field)
    return value === null ? [] : [{ metric: named(field), value, stdErr: number(error) }]
  })
}

const ofInput = (field: string) => `input${field[0]!.toUpperCase()}${field.slice(1)}`

/**
 * The figures of a report, one a row; those of a layer's input are named inputTrace, inputNoiseOmega, inputDeltaLoss.
 * Interactions, of two layers each, stay in the report.
 */
export const rowsOf = ({ layers }: Report.SensitivityReport): ReadonlyArray<SensitivityRow> =>
  layers.flatMap((layer) => {
    const at = (choice: string | null, found: ReadonlyArray<Row>) =>
      found.map((row) => ({ layer: layer.id, choice, ...row }))
    const { activation } = layer
    return [
      ...at(null, rows(layer, layerFigures)),
      ...Object.entries(layer.byChoice).flatMap(([choice, format]) =>
        at(choice, rows(format, formatFigures))
      ),
      ...(activation === undefined ? [] : at(null, rows(activation, inputFigures, ofInput))),
      ...Object.entries(activation?.byFormat ?? {}).flatMap(([format, figures]) =>
        at(format, rows(figures, inputFormatFigures, ofInput))
      )
    ]
  })

export const refereeRowsOf = ({ referee = {} }: Report.SensitivityReport): ReadonlyArray<RefereeRow> =>
  Object.entries(referee).map(([metric, { spearman, n }]) => ({ metric, spearman, n }))

/** Analyses, or finds the same analysis in the store. */
export const analyze = Effect.fn("Sensitivities.analyze")(function* (
  request: Request
): Effect.fn.Return<SensitivityResult, RequestFailure | StoreFailure, RunStore> {
  const { model, data, metrics, choices, seed, loss, threads, tolerance, traceMethod } = request
  const split = data.whole ?? (yield* data.split("sensitivity"))
  const samples = samplesFor(split, DEFAULT_SAMPLES, request.samples)
  const store = yield* RunStore
  const { output } = request
  if (output !== undefined && !model.graph.outputs.includes(output))
    return yield* new UnusableRequest({
      why: `${model.file} has no output "${output}"; its outputs are ${model.graph.outputs.join(", ")}`
    })
  const options = JSON.stringify({
    output: output ?? null,
    metrics: metrics ?? Sensitivity.defaultMetrics,
    choices: choices.map(Choice.show),
    samples,
    seed,
    loss: loss ?? null,
    tolerance,
    traceMethod
  })
  const fingerprint = yield* Data.fingerprint(data)
  const inputs = [model.sha256, fingerprint, options]
  const run = runId("sensitivity", inputs)
  if (request.force) yield* store.forget(run)
  const dataset = { sha256: fingerprint, name: data.name }
  yield* store.begin({ id: run, kind: "sensitivity", model, dataset, options, seed, threads })
  // Layers of other heads are none of this one's.
  const graph = output === undefined ? model.graph : GraphBuilder.from(model.graph).finish([output])
  const outputs = Object.entries(data.descriptor.outputs ?? {})
  const weights = Object.fromEntries(outputs.map(([name, { weight }]) => [name, weight ?? 1]))
  const report = yield* Sensitivity.analyze<StoreFailure>({
    graph,
    weights,
    split,
    samples,
    choices: Rounding.everywhere(graph, choices),
    ...(metrics === undefined ? {} : { metrics }),
    seed,
    tolerance,
    traceMethod,
    ...(loss === undefined ? {} : { loss }),
    ...(threads === undefined ? {} : { threads }),
    stage: (name, work) =>
      store.stage(run, Stage.plain(`sensitivity: ${name}`, 4), [inputs, name], work, { fresh: request.force })
  }).pipe(notingTheEnd(store, run))
  yield* store.finishAnalysis(run, { sensitivities: rowsOf(report), referee: refereeRowsOf(report) })
  return { run, ...report }
})

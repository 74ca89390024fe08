/**
 * How much a network's loss suffers from rounding each layer, by every metric asked for, judged by the truth.
 *
 *   statement → trace → … → measured increase → referee
 *
 * Each metric is a stage with a plain JSON result: a caller that stores stages can resume an interrupted analysis.
 * The seed decides every random choice; the number of threads decides nothing but the time.
 */
import type { Graph } from "@bitbudget/graph"
import { Gradient, Layer } from "@bitbudget/graph"
import type { Data, Evaluate } from "@bitbudget/runtime"
import { Effect, Schema } from "effect"
import * as Curvature from "./Curvature.ts"
import * as GaussNewton from "./GaussNewton.ts"
import type { LossName } from "./Loss.ts"
import { defaultFor, named } from "./Loss.ts"
import * as Measured from "./Measured.ts"
import * as Referee from "./Referee.ts"
import type { FormatReport, LayerReport, SensitivityReport } from "./Report.ts"

export const metrics = ["trace", "deltaLoss", "klDivergence"] as const

export type Metric = (typeof metrics)[number]

/** What is measured when nothing is said. */
export const defaultMetrics: ReadonlyArray<Metric> = ["trace", "deltaLoss", "klDivergence"]

/** A metric that was asked for cannot be taken of this network. */
export class MetricUnavailable extends Schema.TaggedError<MetricUnavailable>()("MetricUnavailable", {
  model: Schema.String,
  metric: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `${this.model}: the metric ${this.metric} cannot be taken: ${this.why}; choose others with --metrics`
  }
}

/** Runs the work of a stage, or gives back its stored result. Results are plain JSON. */
export type Stage<F> = <A, E, R>(name: string, work: Effect.Effect<A, E, R>) => Effect.Effect<A, E | F, R>

export interface Options<F = never> {
  readonly graph: Graph.Graph
  readonly split: Data.Split
  /** The first so many of the split, or all it has. */
  readonly samples: number
  readonly bits: ReadonlyArray<number>
  readonly metrics?: ReadonlyArray<Metric>
  /** 0 when absent. */
  readonly seed?: number
  /** What the data's labels allow when absent. */
  readonly loss?: LossName
  /**
   * Samples for the referee. When absent, the next `samples` of the same split; where it has none left, there is no
   * referee. `false` leaves it out.
   */
  readonly referee?: { readonly split: Data.Split; readonly from?: number; readonly samples: number } | false
  /** Samples a run. */
  readonly batchSize?: number
  readonly threads?: number
  readonly stage?: Stage<F>
}

const withoutStore = <A, E, R>(_: string, work: Effect.Effect<A, E, R>) => work

/** What has no derivative is said with the name of the metric that needed it. */
const refusing = <A, E, R>(
  model: string,
  metric: Metric,
  work: Effect.Effect<A, E | Gradient.NotDifferentiable, R>
) =>
  Effect.mapError(work, (error) =>
    error instanceof Gradient.NotDifferentiable
      ? new MetricUnavailable({ model, metric, why: error.message })
      : error
  )

/** Data for the referee: what was asked for, or the samples after those of the metrics. */
const refereeData = <F>({ referee, split, samples }: Options<F>) => {
  if (referee === false) return undefined
  const { from = 0, ...rest } = referee ?? { split, from: samples, samples }
  const left = Math.min(rest.samples, rest.split.size - from)
  return left < 2 ? undefined : { split: rest.split, from, samples: left }
}

/** Whether two samples sets share samples. */
const overlaps = (split: Data.Split, samples: number, other: { split: Data.Split; from: number }): boolean =>
  other.split.name === split.name && other.split.file === split.file && other.from < samples

const formatReport = (
  layer: Layer.Layer,
  measured: Measured.Increase | undefined,
  deltaWeightSq: number,
  trace: { readonly trace: number; readonly stdErr: number } | undefined,
  wantsLoss: boolean
): FormatReport => {
  const perWeight = deltaWeightSq / layer.weightElements
  return {
    deltaWeightSq,
    ...(trace === undefined ? {} : { omega: trace.trace * perWeight, omegaStdErr: trace.stdErr * perWeight }),
    ...(measured?.outputs === undefined
      ? {}
      : {
          klDivergence: measured.outputs.klDivergence?.value ?? null,
          klDivergenceStdErr: measured.outputs.klDivergence?.stdErr ?? null,
          outputSqnrDb: measured.outputs.sqnrDb.value,
          outputSqnrStdErrDb: measured.outputs.sqnrDb.stdErr
        }),
    ...(measured === undefined || !wantsLoss
      ? {}
      : { deltaLoss: measured.deltaLoss, stdErr: measured.stdErr })
  }
}

export const analyze = Effect.fn("Sensitivity.analyze")(function* <F = never>(options: Options<F>) {
  const { graph, split, bits } = options
  const loss = options.loss ?? defaultFor(split)
  const stage: Stage<F> = options.stage ?? withoutStore
  const wanted = new Set(options.metrics ?? defaultMetrics)
  const layers = Layer.layersOf(graph)
  const samples = Math.min(options.samples, split.size)
  const statement = Curvature.gaussNewtonEqualsHessian(graph, named(loss))
  const notes: Array<string> = []
  const common = {
    graph,
    split,
    ...(options.batchSize === undefined ? {} : { batchSize: options.batchSize }),
    ...(options.threads === undefined ? {} : { threads: options.threads })
  }

  const traces = wanted.has("trace")
    ? yield* stage("trace", refusing(graph.name, "trace", GaussNewton.traces({ ...common, samples })))
    : undefined
  const measured =
    wanted.has("deltaLoss") || wanted.has("klDivergence")
      ? yield* stage(
          "deltaLoss",
          Measured.lossIncrease({ ...common, bits, loss, samples, outputs: wanted.has("klDivergence") })
        )
      : undefined

  const traceOf = (l: number) => {
    const found = traces?.[l]
    return found === undefined ? undefined : { ...found, stdErr: 0 }
  }
  const layerReport = (layer: Layer.Layer, l: number): LayerReport => {
    const trace = traceOf(l)
    const breach = statement.layers.get(layer.id) ?? null
    const byBits = bits.map((width) => {
      const increase = measured?.layers[l]?.byBits[String(width)]
      const squared = Measured.squaredNorm(Measured.roundingError(graph, layer, width))
      const format = formatReport(layer, increase, squared, trace, wanted.has("deltaLoss"))
      return [String(width), format] as const
    })
    return {
      id: layer.id,
      params: layer.weightElements,
      ...(trace === undefined
        ? {}
        : {
            trace: trace.trace,
            traceStdErr: trace.stdErr,
            traceSamplingStdErr: trace.samplingStdErr,
            exact: breach === null,
            traceMethod: "gaussNewton"
          }),
      gaussNewtonEqualsHessian: breach === null,
      brokenBy: breach,
      byBits: Object.fromEntries(byBits)
    }
  }
  const reports = layers.map(layerReport)

  const apart = refereeData(options)
  if (apart === undefined && options.referee !== false)
    notes.push(`no referee: ${split.file} has no samples after the ${samples} that the metrics were taken of`)
  if (apart !== undefined && overlaps(split, samples, apart))
    notes.push("the referee's samples overlap those of the metrics: its correlations are too high")
  const truth =
    apart === undefined
      ? undefined
      : yield* stage(
          "referee",
          Measured.lossIncrease({
            ...common,
            ...apart,
            bits,
            loss,
            stage: "referee: loss increase elsewhere"
          })
        )
  const report: SensitivityReport = {
    loss,
    samples,
    seed: options.seed ?? 0,
    bits,
    floatLoss: measured?.floatLoss ?? null,
    gaussNewtonEqualsHessian: { holds: statement.holds, brokenBy: statement.brokenBy },
    layers: reports,
    ...(truth === undefined || apart === undefined
      ? {}
      : {
          ...Referee.judge(reports, truth),
          refereeSamples: { split: apart.split.name, from: apart.from, samples: apart.samples }
        }),
    notes
  }
  return report
}) satisfies <F>(
  options: Options<F>
) => Effect.Effect<SensitivityReport, Evaluate.Failure | MetricUnavailable | F, unknown>

/**
 * How much a network's loss suffers from rounding each layer, by every metric asked for, judged by the truth.
 *
 *   statement → trace → … → measured increase → referee
 *
 * Each metric is a stage with a plain JSON result: a caller that stores stages can resume an interrupted analysis.
 * The seed decides every random choice; the number of threads decides nothing but the time.
 */
import type { Gradient, Graph } from "@bitbudget/graph"
import { Dim, Graph as Graphs, Layer } from "@bitbudget/graph"
import { ActivationFormat, Choice, type Ranges } from "@bitbudget/quant"
import type { Data, Evaluate } from "@bitbudget/runtime"
import { Effect, Schema } from "effect"
import * as Activations from "./Activations.ts"
import * as Curvature from "./Curvature.ts"
import * as Fisher from "./Fisher.ts"
import * as HessianForms from "./HessianForms.ts"
import type { LossName } from "./Loss.ts"
import { defaultFor, named } from "./Loss.ts"
import * as Measured from "./Measured.ts"
import * as Referee from "./Referee.ts"
import { joint } from "./JointOutput.ts"
import { interactionsOf, layerReports, remarks } from "./layerReports.ts"
import * as Network from "./network.ts"
import { inputRanges } from "./InputRanges.ts"
import * as Rounding from "./Rounding.ts"
import * as Projections from "./Projections.ts"
import type { SensitivityReport } from "./Report.ts"
import { affordable } from "./usual.ts"
import * as TopEigenvalue from "./TopEigenvalue.ts"
import * as Traces from "./Traces.ts"

/**
 * What can be asked for. `trace` brings Ω with it, `quadratic` the linear term, `klDivergence` the measured increase
 * and the outputs' signal to noise; `interactions` are those of the quadratic forms;
 * `activations` the traces with respect to layers' inputs and what rounding these costs.
 */
export const metrics = [
  "trace",
  "topEigenvalue",
  "fisher",
  "quadratic",
  "hessianQuadratic",
  "interactions",
  "klDivergence",
  "deltaLoss",
  "activations"
] as const

export type Metric = (typeof metrics)[number]

/** What is measured when nothing is said, as far as the network allows. */
export const defaultMetrics: ReadonlyArray<Metric> = ["trace", "quadratic", "klDivergence", "deltaLoss"]

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
  /** What is asked of each layer. */
  readonly choices: Rounding.LayerChoices
  /** How layers are rounded: by the recipe that will be applied; to nearest when absent. */
  readonly rounder?: Rounding.Rounder
  /** Calibrated ranges of layers' inputs; the extremes over the samples when absent. */
  readonly ranges?: Ranges.Ranges
  readonly metrics?: ReadonlyArray<Metric>
  /** Metrics that are taken however long they take. */
  readonly always?: ReadonlyArray<Metric>
  /** Of a metric the network does not allow: an error where metrics are named, a note where they are not. */
  readonly whenUnavailable?: "fail" | "note"
  /** 0 when absent. */
  readonly seed?: number
  /** Of layers' inputs for `activations`; a4 and a8 when absent. */
  readonly activationFormats?: ReadonlyArray<ActivationFormat.IntegerActivations>
  /** Standard error over value at which random probes of a trace stop; 0.05 when absent. */
  readonly tolerance?: number
  /** Probes at most, 400 when absent. */
  readonly maxProbes?: number
  /** "hutchinson" probes the Hessian even where the exact trace is to be had. */
  readonly traceMethod?: "auto" | "hutchinson"
  /** What the data's labels allow when absent; of several outputs the error of all. */
  readonly loss?: LossName
  /** How much each of several outputs counts, by name; 1 when absent. */
  readonly weights?: Readonly<Record<string, number>>
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

/** A stage's result, or why the network does not allow it; both are stored. */
type Outcome<A> = { readonly found: A } | { readonly unavailable: string }

const outcome = <A>(
  work: Effect.Effect<A, Evaluate.Failure | Gradient.NotDifferentiable>
): Effect.Effect<Outcome<A>, Evaluate.Failure> =>
  work.pipe(
    Effect.map((found): Outcome<A> => ({ found })),
    Effect.catchTag("NotDifferentiable", ({ message }) =>
      Effect.succeed<Outcome<A>>({ unavailable: message })
    )
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

/**
 * The report of a network that no metric is taken of, such as one with several inputs: what rounding does to the weights alone.
 * `why` is for the user.
 */
export const unmeasured = (
  { graph, choices, samples, split, seed = 0, rounder = Rounding.nearest(graph) }: Options,
  why: string
): SensitivityReport => ({
  loss: "errorToFloat",
  samples: Math.min(samples, split.size),
  seed,
  choices: [...new Set([...choices.values()].flat().map(Choice.show))],
  floatLoss: null,
  gaussNewtonEqualsHessian: { holds: false, brokenBy: null },
  layers: layerReports(graph, choices, {
    rounder,
    statement: Curvature.gaussNewtonEqualsHessian(graph, named("errorToFloat")),
    traces: undefined,
    eigenvalues: undefined,
    fisher: undefined,
    projections: undefined,
    hessianForms: undefined,
    measured: undefined,
    inputs: undefined
  }),
  notes: [why]
})

/** Whether a layer is a table whose rows are chosen for each sample, not for all of them as positions are. */
const isTableBySample = (graph: Graph.Graph, { op, output }: Layer.Layer): boolean => {
  const [batch] = graph.inputs[0]!.shape
  const shape = Graphs.shapeOf(graph, output)
  return (
    op === "Gather" && (Dim.isStatic(batch!) ? shape[0] === batch : shape.some((dim) => !Dim.isStatic(dim)))
  )
}

export const analyze: <F = never>(
  options: Options<F>
) => Effect.Effect<SensitivityReport, Evaluate.Failure | MetricUnavailable | F> = Effect.fn(
  "Sensitivity.analyze"
)(function* <F = never>(options: Options<F>) {
  const { split, choices } = options
  yield* Network.check(options.graph, split.file)
  const several = options.loss === undefined && options.graph.outputs.length > 1
  const judged = several
    ? yield* joint(options.graph, {
        split,
        samples: Math.min(options.samples, split.size),
        ...(options.weights === undefined ? {} : { weights: options.weights }),
        ...(options.threads === undefined ? {} : { threads: options.threads })
      })
    : { graph: options.graph, notes: [] }
  const loss = several ? "errorToFloat" : (options.loss ?? defaultFor(options.graph, split))
  const { graph, notes: known } = Network.separated(judged.graph, named(loss))
  const seed = options.seed ?? 0
  const stage: Stage<F> = options.stage ?? withoutStore
  const always = options.always ?? []
  const usual = affordable(
    (options.metrics ?? defaultMetrics).filter((metric) => !always.includes(metric)),
    graph,
    Math.min(options.samples, split.size),
    choices
  )
  // What was asked for by name is taken, however long.
  const chosen = options.metrics === undefined || options.whenUnavailable === "note"
  const wanted = new Set(chosen ? [...always, ...usual.metrics] : options.metrics)
  // Gates and tables have no product that figures of a sample's gradients are taken of. Rows of a table are still linear in it.
  const [every, layers] = [Layer.layersOf(graph), Layer.productsOf(graph)]
  const linear = every.filter((layer) => Layer.isProduct(layer) || isTableBySample(graph, layer))
  const samples = Math.min(options.samples, split.size)
  const statement = Curvature.gaussNewtonEqualsHessian(graph, named(loss))
  const whenUnavailable = options.whenUnavailable ?? (options.metrics === undefined ? "note" : "fail")
  const tolerance = options.tolerance ?? 0.05
  const notes = [...judged.notes, ...known, ...(chosen ? usual.notes : [])]
  const rounder = options.rounder ?? Rounding.nearest(graph)
  const common = {
    graph,
    split,
    layers,
    samples,
    loss,
    seed,
    rounder,
    ...(options.batchSize === undefined ? {} : { batchSize: options.batchSize }),
    ...(options.threads === undefined ? {} : { threads: options.threads })
  }

  /** The metric's stage where it is wanted. What was not asked for by name may be left out with a note. */
  const metric = <A>(
    name: Metric,
    work: Effect.Effect<A, Evaluate.Failure | Gradient.NotDifferentiable>
  ): Effect.Effect<A | undefined, Evaluate.Failure | MetricUnavailable | F> =>
    Effect.flatMap(
      stage(name, outcome(Effect.flatMap(work, Network.finite(graph, split.file, name)))),
      (result): Effect.Effect<A | undefined, MetricUnavailable> => {
        if ("found" in result) return Effect.succeed(result.found)
        const error = new MetricUnavailable({ model: graph.name, metric: name, why: result.unavailable })
        if (whenUnavailable === "fail") return Effect.fail(error)
        notes.push(`no ${name}: ${result.unavailable}`)
        return Effect.succeed(undefined)
      }
    )

  const readsIntegers = [...choices.values()].flat().some(({ activations }) => activations.kind === "int")
  const ranges: Ranges.Ranges =
    options.ranges ??
    (readsIntegers || wanted.has("activations")
      ? new Map(
          yield* stage(
            "ranges",
            Effect.map(inputRanges(common), (found) => [...found])
          )
        )
      : new Map())
  const traces = wanted.has("trace")
    ? yield* metric(
        "trace",
        Traces.traces({
          ...common,
          statement,
          tolerance,
          maxProbes: options.maxProbes ?? 400,
          method: options.traceMethod ?? "auto"
        })
      )
    : undefined
  const eigenvalues = wanted.has("topEigenvalue")
    ? yield* metric("topEigenvalue", TopEigenvalue.topEigenvalues({ ...common, statement }))
    : undefined
  const fisher = wanted.has("fisher") ? yield* metric("fisher", Fisher.fisher(common)) : undefined
  const [interactions, activations] = [wanted.has("interactions"), wanted.has("activations")]
  const projections =
    interactions || activations || wanted.has("quadratic")
      ? yield* metric(
          "quadratic",
          Projections.projections({ ...common, layers: linear, choices, ranges, interactions })
        )
      : undefined
  const hessianForms = wanted.has("hessianQuadratic")
    ? yield* metric("hessianQuadratic", HessianForms.hessianForms({ ...common, choices }))
    : undefined
  const outputs = wanted.has("klDivergence")
  const measured =
    outputs || wanted.has("deltaLoss")
      ? yield* metric(
          "deltaLoss",
          Measured.lossIncrease({ ...common, layers: every, choices, ranges, outputs })
        )
      : undefined
  const inputs = activations
    ? yield* metric(
        "activations",
        Activations.inputIncreases({
          ...common,
          ranges,
          formats: options.activationFormats ?? [ActivationFormat.int(4), ActivationFormat.int(8)]
        })
      )
    : undefined
  const found = {
    rounder,
    statement,
    traces,
    eigenvalues,
    fisher,
    projections,
    hessianForms,
    measured,
    inputs
  }
  const reports = layerReports(graph, choices, found)
  notes.push(...remarks(reports, tolerance))

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
            layers: every,
            ...apart,
            choices,
            ranges,
            stage: "referee: loss increase elsewhere"
          })
        )
  const pairs = projections?.interactions ?? undefined
  const report: SensitivityReport = {
    loss,
    samples,
    seed,
    choices: [...new Set([...choices.values()].flat().map(Choice.show))],
    floatLoss: measured?.floatLoss ?? null,
    gaussNewtonEqualsHessian: { holds: statement.holds, brokenBy: statement.brokenBy },
    layers: reports,
    ...(truth === undefined || apart === undefined
      ? {}
      : {
          ...Referee.judge(reports, truth),
          refereeSamples: { split: apart.split.name, from: apart.from, samples: apart.samples }
        }),
    ...(pairs === undefined ? {} : { interactions: interactionsOf(linear, choices, pairs) }),
    notes
  }
  return report
})

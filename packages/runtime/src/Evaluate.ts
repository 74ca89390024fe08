/**
 * Measures a model on a split of a data set.
 *
 * `run` scores the model's output against the labels, `outputs` folds any outputs (activation ranges,
 * gradients) into a state of the caller's. Samples are scored and summed one by one in order, so batch size
 * and threads change nothing but the time.
 */
import { Dim } from "@bitbudget/graph"
import { Effect } from "effect"
import { type Batch, IGNORED, type Split } from "./Data.ts"
import { eachBatch, Mismatch } from "./Feed.ts"
import type { Failure, Options } from "./Feed.ts"
import * as Classification from "./metrics/Classification.ts"
import type { Intervals } from "@bitbudget/numerics"
import * as Regression from "./metrics/Regression.ts"
import * as Sessions from "./Session.ts"
import type { Session } from "./Session.ts"
import * as Value from "./Value.ts"

export { feederOf, Mismatch } from "./Feed.ts"
export type { Failure, Options } from "./Feed.ts"

/**
 * Folds the named outputs over the split, batch by batch in order. The batch's values are only valid
 * within `step` where the caller does not copy them.
 */
export const outputs = <A>(
  session: Session,
  split: Split,
  names: ReadonlyArray<string>,
  initial: A,
  step: (state: A, results: Readonly<Record<string, Value.Value>>, batch: Batch) => A,
  options: Options = {}
): Effect.Effect<A, Failure> =>
  Effect.suspend(() => {
    let state = initial
    return Effect.map(
      eachBatch(session, split, options, names, (results, batch) =>
        Effect.sync(() => {
          state = step(state, results, batch)
        })
      ),
      () => state
    )
  })

export type Metric = Classification.Metric | Regression.Metric

/** Every metric there is; the labels decide which of them can be had. */
export const metricNames: ReadonlyArray<string> = [
  ...Object.keys(Classification.metrics),
  ...Object.keys(Regression.metrics)
]

export const isMetric = (name: string): name is Metric => metricNames.includes(name)

export interface RunOptions extends Options {
  /** The metrics wanted; those the labels allow when absent. Asking for one they do not is an error. */
  readonly metrics?: ReadonlyArray<Metric>
  /** Name of the output to score; the first when absent. */
  readonly output?: string
  /** Axis of the classes within one sample, where it cannot be told from the labels. */
  readonly axis?: number
  /** What a classifier's output is; logits when absent. */
  readonly scores?: Classification.Output
  /** Range of the pixels of image outputs, for PSNR and SSIM; 1 when absent. */
  readonly peak?: number
  /** Threads of the session, when bytes are given. */
  readonly threads?: number
}

export interface Evaluation {
  /** Samples evaluated. */
  readonly n: number
  readonly metrics: { readonly [K in Metric]?: Intervals.Estimate }
  /** Per sample, for paired comparisons. Undefined for models that predict values. */
  readonly classification: Classification.Scores | undefined
  /** Per sample. Undefined for models that predict classes. */
  readonly regression: Regression.Scores | undefined
}

const isFloats = (data: Value.Data): data is Float32Array | Float64Array =>
  data instanceof Float32Array || data instanceof Float64Array

/** Accumulates batches; made by the first one, which shows the output's shape. */
interface Scorer {
  /** Undefined where values are predicted. */
  readonly classes: number | undefined
  /** The position of the first sample whose output is not a number, if there is one. */
  readonly score: (output: Float32Array | Float64Array, batch: Batch) => number | undefined
  /** The metrics asked for when nothing is said. */
  readonly usual: ReadonlyArray<Metric>
  /** Undefined where the labels or the output's shape do not allow the metric. */
  readonly metric: (name: Metric) => Intervals.Estimate | undefined
  readonly scores: Pick<Evaluation, "classification" | "regression">
}

const squeezed = (shape: ReadonlyArray<number>): ReadonlyArray<number> => shape.filter((dim) => dim !== 1)

/** Axis of one sample's output along which its classes lie, such that the others are the labels' axes; −1 if there is none. */
const classAxis = (
  sampleShape: ReadonlyArray<number>,
  labelShape: ReadonlyArray<number> | undefined,
  stated: number | undefined
): number => {
  const last = sampleShape.length - 1
  // Without labels: images keep their channels first.
  if (labelShape === undefined) return stated ?? (sampleShape.length === 3 ? 0 : last)
  const wanted = squeezed(labelShape).join()
  const fits = (axis: number) => squeezed(sampleShape.toSpliced(axis, 1)).join() === wanted
  // Classes come last (texts) or first (images); anything else is no custom, but can be told from the labels.
  const usual = [last, ...sampleShape.keys()].filter((axis, i, all) => all.indexOf(axis) === i)
  const axes = stated === undefined ? usual : [stated]
  const found = axes.filter(fits)
  // A sample without axes is a single score.
  return sampleShape.length === 0 ? last : (found.find((axis) => sampleShape[axis]! > 1) ?? found[0] ?? -1)
}

/** One sample's elements with its classes along the last axis. */
const classesLast = (
  data: Float32Array | Float64Array,
  shape: ReadonlyArray<number>,
  axis: number
): Float32Array | Float64Array => {
  const inner = Dim.elements(shape.slice(axis + 1))
  if (inner === 1) return data
  const classes = shape[axis]!
  const block = classes * inner
  return data.map((_, i) => {
    const [outer, within] = [Math.floor(i / block), i % block]
    return data[outer * block + (within % classes) * inner + Math.floor(within / classes)]!
  })
}

const classScorer = (
  samples: number,
  sampleShape: ReadonlyArray<number>,
  split: Split,
  kind: Classification.Output,
  stated: number | undefined
): Scorer | string => {
  const axis = classAxis(sampleShape, split.labels?.shape, stated)
  const targets = Dim.elements(split.labels?.shape ?? sampleShape.toSpliced(axis, 1))
  if (axis < 0 && sampleShape.length > 0)
    return (
      `the output has [${sampleShape.join(",")}] numbers a sample, which is not one row of class scores for each ` +
      `of the ${targets} label${targets === 1 ? "" : "s"} a sample`
    )
  const classes = sampleShape[axis] ?? 1
  const perPixel = axis >= 0 && axis < sampleShape.length - 1 && Dim.elements(sampleShape.slice(axis + 1)) > 1
  const scores = Classification.make(samples, targets, classes, split.hasLabels, {
    scored: split.labels?.scored ?? targets,
    bytes: split.labels?.bytes ?? false
  })
  return {
    classes,
    score: (output, batch) => {
      const { data: labels, bytes } = batch.labels?.kind === "classes" ? batch.labels : {}
      for (let i = 0; i < batch.to - batch.from; i++) {
        const row = output.subarray(i * targets * classes, (i + 1) * targets * classes)
        const rows = classesLast(row, sampleShape, axis)
        if (!Classification.score(scores, batch.from + i, kind, rows, 0, labels, i * targets))
          return batch.from + i
        if (scores.labelled?.bytes !== undefined && bytes !== undefined)
          scores.labelled.bytes[batch.from + i] = bytes[i]!
      }
      return undefined
    },
    usual: !split.hasLabels
      ? []
      : split.labels?.shape.length === 0
        ? ["top1", "top5", "loss", "f1Macro", "f1Weighted"]
        : perPixel
          ? ["top1", "loss", "meanIou"]
          : ["top1", "top5", "loss", "perplexity", "bitsPerToken", "perplexityPerByte", "bitsPerByte"],
    metric: (name) =>
      Classification.isMetric(name) && scores.labelled !== undefined
        ? Classification.metrics[name](scores, scores.labelled)
        : undefined,
    scores: { classification: scores, regression: undefined }
  }
}

/** Where an output sample `[C,H,W]` or `[H,W,C]` keeps its planes; undefined when it is no image. */
const planesOf = (shape: ReadonlyArray<number>): Regression.Planes | undefined => {
  const [a, b, c] = shape
  if (a === undefined || b === undefined || shape.length > 3) return undefined
  if (c === undefined) return { channels: 1, height: a, width: b, interleaved: false }
  return a <= 4
    ? { channels: a, height: b, width: c, interleaved: false }
    : { channels: c, height: a, width: b, interleaved: true }
}

const valueScorer = (
  samples: number,
  sampleShape: ReadonlyArray<number>,
  split: Split,
  peak: number
): Scorer | string => {
  const labelShape = split.labels?.shape ?? []
  if (squeezed(labelShape).join() !== squeezed(sampleShape).join())
    return `the output has [${sampleShape.join(",")}] numbers a sample, the targets have [${labelShape.join(",")}]`
  const planes = planesOf(sampleShape)
  const scores = Regression.make(samples, planes)
  const length = Dim.elements(sampleShape)
  return {
    classes: undefined,
    score: (output, batch) => {
      if (batch.labels?.kind !== "values") throw new Error("valueScorer: the split has values as labels")
      for (let i = 0; i < batch.to - batch.from; i++) {
        const { data } = batch.labels
        if (!Regression.score(scores, batch.from + i, output, data, i * length, length, planes, peak))
          return batch.from + i
      }
      return undefined
    },
    usual: scores.ssim === undefined ? ["mse", "psnrDb"] : ["mse", "psnrDb", "ssim"],
    metric: (name) => (Classification.isMetric(name) ? undefined : Regression.metrics[name](scores)),
    scores: { classification: undefined, regression: scores }
  }
}

/** Names the batch's first label that is none of the output's classes. */
export const labelBeyond = (
  model: string,
  split: Split,
  batch: Batch,
  output: string,
  classes: number
): Mismatch | undefined => {
  if (batch.labels?.kind !== "classes") return undefined
  const { data } = batch.labels
  const index = data.findIndex((label) => (label < 0 && label !== IGNORED) || label >= classes)
  if (index < 0) return undefined
  const sample = split.sampleAt(batch.from + Math.floor((index * (batch.to - batch.from)) / data.length))
  return new Mismatch({
    model,
    file: split.file,
    problem: `the label ${data[index]!} of sample ${sample} (counted from 0) is beyond the ${classes} classes of output '${output}'`,
    mend: "Fix the label, or take the model that was trained on these classes"
  })
}

const measure = (session: Session, split: Split, options: RunOptions): Effect.Effect<Evaluation, Failure> =>
  Effect.gen(function* () {
    const mismatch = (problem: string, mend: string) =>
      new Mismatch({ model: session.name, file: split.file, problem, mend })
    const n = Math.min(split.size, options.limit ?? split.size)
    const name = options.output ?? session.outputs[0]!.name
    const port = session.outputs.find((output) => output.name === name)
    if (port === undefined)
      return yield* mismatch(
        `the model has no output '${name}'`,
        `Name one of ${session.outputs.map((output) => output.name).join(", ")}`
      )
    const unmeasurable = (metric: Metric) =>
      mismatch(
        `${metric} cannot be measured: the output '${name}' is ${Value.describe(port.dtype, port.shape)}, the data have ${split.labels === undefined ? "no labels" : `${split.labels.kind} as labels`}`,
        "Ask for another metric, or give labels it is defined on"
      )
    const kind = split.labels?.kind
    for (const metric of options.metrics ?? [])
      if (kind !== (Classification.isMetric(metric) ? "classes" : "values"))
        return yield* unmeasurable(metric)
    let scorer: Scorer | undefined
    const score = (results: Readonly<Record<string, Value.Value>>, batch: Batch) =>
      Effect.gen(function* () {
        const { data, shape, dtype } = results[name]!
        const sampleShape = shape.slice(1)
        if (!isFloats(data) || shape[0] !== batch.to - batch.from)
          return yield* mismatch(
            `the output '${name}' is ${Value.describe(dtype, shape)}, not one row of floats a sample`,
            "Name another output to score"
          )
        if (scorer === undefined) {
          const made =
            split.labels?.kind === "values"
              ? valueScorer(n, sampleShape, split, options.peak ?? 1)
              : classScorer(n, sampleShape, split, options.scores ?? "logits", options.axis)
          if (typeof made === "string")
            return yield* mismatch(`${made} (output '${name}')`, "Fix the labels, or name another output")
          scorer = made
        }
        const classes = scorer.classes
        const beyond =
          classes === undefined ? undefined : labelBeyond(session.name, split, batch, name, classes)
        if (beyond !== undefined) return yield* beyond
        const broken = scorer.score(data, batch)
        if (broken !== undefined)
          return yield* mismatch(
            `the output '${name}' is not a number (NaN) for sample ${split.sampleAt(broken)} (counted from 0)`,
            "The model overflows on it: look for divisions by zero and too narrow number formats"
          )
      })
    yield* eachBatch(session, split, options, [name], score)
    if (scorer === undefined) throw new Error("Evaluate.run: a split without samples")
    const metrics: { -readonly [K in Metric]?: Intervals.Estimate } = {}
    for (const name of options.metrics ?? scorer.usual) {
      const estimate = scorer.metric(name)
      if (estimate === undefined && options.metrics === undefined) continue
      if (estimate === undefined) return yield* unmeasurable(name)
      metrics[name] = estimate
    }
    return { n, metrics, ...scorer.scores }
  })

/**
 * Evaluates a model, a session or its bytes, on a split. Without labels nothing is measured, and only the
 * predicted classes are given. Fails where shapes, types or labels do not fit, naming both sides.
 */
export const run = (
  model: Session | Uint8Array,
  split: Split,
  options: RunOptions = {}
): Effect.Effect<Evaluation, Failure> => {
  if (!(model instanceof Uint8Array)) return measure(model, split, options)
  const session = Sessions.make(model, options.threads === undefined ? {} : { threads: options.threads })
  return Effect.scoped(Effect.flatMap(session, (session) => measure(session, split, options)))
}

/**
 * Metrics of class predictions: accuracy, cross-entropy, F1.
 *
 * Every target is scored once, from its row of logits, in sample order and in float64; what is kept is a
 * few numbers a sample, so metrics are functions of these arrays and do not depend on how the data were
 * batched. Paired comparisons of two models need the same arrays. A target is an image, or a token.
 */
import { Intervals } from "@bitbudget/numerics"
import { IGNORED } from "../data/Source.ts"

export interface Scores {
  readonly classes: number
  /** Targets in one sample: 1, or the tokens of a window. */
  readonly targets: number
  /** How many of them count: fewer where windows of text overlap. */
  readonly scored: number
  /** Predicted class of each target: the first of the largest. */
  readonly predicted: Int32Array
  /** What is known only with labels. */
  readonly labelled: Labelled | undefined
}

export interface Labelled {
  /** True class of each target; `IGNORED` of those that do not count. */
  readonly labels: Int32Array
  /** Mean cross-entropy over the targets of each sample, in nats. */
  readonly loss: Float64Array
  /** Correct targets of each sample. */
  readonly correct: Int32Array
  /** Targets of each sample whose class is among the five largest. */
  readonly inTop5: Int32Array
  /** Of texts: bytes that the targets of each sample stand for. */
  readonly bytes: Float64Array | undefined
}

export const make = (
  samples: number,
  targets: number,
  classes: number,
  hasLabels: boolean,
  { scored = targets, bytes = false }: { readonly scored?: number; readonly bytes?: boolean } = {}
): Scores => ({
  classes,
  targets,
  scored,
  predicted: new Int32Array(samples * targets),
  labelled: hasLabels
    ? {
        labels: new Int32Array(samples * targets),
        loss: new Float64Array(samples),
        correct: new Int32Array(samples),
        inTop5: new Int32Array(samples),
        bytes: bytes ? new Float64Array(samples) : undefined
      }
    : undefined
})

type Floats = Float32Array | Float64Array

/** What a row of scores says of its label, in one pass over its exponentials. */
interface Place {
  /** Classes that come before the label: larger scores, and equal ones with a lower number. */
  readonly before: number
  /** ln Σ exp of the row, shifted by its largest entry, which is at `best`. */
  readonly logSum: number
}

const placeOf = (values: Floats, start: number, length: number, best: number, label: number): Place => {
  const [largest, own] = [values[start + best]!, values[start + label]!]
  let [before, total] = [0, 0]
  for (let i = 0; i < length; i++) {
    const value = values[start + i]!
    total += Math.exp(value - largest)
    if (value > own || (value === own && i < label)) before++
  }
  return { before, logSum: Math.log(total) + largest }
}

/** The first of the largest entries of a row, from its start; undefined where an entry is not a number. */
const winnerOf = (values: Floats, start: number, length: number): number | undefined => {
  let [best, largest, sum] = [0, values[start]!, 0]
  for (let i = 0; i < length; i++) {
    const value = values[start + i]!
    // A sum tells of numbers that are none, without a branch for each; infinities of both signs are told apart below.
    sum += value
    if (value > largest) {
      largest = value
      best = i
    }
  }
  if (!Number.isNaN(sum)) return best
  for (let i = 0; i < length; i++) if (Number.isNaN(values[start + i]!)) return undefined
  return best
}

/** What the model's output rows are: unnormalised logits, or probabilities that sum to one. */
export type Output = "logits" | "probabilities"

/**
 * Scores one sample, whose `targets` rows of `classes` numbers begin at `start` in `output`, and whose labels
 * begin at `labelStart`. False when the output is not a number, so that a broken model is not scored.
 */
export const score = (
  scores: Scores,
  sample: number,
  kind: Output,
  output: Floats,
  start: number,
  labels: Int32Array | undefined,
  labelStart: number
): boolean => {
  const { classes, targets, predicted, labelled } = scores
  let loss = 0
  for (let t = 0; t < targets; t++) {
    const row = start + t * classes
    const best = winnerOf(output, row, classes)
    if (best === undefined) return false
    predicted[sample * targets + t] = best
    if (labelled === undefined || labels === undefined) continue
    const label = labels[labelStart + t]!
    labelled.labels[sample * targets + t] = label
    if (label === IGNORED) continue
    const { before, logSum } = placeOf(output, row, classes, best, label)
    labelled.correct[sample]! += before === 0 ? 1 : 0
    labelled.inTop5[sample]! += before < 5 ? 1 : 0
    loss += kind === "logits" ? logSum - output[row + label]! : -Math.log(output[row + label]!)
  }
  if (labelled !== undefined) labelled.loss[sample] = loss / scores.scored
  return true
}

/**
 * F1 averaged over the classes that occur among labels or predictions, plainly (macro) or by the number of
 * labels (weighted), as scikit-learn defines them. The interval is the delta method over the cells of the
 * confusion matrix (Takahashi et al. 2022): with F = Σ w_c F_c, F_c = 2 t_c / (r_c + k_c), a target of class
 * i predicted as j moves F by ∂F/∂p_ij, and the variance of those moves is n times the estimate's.
 */
export const f1 = (
  labels: Int32Array,
  predicted: Int32Array,
  classes: number,
  average: "macro" | "weighted"
): Intervals.Estimate => {
  const n = labels.length
  const hit = new Float64Array(classes)
  const actual = new Float64Array(classes)
  const claimed = new Float64Array(classes)
  for (let i = 0; i < n; i++) {
    const [label, prediction] = [labels[i]!, predicted[i]!]
    actual[label]! += 1 / n
    claimed[prediction]! += 1 / n
    if (label === prediction) hit[label]! += 1 / n
  }
  const total = (c: number) => actual[c]! + claimed[c]!
  const score = (c: number) => (total(c) === 0 ? 0 : (2 * hit[c]!) / total(c))
  const present = Array.from({ length: classes }, (_, c) => c).filter((c) => total(c) > 0)
  const weight = (c: number) => (average === "macro" ? 1 / present.length : actual[c]!)
  const value = present.reduce((sum, c) => sum + weight(c) * score(c), 0)
  const moves = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const [label, prediction] = [labels[i]!, predicted[i]!]
    const slope = (c: number) => (-2 * weight(c) * hit[c]!) / total(c) ** 2
    moves[i] =
      slope(label) +
      slope(prediction) +
      (label === prediction ? (2 * weight(label)) / total(label) : 0) +
      (average === "weighted" ? score(label) : 0)
  }
  const spread = Intervals.mean(moves)
  const half = (spread.high - spread.low) / 2
  return { value, low: Math.max(0, value - half), high: Math.min(1, value + half), n }
}

/** Intersection over union of every class, averaged over those that occur among labels or predictions. */
export const meanIou = (labels: Int32Array, predicted: Int32Array, classes: number): number => {
  const [hit, union] = [new Float64Array(classes), new Float64Array(classes)]
  for (let i = 0; i < labels.length; i++) {
    const [label, prediction] = [labels[i]!, predicted[i]!]
    union[label]! += 1
    if (label === prediction) hit[label]! += 1
    else union[prediction]! += 1
  }
  const present = [...union.keys()].filter((c) => union[c]! > 0)
  return present.reduce((sum, c) => sum + hit[c]! / union[c]!, 0) / present.length
}

/** Mean IoU with the jackknife's interval over the samples: it is a ratio of sums, not a mean of the samples'. */
const meanIouEstimate = (
  { classes, targets, predicted }: Scores,
  { labels }: Labelled
): Intervals.Estimate => {
  const samples = labels.length / targets
  const value = meanIou(labels, predicted, classes)
  // A few dozen blocks of neighbouring samples are enough, and linear in time.
  const blocks = Math.min(samples, 40)
  const without = Array.from({ length: blocks }, (_, b) => {
    const [from, to] = [b, b + 1].map((edge) => Math.floor((edge * samples) / blocks) * targets)
    const rest = (values: Int32Array) => values.filter((_, i) => i < from! || i >= to!)
    return blocks < 2 ? value : meanIou(rest(labels), rest(predicted), classes)
  })
  const { value: centre } = Intervals.mean(without)
  const variance = ((blocks - 1) / blocks) * without.reduce((sum, one) => sum + (one - centre) ** 2, 0)
  const half = blocks < 2 ? Number.NaN : Intervals.z * Math.sqrt(variance)
  return { value, low: Math.max(0, value - half), high: Math.min(1, value + half), n: labels.length }
}

/** 1 for each target predicted right, else 0: what McNemar's test pairs. */
export const hits = (predicted: Int32Array, labels: Int32Array): Uint8Array =>
  Uint8Array.from(predicted, (prediction, i) => (prediction === labels[i] ? 1 : 0))

/**
 * Bits a byte of text: Σ nats / (ln 2 · Σ bytes). A ratio of sums over samples, whose interval is the linearised one:
 * the spread of nats − ratio · bytes (Cochran 1977, section 6.3). Undefined where tokens do not say their bytes.
 */
const bitsPerByte = ({ scored }: Scores, { loss, bytes }: Labelled): Intervals.Estimate | undefined => {
  if (bytes === undefined) return undefined
  const bits = loss.map((nats) => (nats * scored) / Math.LN2)
  const all = bytes.reduce((a, b) => a + b, 0)
  const value = bits.reduce((a, b) => a + b, 0) / all
  const { low, high } = Intervals.mean(bits.map((own, i) => own - value * bytes[i]!))
  const half = ((high - low) / 2) * (bytes.length / all)
  return { value, low: Math.max(0, value - half), high: value + half, n: loss.length }
}

/** Labels and predictions of the targets that count. */
const counted = ({ predicted }: Scores, labels: Int32Array): [Int32Array, Int32Array] => {
  const counts = (_: number, i: number) => labels[i] !== IGNORED
  return [labels.filter(counts), predicted.filter(counts)]
}

const metricTable = {
  /** Share of targets whose class has the largest score. */
  top1: (scores, { correct }) => Intervals.proportion(correct, scores.scored),
  /** Share of targets whose class is among the five largest scores. */
  top5: (scores, { inTop5 }) => Intervals.proportion(inTop5, scores.scored),
  /** Mean cross-entropy in nats. */
  loss: (_, { loss }) => Intervals.mean(loss),
  /** exp(loss). */
  perplexity: (_, { loss }) => Intervals.map(Intervals.mean(loss), Math.exp),
  /** loss / ln 2; bits per byte where a token is a byte. */
  bitsPerToken: (_, { loss }) => Intervals.map(Intervals.mean(loss), (nats) => nats / Math.LN2),
  bitsPerByte,
  /** 2^bitsPerByte. */
  perplexityPerByte: (scores, labelled) => {
    const bits = bitsPerByte(scores, labelled)
    return bits === undefined ? undefined : Intervals.map(bits, (per) => 2 ** per)
  },
  f1Macro: (scores, { labels }) => f1(...counted(scores, labels), scores.classes, "macro"),
  f1Weighted: (scores, { labels }) => f1(...counted(scores, labels), scores.classes, "weighted"),
  /** Mean intersection over union of the classes: of masks. */
  meanIou: meanIouEstimate
} satisfies Record<string, (scores: Scores, labelled: Labelled) => Intervals.Estimate | undefined>

export type Metric = keyof typeof metricTable

/** Undefined where the labels do not say what a metric needs. */
export const metrics = metricTable

export const isMetric = (name: string): name is Metric => Object.hasOwn(metrics, name)

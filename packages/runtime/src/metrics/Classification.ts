/**
 * Metrics of class predictions: accuracy, cross-entropy, F1.
 *
 * Every target is scored once, from its row of logits, in sample order and in float64; what is kept is a
 * few numbers a sample, so metrics are functions of these arrays and do not depend on how the data were
 * batched. Paired comparisons of two models need the same arrays. A target is an image, or a token.
 */
import { Intervals } from "@bitbudget/numerics"

export interface Scores {
  readonly classes: number
  /** Targets in one sample: 1, or the tokens of a window. */
  readonly targets: number
  /** Predicted class of each target: the first of the largest. */
  readonly predicted: Int32Array
  /** What is known only with labels. */
  readonly labelled: Labelled | undefined
}

export interface Labelled {
  /** True class of each target. */
  readonly labels: Int32Array
  /** Mean cross-entropy over the targets of each sample, in nats. */
  readonly loss: Float64Array
  /** Correct targets of each sample. */
  readonly correct: Int32Array
  /** Targets of each sample whose class is among the five largest. */
  readonly inTop5: Int32Array
}

export const make = (samples: number, targets: number, classes: number, hasLabels: boolean): Scores => ({
  classes,
  targets,
  predicted: new Int32Array(samples * targets),
  labelled: hasLabels
    ? {
        labels: new Int32Array(samples * targets),
        loss: new Float64Array(samples),
        correct: new Int32Array(samples),
        inTop5: new Int32Array(samples)
      }
    : undefined
})

type Floats = Float32Array | Float64Array

/** Position of the first of the largest entries of row `[start, start + length)`, from the row's start. */
export const argmax = (values: Floats, start: number, length: number): number => {
  let best = 0
  for (let i = 1; i < length; i++) if (values[start + i]! > values[start + best]!) best = i
  return best
}

/** −log softmax(logits)[label], shifted by the largest logit so that nothing overflows. */
export const crossEntropy = (values: Floats, start: number, length: number, label: number): number => {
  const largest = values[start + argmax(values, start, length)]!
  let total = 0
  for (let i = 0; i < length; i++) total += Math.exp(values[start + i]! - largest)
  return Math.log(total) + largest - values[start + label]!
}

/** Classes that come before `label`: larger scores, and equal ones with a lower number. */
const rank = (values: Floats, start: number, length: number, label: number): number => {
  const own = values[start + label]!
  let before = 0
  for (let i = 0; i < length; i++) {
    const value = values[start + i]!
    if (value > own || (value === own && i < label)) before++
  }
  return before
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
    for (let i = 0; i < classes; i++) if (Number.isNaN(output[row + i]!)) return false
    predicted[sample * targets + t] = argmax(output, row, classes)
    if (labelled === undefined || labels === undefined) continue
    const label = labels[labelStart + t]!
    const before = rank(output, row, classes, label)
    labelled.labels[sample * targets + t] = label
    labelled.correct[sample]! += before === 0 ? 1 : 0
    labelled.inTop5[sample]! += before < 5 ? 1 : 0
    loss += kind === "logits" ? crossEntropy(output, row, classes, label) : -Math.log(output[row + label]!)
  }
  if (labelled !== undefined) labelled.loss[sample] = loss / targets
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

const metricTable = {
  /** Share of targets whose class has the largest score. */
  top1: (scores, { correct }) => Intervals.proportion(correct, scores.targets),
  /** Share of targets whose class is among the five largest scores. */
  top5: (scores, { inTop5 }) => Intervals.proportion(inTop5, scores.targets),
  /** Mean cross-entropy in nats. */
  loss: (_, { loss }) => Intervals.mean(loss),
  /** exp(loss). */
  perplexity: (_, { loss }) => Intervals.map(Intervals.mean(loss), Math.exp),
  /** loss / ln 2; bits per byte where a token is a byte. */
  bitsPerToken: (_, { loss }) => Intervals.map(Intervals.mean(loss), (nats) => nats / Math.LN2),
  f1Macro: (scores, { labels }) => f1(labels, scores.predicted, scores.classes, "macro"),
  f1Weighted: (scores, { labels }) => f1(labels, scores.predicted, scores.classes, "weighted"),
  /** Mean intersection over union of the classes: of masks. */
  meanIou: meanIouEstimate
} satisfies Record<string, (scores: Scores, labelled: Labelled) => Intervals.Estimate>

export type Metric = keyof typeof metricTable

export const metrics: { readonly [K in Metric]: (scores: Scores, labelled: Labelled) => Intervals.Estimate } =
  metricTable

export const isMetric = (name: string): name is Metric => name in metrics

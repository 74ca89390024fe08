/**
 * How far the outputs of a network lie from those of a reference (the float network), for data without labels and
 * for networks with several outputs. One number a sample and output, 0 where the two agree:
 *
 *   classes     KL(reference ‖ other) of the class distributions, in nats, averaged over rows
 *   map         Σ(other − reference)² / mean over samples of Σreference²
 *   embedding   1 − cosine of the two vectors
 *   whole       share of elements that differ (integers and booleans: masks, class numbers)
 *
 * They are of one scale (0 none, 1 as large as the signal), so that a weighted sum over outputs means something.
 */
import { Intervals } from "@bitbudget/numerics"

type Floats = Float32Array | Float64Array

export type Kind = "classes" | "map" | "embedding" | "whole"

export interface Output {
  readonly name: string
  readonly kind: Kind
  /** Whether class scores sum to one already. */
  readonly probabilities: boolean
  /** Axis of the classes within one sample's shape. */
  readonly axis: number
  readonly weight: number
  /** One sample's shape. */
  readonly shape: ReadonlyArray<number>
}

/** What is kept of each sample of one output. */
export interface Scores {
  readonly output: Output
  readonly distortion: Float64Array
  /** Σ(other − reference)² and Σreference²; zero for whole numbers. */
  readonly error: Float64Array
  readonly signal: Float64Array
  /** Rows of class scores with the same largest class; whole elements that are the same. */
  readonly agreeing: Int32Array
  readonly rows: number
  /** KL of every row of class scores, sample by sample; empty of other kinds. */
  readonly divergences: Float32Array
}

const size = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)

/** Whether a map is one row of several numbers, as the scores of a classifier without its softmax are. */
const isRow = ({ kind, shape }: Output): boolean => kind === "map" && shape.length === 1 && shape[0]! > 1

/** What agreement counts in one sample: rows with a largest class, or whole elements; 0 where there is none to count. */
const rowsOf = (output: Output): number => {
  const { kind, shape, axis } = output
  if (kind === "classes") return size(shape) / shape[axis]!
  if (kind === "whole") return size(shape)
  return isRow(output) ? 1 : 0
}

/** Rows above this many are not kept one by one: their percentile is not told. */
const MOST_ROWS = 2 ** 24

export const make = (output: Output, samples: number): Scores => ({
  output,
  distortion: new Float64Array(samples),
  error: new Float64Array(samples),
  signal: new Float64Array(samples),
  agreeing: new Int32Array(samples),
  rows: rowsOf(output),
  divergences: new Float32Array(
    output.kind === "classes" && samples * rowsOf(output) <= MOST_ROWS ? samples * rowsOf(output) : 0
  )
})

/** Smallest probability that is told from 0: that of float32. */
const least = 2 ** -126

const argmax = (data: Floats, start: number, step: number, classes: number): number => {
  let best = 0
  for (let c = 1; c < classes; c++) if (data[start + c * step]! > data[start + best * step]!) best = c
  return best
}

/** KL of two rows of probabilities. */
const ofProbabilities = (p: Floats, q: Floats, start: number, step: number, classes: number): number => {
  let total = 0
  for (let at = start; at < start + classes * step; at += step)
    if (p[at]! > 0) total += p[at]! * (Math.log(p[at]!) - Math.log(Math.max(q[at]!, least)))
  return total
}

/** KL of the softmaxes of two rows of logits a and b: Σ p (a − b) − ln Σ exp a + ln Σ exp b, in one pass. */
const ofLogits = (
  reference: Floats,
  other: Floats,
  start: number,
  step: number,
  largest: number,
  largestOther: number,
  classes: number
): number => {
  let [sum, sumOther, lead] = [0, 0, 0]
  for (let at = start; at < start + classes * step; at += step) {
    const [a, b] = [reference[at]!, other[at]!]
    const weight = Math.exp(a - largest)
    sum += weight
    sumOther += Math.exp(b - largestOther)
    // Without weight a class counts nothing, though its logit may be infinite.
    if (weight > 0) lead += weight * (a - b)
  }
  return lead / sum - (Math.log(sum) + largest) + (Math.log(sumOther) + largestOther)
}

/** KL of every row of one sample, summed and one by one, and the rows with the same largest class. */
const divergence = (
  { shape, axis, probabilities }: Output,
  reference: Floats,
  other: Floats,
  start: number,
  rows: Float32Array
): { readonly total: number; readonly agreeing: number } => {
  const classes = shape[axis]!
  const step = size(shape.slice(axis + 1))
  let [total, agreeing, at] = [0, 0, 0]
  for (let outer = 0; outer < size(shape.slice(0, axis)); outer++)
    for (let inner = 0; inner < step; inner++) {
      const row = start + outer * classes * step + inner
      const [best, bestOther] = [argmax(reference, row, step, classes), argmax(other, row, step, classes)]
      const [largest, largestOther] = [reference[row + best * step]!, other[row + bestOther * step]!]
      const own = probabilities
        ? ofProbabilities(reference, other, row, step, classes)
        : ofLogits(reference, other, row, step, largest, largestOther, classes)
      total += own
      if (rows.length > 0) rows[at++] = Math.max(0, own)
      if (best === bestOther) agreeing++
    }
  return { total, agreeing }
}

/** Scores one sample, which begins at `start` in both arrays; false where one of them is not a number. */
export const score = (
  scores: Scores,
  sample: number,
  reference: Floats,
  other: Floats,
  start: number
): boolean => {
  const { output, error, signal, distortion, agreeing } = scores
  const length = size(output.shape)
  let [squares, power, squared, product] = [0, 0, 0, 0]
  for (let i = start; i < start + length; i++) {
    const [a, b] = [reference[i]!, other[i]!]
    squares += (b - a) ** 2
    power += a * a
    squared += b * b
    product += a * b
  }
  if (!Number.isFinite(squares) || !Number.isFinite(power)) return false
  error[sample] = squares
  signal[sample] = power
  if (output.kind === "classes") {
    const { rows } = scores
    const kept = scores.divergences.subarray(sample * rows, (sample + 1) * rows)
    const { total, agreeing: same } = divergence(output, reference, other, start, kept)
    // Rounding may leave a sum of equal distributions just below 0.
    distortion[sample] = Math.max(0, total) / scores.rows
    agreeing[sample] = same
  } else if (output.kind === "embedding") {
    const cosine = product / Math.sqrt(power * squared)
    distortion[sample] = squares === 0 ? 0 : Number.isFinite(cosine) ? Math.max(0, 1 - cosine) : 1
  } else if (isRow(output))
    agreeing[sample] = argmax(reference, start, 1, length) === argmax(other, start, 1, length) ? 1 : 0
  return !Number.isNaN(distortion[sample]!)
}

/** Scores one sample of whole numbers. */
export const scoreWhole = (
  scores: Scores,
  sample: number,
  reference: ArrayLike<number | bigint>,
  other: ArrayLike<number | bigint>,
  start: number
): void => {
  const length = size(scores.output.shape)
  let same = 0
  for (let i = start; i < start + length; i++) if (reference[i] === other[i]) same++
  scores.agreeing[sample] = same
  scores.distortion[sample] = 1 - same / length
}

/** Distortion of each sample, on the one scale of all kinds. */
const perSample = ({ output, distortion, error, signal }: Scores): Float64Array => {
  if (output.kind !== "map") return distortion
  const power = signal.reduce((a, b) => a + b, 0) / signal.length
  // A reference of zeros has no scale: any error counts as one.
  return error.map((one) => (one === 0 ? 0 : power === 0 ? 1 : one / power))
}

/** A mean with its interval, of which nothing lies below 0. */
const meanOf = (distortions: Float64Array): Intervals.Estimate => {
  const found = Intervals.mean(distortions)
  return { ...found, low: Math.max(0, found.low) }
}

export interface Measured {
  readonly output: string
  readonly kind: Kind
  readonly weight: number
  readonly distortion: Intervals.Estimate
  /** 10 log₁₀(Σreference² / Σ(other − reference)²); null where nothing differs, or there is nothing but zeros. */
  readonly sqnrDb: number | null
  /** Share of rows with the same largest class, or of equal whole elements; null where there are no such rows. */
  readonly agreement: Intervals.Estimate | null
  /** 99.9th percentile of the KL of single rows (tokens, pixels), nats; null of outputs that are no class scores. */
  readonly distortion999: number | null
}

/** The quantile of values, linear between the two next to it. */
const quantile = (values: Float32Array, share: number): number => {
  const sorted = values.toSorted()
  const at = share * (sorted.length - 1)
  const below = Math.floor(at)
  return sorted[below]! + (at - below) * (sorted[Math.min(below + 1, sorted.length - 1)]! - sorted[below]!)
}

export const measured = (scores: Scores): Measured => {
  const { output, error, signal, agreeing, rows, divergences } = scores
  const [noise, power] = [error, signal].map((each) => each.reduce((a, b) => a + b, 0))
  return {
    output: output.name,
    kind: output.kind,
    weight: output.weight,
    distortion: meanOf(perSample(scores)),
    sqnrDb: noise! > 0 && power! > 0 ? 10 * Math.log10(power! / noise!) : null,
    agreement: rows > 0 ? Intervals.proportion(agreeing, rows) : null,
    distortion999: divergences.length > 0 ? quantile(divergences, 0.999) : null
  }
}

/** The weighted sum of the outputs' distortions, sample by sample. */
export const total = (scores: ReadonlyArray<Scores>): Intervals.Estimate => {
  const sum = new Float64Array(scores[0]!.distortion.length)
  for (const each of scores) {
    const distortions = perSample(each)
    for (let i = 0; i < sum.length; i++) sum[i]! += each.output.weight * distortions[i]!
  }
  return meanOf(sum)
}

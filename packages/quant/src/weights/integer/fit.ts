/**
 * Scales and zero points of integer weights, block by block.
 *
 * `extremes` without a zero point keeps to the codes ±(2^(b−1) − 1), so that the largest weight is exact. `leastSquares`
 * uses all 2^b codes, −2^(b−1) too, on whichever side the weights reach farther: the sign of the scale says which. At
 * 2 bits that is four codes instead of three. The extremes' parameters are among the candidates, so that a fit is never
 * worse than them in what it minimises.
 */
import { affineParameters, largestCode, roundHalfEven, scaleOf } from "../../Affine.ts"
import { type FittedScale, fitScale, type Sample, scaleCandidates } from "../Fitting.ts"

/** A scale as the format keeps it. */
export type Held = (scale: number) => number

export interface Extent {
  readonly low: number
  readonly high: number
}

export const extentOf = (w: Float64Array): Extent => {
  let [low, high] = [0, 0]
  for (const x of w) {
    low = Math.min(low, x)
    high = Math.max(high, x)
  }
  return { low, high }
}

/** How many scales are tried: the fewer bits, the more clipping there is to gain. */
const candidateCount = (bits: number): number => (bits <= 3 ? 48 : bits <= 4 ? 32 : bits <= 6 ? 12 : 6)

/** The scale without a zero point that clips nothing. */
export const extremeScale = ({ low, high }: Extent, bits: number): number =>
  scaleOf(Math.max(high, -low), largestCode(bits))

/** Nearest of the codes from `low` to `high`. */
const clipped = (low: number, high: number) => (steps: number) =>
  Math.max(low, Math.min(high, roundHalfEven(steps)))

/** The least-squares scale for codes −2^(b−1) … 2^(b−1) − 1, negative where the positive weights reach farther. */
export const leastSquaresScale = (sample: Sample, bits: number, held: Held): number => {
  const extent = extentOf(sample.w)
  const top = Math.max(extent.high, -extent.low)
  const largest = largestCode(bits)
  const plain = extremeScale(extent, bits)
  if (top === 0) return plain
  const grid = scaleCandidates(
    top,
    0.8 * largest,
    (largest + 1) * (bits <= 4 ? 2.5 : 1.5),
    candidateCount(bits)
  )
  const level = clipped(-largest - 1, largest)
  const fitted = fitScale(sample, level, [plain, -plain, ...grid, ...grid.map((s) => -s)], held)
  return fitted?.scale ?? plain
}

export interface Affine {
  readonly scale: number
  readonly zeroPoint: number
}

/** Scale, as the format keeps it, and zero point over [low, high]. */
export const affineOf = (low: number, high: number, bits: number, held: Held): Affine => {
  const { scale, zeroPoint } = affineParameters(low, high, bits)
  const kept = held(scale)
  if (kept === scale) return { scale, zeroPoint }
  const zero = roundHalfEven(Math.fround(-Math.min(0, low) / kept))
  return { scale: kept, zeroPoint: Math.min(2 ** bits - 1, Math.max(0, zero)) }
}

/** The least-squares scale and zero point for codes 0 … 2^b − 1. */
export const leastSquaresAffine = (sample: Sample, bits: number, held: Held): Affine => {
  const { low, high } = extentOf(sample.w)
  const levels = 2 ** bits - 1
  const plain = affineOf(low, high, bits, held)
  if (low === high) return plain
  const shrinks =
    bits <= 4 ? [1, 0.92, 0.84, 0.76, 0.68, 0.6, 0.5, 0.4] : bits <= 6 ? [1, 0.93, 0.86] : [1, 0.98]
  let best: (FittedScale & Affine) | undefined
  for (const below of shrinks)
    for (const above of shrinks) {
      const { scale, zeroPoint } = affineOf(low * below, high * above, bits, held)
      const found = fitScale(sample, clipped(-zeroPoint, levels - zeroPoint), [scale], held)
      if (found !== undefined && (best === undefined || found.error < best.error))
        best = { ...found, zeroPoint }
    }
  return best === undefined ? plain : { scale: best.scale, zeroPoint: best.zeroPoint }
}

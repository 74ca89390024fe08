/**
 * Scales and least values of k-quants. Each sub-block's are fitted by themselves, then to the grid that its block's two halves
 * span; of the grid's nearest points the one with the least error is taken.
 *
 * `extremes` clips nothing but what the grid does; `leastSquares` makes Σ h·(w − ŵ)² least: clipped ranges are tried, and for
 * the codes of the best one scale and least value are solved for. This is our own search; llama.cpp's differs.
 */
import { roundHalfEven } from "../../Affine.ts"
import { toHalf } from "../blockScales.ts"
import type { Fitting, Sample } from "../Fitting.ts"
import { extentOf, extremeScale, leastSquaresScale } from "../integer/fit.ts"
import { boundsOf, type KQuantType } from "./types.ts"

/** ŵ = scale·q − min. */
interface Line {
  readonly scale: number
  readonly min: number
}

/** The nearest code of a value under a scale and least value. */
export const nearestCode = (x: number, scale: number, min: number, low: number, high: number): number =>
  scale === 0 ? Math.max(low, 0) : Math.max(low, Math.min(high, roundHalfEven((x + min) / scale)))

const errorOf = ({ w, h }: Sample, { scale, min }: Line, low: number, high: number): number => {
  let sum = 0
  for (let i = 0; i < w.length; i++) {
    const rest = w[i]! - (scale * nearestCode(w[i]!, scale, min, low, high) - min)
    sum += h[i]! * rest * rest
  }
  return sum
}

/** The least-squares line for the codes that another line gives, its least value not negative. */
const refitted = ({ w, h }: Sample, { scale, min }: Line, high: number): Line => {
  let [sum, sq, sqq, sw, swq] = [0, 0, 0, 0, 0]
  for (let i = 0; i < w.length; i++) {
    const q = nearestCode(w[i]!, scale, min, 0, high)
    sum += h[i]!
    sq += h[i]! * q
    sqq += h[i]! * q * q
    sw += h[i]! * w[i]!
    swq += h[i]! * w[i]! * q
  }
  const determinant = sum * sqq - sq * sq
  if (!(determinant > 0)) return { scale, min }
  const free = { scale: (sum * swq - sq * sw) / determinant, min: (sq * swq - sqq * sw) / determinant }
  return free.min >= 0 ? free : { scale: sqq === 0 ? scale : swq / sqq, min: 0 }
}

const shrinks = [1, 0.93, 0.86, 0.78, 0.7]
const REFITS = 5

const lineOf = (sample: Sample, bits: number, objective: Fitting["objective"]): Line => {
  const { low, high } = extentOf(sample.w)
  const top = 2 ** bits - 1
  const plain = { scale: (high - low) / top, min: -low }
  if (objective === "extremes" || low === high) return plain
  let [best, least] = [plain, errorOf(sample, plain, 0, top)]
  const consider = (line: Line): boolean => {
    if (!(line.scale > 0)) return false
    const error = errorOf(sample, line, 0, top)
    if (error >= least) return false
    ;[best, least] = [line, error]
    return true
  }
  for (const below of shrinks)
    for (const above of shrinks) consider({ scale: (high * above - low * below) / top, min: -low * below })
  for (let turn = 0; turn < REFITS && consider(refitted(sample, best, top)); turn++);
  return best
}

const signedLine = (sample: Sample, bits: number, objective: Fitting["objective"]): Line => ({
  scale:
    objective === "extremes"
      ? extremeScale(extentOf(sample.w), bits)
      : leastSquaresScale(sample, bits, (scale) => scale),
  min: 0
})

/** A block's halves, and the integers of its sub-blocks. */
export interface SuperBlock {
  readonly d: number
  readonly dmin: number
  readonly scales: ReadonlyArray<number>
  readonly mins: ReadonlyArray<number>
  /** Σ h·(w − ŵ)². */
  readonly error: number
}

/** Integers of `bits` bits near a number of steps: the nearest, and its neighbours where these may be better. */
const near = (steps: number, { low, high }: { low: number; high: number }, around: number) => {
  const middle = Math.max(low, Math.min(high, Number.isFinite(steps) ? roundHalfEven(steps) : 0))
  const found: Array<number> = []
  for (let q = Math.max(low, middle - around); q <= Math.min(high, middle + around); q++) found.push(q)
  // The nearest first: of equal errors it is taken.
  return found.toSorted((a, b) => Math.abs(a - middle) - Math.abs(b - middle))
}

/** Parameters of one block, of the samples of its sub-blocks: those of the extremes where these have less error. */
export const superBlock = (
  samples: ReadonlyArray<Sample>,
  type: KQuantType,
  objective: Fitting["objective"]
): SuperBlock => {
  const plain = fitted(samples, type, "extremes")
  if (objective === "extremes") return plain
  const best = fitted(samples, type, objective)
  return best.error < plain.error ? best : plain
}

const fitted = (
  samples: ReadonlyArray<Sample>,
  { bits, scaleBits, hasMins }: KQuantType,
  objective: Fitting["objective"]
): SuperBlock => {
  const lines = samples.map((sample) =>
    hasMins ? lineOf(sample, bits, objective) : signedLine(sample, bits, objective)
  )
  const [codes, grid] = [boundsOf(bits, !hasMins), boundsOf(scaleBits, !hasMins)]
  const most = lines.reduce((a, { scale }) => (Math.abs(scale) > Math.abs(a) ? scale : a), 0)
  // Signed grids reach one farther below 0: the largest scale is put there.
  const d = toHalf(hasMins ? most / grid.high : most / grid.low)
  const dmin = hasMins ? toHalf(Math.max(...lines.map(({ min }) => min)) / grid.high) : 0
  const around = objective === "extremes" ? 0 : 1
  const found = samples.map((sample, j) => {
    const { scale, min } = lines[j]!
    let best = { scale: 0, min: 0, error: Number.POSITIVE_INFINITY }
    for (const s of near(scale / d, grid, around))
      for (const m of hasMins ? near(min / dmin, grid, around) : [0]) {
        const error = errorOf(sample, { scale: d * s, min: dmin * m }, codes.low, codes.high)
        if (error < best.error) best = { scale: s, min: m, error }
      }
    return best
  })
  return {
    d,
    dmin,
    scales: found.map(({ scale }) => scale),
    mins: found.map(({ min }) => min),
    error: found.reduce((sum, { error }) => sum + error, 0)
  }
}

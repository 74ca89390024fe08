/**
 * Second-order rounding of one output channel's weights: the rounding error of each weight is made up for by those that
 * follow, so that the layer's output on the calibration samples moves least, δᵀHδ with H = XᵀX.
 *
 * Frantar et al., "GPTQ", ICLR 2023, in the form of Chee et al., "QuIP", NeurIPS 2023 (LDLQ, proven equal): with
 * H = (U + I) D (U + I)ᵀ, U strictly upper triangular, weight j is rounded at w_j + Σ_{i<j} (w_i − ŵ_i) U_ij. Weights with
 * large H_jj go first. Then sweeps over single weights, each put to its best level given the others, until none moves
 * (Behdin et al., "QuantEase", 2023). The result is compared with rounding to nearest, channel by channel, and is never
 * worse than it in δᵀHδ.
 */
import { nearest } from "./levels.ts"

/** H = R Rᵀ with R upper triangular, row-major; a positive definite H. */
const upperFactor = (h: Float64Array, n: number): Float64Array => {
  const r = new Float64Array(n * n)
  for (let j = n - 1; j >= 0; j--) {
    const rowJ = j * n
    for (let i = j; i >= 0; i--) {
      const rowI = i * n
      let sum = h[rowI + j]!
      for (let k = j + 1; k < n; k++) sum -= r[rowI + k]! * r[rowJ + k]!
      r[rowI + j] = i === j ? Math.sqrt(sum) : sum / r[rowJ + j]!
    }
  }
  return r
}

/** What one group of a convolution (or a whole matrix) needs for rounding its channels. */
export interface Prepared {
  readonly size: number
  /** H + λI in the order of rounding. */
  readonly h: Float64Array
  /** Uᵀ in the order of rounding: row j holds U_ij, i < j. */
  readonly feedback: Float64Array
  /** Weight of each place in the order. */
  readonly order: Uint32Array
}

/**
 * `damping` is the share of the mean diagonal added to it, so that a rank-deficient H (fewer calibration rows than
 * weights, inputs that are always 0) has a factor. Undefined where H is 0 or not finite: nothing is known then.
 */
export const prepare = (gram: Float64Array, size: number, damping = 0.01): Prepared | undefined => {
  const diagonal = Float64Array.from({ length: size }, (_, i) => gram[i * size + i]!)
  const mean = diagonal.reduce((a, b) => a + b, 0) / size
  if (!(mean > 0) || !Number.isFinite(mean)) return undefined
  const order = Uint32Array.from(
    diagonal.map((_, i) => i),
    Number
  ).sort((a, b) => diagonal[b]! - diagonal[a]! || a - b)
  const h = new Float64Array(size * size)
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++) h[i * size + j] = gram[order[i]! * size + order[j]!]!
  for (let i = 0; i < size; i++) h[i * size + i]! += damping * mean
  const r = upperFactor(h, size)
  const feedback = new Float64Array(size * size)
  for (let j = 0; j < size; j++)
    for (let i = 0; i < j; i++) feedback[j * size + i] = r[i * size + j]! / r[j * size + j]!
  return { size, h, feedback, order }
}

/** δᵀ(Hδ). */
const product = (delta: Float64Array, gradient: Float64Array): number => {
  let total = 0
  for (let i = 0; i < delta.length; i++) total += delta[i]! * gradient[i]!
  return total
}

interface Swept {
  /** δᵀHδ of the codes that were given, and of those that were found. */
  readonly before: number
  readonly after: number
}

/** Moves single weights to their best level given the others; `delta` = ŵ − w and `values` are changed. */
const sweep = (
  { size, h, order }: Prepared,
  w: Float64Array,
  values: Float64Array,
  delta: Float64Array,
  levelsOf: (k: number) => Float32Array,
  sweeps: number
): Swept => {
  const gradient = new Float64Array(size)
  for (let i = 0; i < size; i++) {
    if (delta[i] === 0) continue
    for (let j = 0; j < size; j++) gradient[j]! += h[i * size + j]! * delta[i]!
  }
  const before = product(delta, gradient)
  for (let turn = 0; turn < sweeps; turn++) {
    let moved = false
    for (let j = 0; j < size; j++) {
      const own = h[j * size + j]!
      const levels = levelsOf(order[j]!)
      const best = levels[nearest(levels, w[j]! + delta[j]! - gradient[j]! / own)]!
      const step = best - values[j]!
      // The change of the objective is step·(2·gradient + own·step).
      if (step === 0 || step * (2 * gradient[j]! + own * step) >= 0) continue
      moved = true
      values[j] = best
      delta[j]! += step
      for (let i = 0; i < size; i++) gradient[i]! += h[j * size + i]! * step
    }
    if (!moved) break
  }
  return { before, after: product(delta, gradient) }
}

export interface Rounded {
  /** Values on their levels, in the weights' own order. */
  readonly values: Float64Array
  /** δᵀHδ, and the same of rounding to nearest. */
  readonly objective: number
  readonly nearest: number
}

/** Rounds one output channel's `weights`; `levelsOf` gives the levels of its weight k. */
export const roundChannel = (
  prepared: Prepared,
  weights: Float64Array,
  levelsOf: (k: number) => Float32Array,
  sweeps = 8
): Rounded => {
  const { size, feedback, order } = prepared
  const w = Float64Array.from(order, (k) => weights[k]!)
  const round = (feed: boolean) => {
    const [values, delta] = [new Float64Array(size), new Float64Array(size)]
    for (let j = 0; j < size; j++) {
      let target = w[j]!
      if (feed) for (let i = 0; i < j; i++) target -= delta[i]! * feedback[j * size + i]!
      const levels = levelsOf(order[j]!)
      values[j] = levels[nearest(levels, target)]!
      delta[j] = values[j]! - w[j]!
    }
    return { values, delta }
  }
  const swept = ({ values, delta }: { readonly values: Float64Array; readonly delta: Float64Array }) => ({
    values,
    ...sweep(prepared, w, values, delta, levelsOf, sweeps)
  })
  const [fed, plain] = [swept(round(true)), swept(round(false))]
  const best = fed.after <= plain.after ? fed : plain
  const result = new Float64Array(size)
  for (let j = 0; j < size; j++) result[order[j]!] = best.values[j]!
  return { values: result, objective: best.after, nearest: plain.before }
}

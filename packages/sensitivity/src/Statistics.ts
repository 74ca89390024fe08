/**
 * Means with standard errors, and rank correlation.
 *
 * Figures go into JSON documents, which have no NaN: what is unknown (the spread of one sample, the correlation of
 * constants) is null.
 */

export interface Estimate {
  readonly value: number
  /** Standard error of the mean; null below two values. */
  readonly stdErr: number | null
}

export const mean = (values: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum / values.length
}

/** Mean and its standard error, s/√n. */
export const estimate = (values: ArrayLike<number>): Estimate => {
  const [n, value] = [values.length, mean(values)]
  let squares = 0
  for (let i = 0; i < n; i++) squares += (values[i]! - value) ** 2
  return { value, stdErr: n < 2 ? null : Math.sqrt(squares / (n - 1) / n) }
}

/** Mean of after − before over pairs: samples scored twice. */
export const pairedDifference = (before: Float64Array, after: Float64Array): Estimate =>
  estimate(after.map((value, i) => value - before[i]!))

/**
 * 10·log₁₀(Σ numerator / Σ denominator) in decibels with its standard error by the delta method; null where one of
 * the sums is 0.
 */
export const decibels = (
  numerator: Float64Array,
  denominator: Float64Array
): { readonly value: number | null; readonly stdErr: number | null } => {
  const [a, b] = [mean(numerator), mean(denominator)]
  if (a === 0 || b === 0) return { value: null, stdErr: null }
  const relative = estimate(numerator.map((x, i) => x / a - denominator[i]! / b))
  const perNeper = 10 / Math.LN10
  return {
    value: perNeper * Math.log(a / b),
    stdErr: relative.stdErr === null ? null : perNeper * relative.stdErr
  }
}

/** Ranks from 1, ties sharing their mean rank. */
export const ranks = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!)
  const result = Array.from(values, () => 0)
  for (let from = 0; from < order.length;) {
    let to = from + 1
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++
    for (let k = from; k < to; k++) result[order[k]!] = (from + 1 + to) / 2
    from = to
  }
  return result
}

export interface RankCorrelation {
  /** Null below three pairs or where one side is constant. */
  readonly spearman: number | null
  /** 95 % interval: Fisher's z with the variance of Bonett & Wright (Psychometrika 2000). */
  readonly low: number | null
  readonly high: number | null
  /** Pairs. */
  readonly n: number
}

/** Spearman's rank correlation: the correlation of the ranks. */
export const spearman = (x: ReadonlyArray<number>, y: ReadonlyArray<number>): RankCorrelation => {
  const n = x.length
  const [a, b] = [ranks(x), ranks(y)]
  const centre = (n + 1) / 2
  let [xy, xx, yy] = [0, 0, 0]
  for (let i = 0; i < n; i++) {
    const [dx, dy] = [a[i]! - centre, b[i]! - centre]
    xy += dx * dy
    xx += dx * dx
    yy += dy * dy
  }
  if (n < 3 || xx === 0 || yy === 0) return { spearman: null, low: null, high: null, n }
  const rho = Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)))
  if (n < 4 || Math.abs(rho) === 1) return { spearman: rho, low: null, high: null, n }
  const half = 1.959963984540054 * Math.sqrt((1 + rho ** 2 / 2) / (n - 3))
  return {
    spearman: rho,
    low: Math.tanh(Math.atanh(rho) - half),
    high: Math.tanh(Math.atanh(rho) + half),
    n
  }
}

/**
 * The 97.5 % quantile of Student's t over that of the normal distribution. (Cornish & Fisher's expansion, Abramowitz &
 * Stegun 26.7.5: 0.1 % off from 5 degrees on.)
 */
export const studentFactor = (degrees: number): number => {
  const z2 = 1.959963984540054 ** 2
  const v = Math.max(1, degrees)
  return (
    1 +
    (z2 + 1) / 4 / v +
    ((5 * z2 + 16) * z2 + 3) / 96 / v ** 2 +
    (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384 / v ** 3 +
    ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160 / v ** 4
  )
}

/**
 * The mean of a few, possibly skewed values, with its standard error widened so that ±1.96 of it covers the truth in
 * 95 % of cases: by Student's factor, and by the first term of Edgeworth's expansion in skewness γ and excess kurtosis
 * κ, which a square of normals (a quadratic form of one large eigenvalue) needs. (Hall, The Bootstrap and Edgeworth
 * Expansion, 1992, section 2.6: coverage falls short by 2φ(z)·(γ²(z⁵+2z³−3z)/18 − κ(z³−3z)/12)/n.)
 */
export const fewValues = (values: ReadonlyArray<number>): Estimate => {
  const { value, stdErr } = estimate(values)
  if (stdErr === null) return { value, stdErr }
  const n = values.length
  const moment = (k: number) => mean(values.map((x) => (x - value) ** k))
  const variance = moment(2)
  if (variance === 0) return { value, stdErr }
  const z = 1.959963984540054
  const skewness = moment(3) / variance ** 1.5
  const excess = moment(4) / variance ** 2 - 3
  const missing =
    (skewness ** 2 * (z ** 5 + 2 * z ** 3 - 3 * z)) / 18 / n - (excess * (z ** 3 - 3 * z)) / 12 / n
  return { value, stdErr: stdErr * (studentFactor(n - 1) + Math.max(0, missing / z)) }
}

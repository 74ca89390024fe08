/**
 * Means with standard errors.
 *
 * Figures go into JSON documents, which have no NaN: what is unknown (the spread of one sample) is null.
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

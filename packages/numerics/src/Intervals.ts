/**
 * A measured number with its 95 % confidence interval.
 *
 * Proportions get Wilson's interval (Wilson 1927; Brown, Cai & DasGupta 2001): it stays inside [0,1] and
 * keeps its coverage near 0 and 1, where accuracies live. Means get the normal interval of their samples.
 * Where one sample carries many targets (the tokens of a text window), these are no independent trials:
 * the count is divided by Kish's design effect, measured from the spread between samples.
 */
export interface Estimate {
  readonly value: number
  readonly low: number
  readonly high: number
  /** Number of targets or samples the value is taken over. */
  readonly n: number
}

/** 97.5 % quantile of the normal distribution. */
export const z = 1.959963984540054

/** Wilson's interval for `p` seen in `trials` independent trials. */
export const wilson = (p: number, trials: number): { readonly low: number; readonly high: number } => {
  const centre = (p + z ** 2 / (2 * trials)) / (1 + z ** 2 / trials)
  const half = (z / (1 + z ** 2 / trials)) * Math.sqrt((p * (1 - p)) / trials + z ** 2 / (4 * trials ** 2))
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) }
}

const sum = (values: ArrayLike<number>): number => {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i]!
  return total
}

/** Sum of squared deviations from the mean, two passes. */
const squaredDeviations = (values: ArrayLike<number>, mean: number): number => {
  let total = 0
  for (let i = 0; i < values.length; i++) total += (values[i]! - mean) ** 2
  return total
}

/** Mean of the values with the normal interval of its standard error; unknown (NaN) below two values. */
export const mean = (values: ArrayLike<number>): Estimate => {
  const n = values.length
  const value = sum(values) / n
  const half = z * Math.sqrt(squaredDeviations(values, value) / (n - 1) / n)
  return { value, low: value - half, high: value + half, n }
}

/**
 * Share of correct targets, from the number correct in each sample of `targets` targets: Wilson's interval
 * with the effective number of trials.
 */
export const proportion = (correct: ArrayLike<number>, targets = 1): Estimate => {
  const samples = correct.length
  const n = samples * targets
  const value = sum(correct) / n
  const spread = value * (1 - value)
  const between = squaredDeviations(correct, value * targets) / (targets ** 2 * (samples - 1))
  const designEffect = targets === 1 || samples < 2 || spread === 0 ? 1 : (between * targets) / spread
  return { value, ...wilson(value, n / Math.max(1, designEffect)), n }
}

/** The estimate of an increasing function of the value. */
export const map = (estimate: Estimate, f: (value: number) => number): Estimate => ({
  value: f(estimate.value),
  low: f(estimate.low),
  high: f(estimate.high),
  n: estimate.n
})

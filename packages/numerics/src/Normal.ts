/** The standard normal distribution. */

/** Rational approximation of the standard normal's quantile (Acklam), relative error below 1.2e-9. */
export const quantile = (p: number): number => {
  const a = [
    -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716,
    2.506628277459239
  ]
  const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572]
  const c = [
    -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
    2.938163982698783
  ]
  const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416]
  const poly = (coefficients: ReadonlyArray<number>, x: number): number =>
    coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0)
  const tail = (q: number): number => poly(c, q) / poly([...d, 1], q)
  if (p < 0.02425) return tail(Math.sqrt(-2 * Math.log(p)))
  if (p > 1 - 0.02425) return -tail(Math.sqrt(-2 * Math.log(1 - p)))
  const q = p - 0.5
  return (poly(a, q * q) * q) / poly([...b, 1], q * q)
}

/** Standard normal distribution function, by Zelen and Severo's series (absolute error below 7.5e-8). */
export const cdf = (x: number): number => {
  const t = 1 / (1 + 0.2316419 * Math.abs(x))
  const tail =
    (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return x >= 0 ? 1 - tail : tail
}

/**
 * The step of a quantity whose sums can only take evenly spaced values: bytes, bit operations, tables with a
 * few decimals. A bound between two steps may be raised to the next, and a limit lowered to the last, which
 * is worth much where many assignments tie (integer programs with integral objectives do the same).
 */
const gcd = (a: number, b: number): number => {
  while (b !== 0) [a, b] = [b, a % b]
  return a
}

/** Whole numbers for the values × 10^decimals; null if they are none. */
const whole = (values: Iterable<number>, decimals: number): ReadonlyArray<number> | null => {
  const factor = 10 ** decimals
  const most = decimals === 0 ? Number.MAX_SAFE_INTEGER : 1e9
  const scaled: Array<number> = []
  for (const value of values) {
    const product = value * factor
    const nearest = Math.round(product)
    if (Math.abs(nearest) > most || Math.abs(product - nearest) > 2 ** -50 * Math.abs(product)) return null
    scaled.push(nearest)
  }
  return scaled
}

/** The step in units of 10^-decimals; null if a value has more decimals. */
const stepAt = (
  decisions: ReadonlyArray<Iterable<number>>,
  others: ReadonlyArray<number>,
  decimals: number
): number | null => {
  let step = 0
  for (const [d, values] of [...decisions, others].entries()) {
    const parts = whole(values, decimals)
    if (parts === null) return null
    const origin = d < decisions.length ? parts[0]! : 0
    for (const value of parts) step = gcd(Math.abs(value - origin), step)
  }
  return step
}

/**
 * Greatest number that divides every difference within a decision and every number of `others`, reading up
 * to 6 decimals; 0 if there is none.
 */
export const stepOf = (
  decisions: ReadonlyArray<ArrayLike<number> & Iterable<number>>,
  others: ReadonlyArray<number>
): number => {
  for (let decimals = 0; decimals <= 6; decimals++) {
    const step = stepAt(decisions, others, decimals)
    if (step !== null) return step / 10 ** decimals
  }
  return 0
}

/** Beyond this many steps rounding is no longer small against one. */
const mostSteps = 1e8

/** The least multiple of the step at or above a bound, up to rounding. */
export const raised = (bound: number, step: number): number =>
  step > 0 && Math.abs(bound) < mostSteps * step ? Math.ceil(bound / step - 1e-6) * step : bound

/** The greatest multiple of the step at or below a limit, up to rounding. */
export const lowered = (limit: number, step: number): number =>
  step > 0 && Math.abs(limit) < mostSteps * step ? Math.floor(limit / step + 1e-6) * step : limit

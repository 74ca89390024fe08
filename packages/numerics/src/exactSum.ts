/**
 * Sums that do not depend on the order of their terms, and the question whether a sum keeps a limit.
 *
 * `exactSum` is Shewchuk's expansion ("Adaptive Precision Floating-Point Arithmetic", 1997): the partials
 * hold the sum without error, their total is rounded once. A limit is often itself a float sum (the 8-bit
 * network's latency, in some order), so it is known only to the rounding error of such a sum: two numbers
 * closer than n·2⁻⁵³·Σ|v| are the same number to anyone who adds n floats. Anything above is a violation.
 */
export const exactSum = (values: ArrayLike<number>): number => {
  const partials: Array<number> = []
  for (let i = 0; i < values.length; i++) {
    let x = values[i]!
    let kept = 0
    for (const partial of partials) {
      let y = partial
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x]
      const high = x + y
      const low = y - (high - x)
      if (low !== 0) partials[kept++] = low
      x = high
    }
    partials.length = kept
    partials.push(x)
  }
  return partials.reduceRight((sum, partial) => sum + partial, 0)
}

/** How far apart float sums of these terms can be, by the order of adding alone. */
export const roundingBand = (values: ArrayLike<number>): number => {
  let magnitude = 0
  for (let i = 0; i < values.length; i++) magnitude += Math.abs(values[i]!)
  return values.length * 2 ** -53 * magnitude
}

/**
 * The sum as seen against a limit: equal to the limit within the rounding band, else itself.
 * A sum above its limit is a violation.
 */
export const sumAgainst = (values: ArrayLike<number>, limit: number): number => {
  const sum = exactSum(values)
  return Math.abs(sum - limit) <= roundingBand(values) ? limit : sum
}

/**
 * A histogram of an activation between its extremes: bounded memory however many samples, from which bounds are chosen
 * that lie within one bin of what all values would give.
 */

export interface Histogram {
  readonly low: number
  readonly high: number
  readonly counts: Float64Array
}

export const make = (low: number, high: number, bins = 2048): Histogram => ({
  low,
  high,
  counts: new Float64Array(bins)
})

/** Counts the values; what lies outside the bounds falls into the bins at the ends, what is no number nowhere. */
export const add = ({ low, high, counts }: Histogram, values: ArrayLike<number>): void => {
  const perBin = counts.length / (high - low)
  const last = counts.length - 1
  if (!Number.isFinite(perBin)) {
    counts[0]! += values.length
    return
  }
  for (let i = 0; i < values.length; i++) {
    const at = (values[i]! - low) * perBin
    if (at >= 0) counts[at > last ? last : Math.trunc(at)]!++
    else if (at < 0) counts[0]!++
  }
}

/** Middles of the bins. */
export const centres = ({ low, high, counts }: Histogram): Float64Array =>
  Float64Array.from(counts, (_, i) => low + ((i + 0.5) * (high - low)) / counts.length)

export const total = ({ counts }: Histogram): number => counts.reduce((a, b) => a + b, 0)

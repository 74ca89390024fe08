/**
 * Bounds of an activation's codes, chosen on its histogram.
 *
 * `extremes`: nothing clipped. `percentile`: the same share cut off either side. `squaredError`: least Σ(x − x̂)² for the
 * width, rounding and clipping together. `divergence`: least KL(P ‖ Q) between the values' distribution and what the codes
 * leave of it, the clipped mass in the outermost bins (Migacz, "8-bit Inference with TensorRT", GTC 2017).
 */
import { affineParameters, roundHalfEven } from "../Affine.ts"
import type { Bounds } from "../Ranges.ts"
import type { Histogram } from "./Histogram.ts"
import { centres, total } from "./Histogram.ts"

export type Clipping =
  | { readonly by: "extremes" }
  | { readonly by: "percentile"; readonly share: number }
  | { readonly by: "squaredError" }
  | { readonly by: "divergence" }

/** The value below which the share lies, taken at the near edge of its bin. */
const quantile = ({ low, high, counts }: Histogram, share: number): number => {
  const wanted = share * total({ low, high, counts })
  let seen = 0
  for (let i = 0; i < counts.length; i++) {
    seen += counts[i]!
    if (seen >= wanted) return Math.min(high, low + ((i + 1) * (high - low)) / counts.length)
  }
  return high
}

/** Bounds that hold 0 and shrink in steps: both sides by the same share, or one of them alone. */
const candidates = (histogram: Histogram, steps: number): ReadonlyArray<Bounds> => {
  const [low, high] = [Math.min(0, histogram.low), Math.max(0, histogram.high)]
  const shrinks = Array.from({ length: steps }, (_, i) => 1 - i / steps)
  const both = shrinks.map((a) => ({ low: low * a, high: high * a }))
  if (low === 0 || high === 0) return both
  return [
    ...both,
    ...shrinks.map((a) => ({ low, high: high * a })),
    ...shrinks.map((a) => ({ low: low * a, high }))
  ]
}

const squaredError = (histogram: Histogram, middles: Float64Array, bounds: Bounds, bits: number): number => {
  const { scale, zeroPoint } = affineParameters(bounds.low, bounds.high, bits)
  const [least, most] = [-zeroPoint, 2 ** bits - 1 - zeroPoint]
  let error = 0
  for (let i = 0; i < middles.length; i++) {
    const count = histogram.counts[i]!
    if (count === 0) continue
    const q = Math.max(least, Math.min(most, roundHalfEven(middles[i]! / scale)))
    error += count * (middles[i]! - q * scale) ** 2
  }
  return error
}

/** Zero is a code of its own, so the peak of zeros that a ReLU makes loses nothing and must not count. */
const withoutZero = ({ low, high, counts }: Histogram): Float64Array => {
  const others = Float64Array.from(counts)
  if (low <= 0 && high >= 0)
    others[Math.min(counts.length - 1, Math.floor((-low / (high - low)) * counts.length))] = 0
  return others
}

const divergence = (histogram: Histogram, middles: Float64Array, bounds: Bounds, bits: number): number => {
  const { scale, zeroPoint } = affineParameters(bounds.low, bounds.high, bits)
  const levels = 2 ** bits
  const codeOf = (x: number) => Math.max(0, Math.min(levels - 1, roundHalfEven(x / scale) + zeroPoint))
  const [mass, bins] = [new Float64Array(levels), new Float64Array(levels)]
  const inside = (x: number) => x >= bounds.low && x <= bounds.high
  // P has the clipped mass in its outermost bins; Q spreads each code's mass over the bins that P fills.
  const p = withoutZero(histogram)
  for (let i = 0; i < middles.length; i++) {
    if (p[i] === 0 || !inside(middles[i]!)) continue
    const code = codeOf(middles[i]!)
    mass[code]! += p[i]!
    bins[code]!++
  }
  const kept = mass.reduce((a, b) => a + b, 0)
  let [first, last] = [0, p.length - 1]
  while (first < last && !inside(middles[first]!)) {
    p[first + 1]! += p[first]!
    p[first++] = 0
  }
  while (last > first && !inside(middles[last]!)) {
    p[last - 1]! += p[last]!
    p[last--] = 0
  }
  const n = p.reduce((a, b) => a + b, 0)
  if (kept === 0 || n === 0) return Number.POSITIVE_INFINITY
  let kl = 0
  for (let i = first; i <= last; i++) {
    if (p[i] === 0) continue
    const code = codeOf(middles[i]!)
    const q = bins[code] === 0 ? 0 : mass[code]! / bins[code]! / kept
    kl += (p[i]! / n) * Math.log(p[i]! / n / Math.max(q, 1e-12))
  }
  return kl
}

/** Bounds for codes of so many bits, which never exceed the extremes and 0. */
export const boundsOf = (histogram: Histogram, bits: number, clipping: Clipping): Bounds => {
  const { low, high } = histogram
  if (clipping.by === "extremes" || low === high || total(histogram) === 0) return { low, high }
  if (clipping.by === "percentile") {
    const cut = (1 - clipping.share) / 2
    return {
      low: low >= 0 ? low : Math.min(0, quantile(histogram, cut)),
      high: high <= 0 ? high : Math.max(0, quantile(histogram, 1 - (low >= 0 ? 2 * cut : cut)))
    }
  }
  const middles = centres(histogram)
  const cost = clipping.by === "squaredError" ? squaredError : divergence
  let best: { readonly bounds: Bounds; readonly cost: number } | undefined
  for (const bounds of candidates(histogram, 64)) {
    const found = cost(histogram, middles, bounds, bits)
    if (best === undefined || found < best.cost) best = { bounds, cost: found }
  }
  return best!.bounds
}

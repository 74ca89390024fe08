import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Affine, boundsOf, type Clipping, Histogram } from "../src/index.ts"

const of = (values: ReadonlyArray<number>, bins?: number) => {
  const histogram = Histogram.make(Math.min(...values), Math.max(...values), bins)
  Histogram.add(histogram, values)
  return histogram
}

const numbers = fc.array(
  fc.integer({ min: -1000, max: 5000 }).map((n) => n / 100),
  { minLength: 2, maxLength: 60 }
)
const clippings: ReadonlyArray<Clipping> = [
  { by: "extremes" },
  { by: "percentile", share: 0.99 },
  { by: "squaredError" },
  { by: "divergence" }
]

describe("bounds of activations", () => {
  it("lie within the extremes, and do not exclude 0 where these do not", () => {
    fc.assert(
      fc.property(numbers, fc.integer({ min: 1, max: 8 }), (values, bits) => {
        const histogram = of(values, 128)
        for (const clipping of clippings) {
          const { low, high } = boundsOf(histogram, bits, clipping)
          expect(low).toBeGreaterThanOrEqual(Math.min(0, histogram.low))
          expect(high).toBeLessThanOrEqual(Math.max(0, histogram.high))
          expect(low).toBeLessThanOrEqual(high)
          if (histogram.low <= 0 && histogram.high >= 0) expect(low <= 0 && high >= 0).toBe(true)
        }
      }),
      { numRuns: 50 }
    )
  })

  it("percentiles by hand, within a bin of exact", () => {
    const values = Array.from({ length: 1001 }, (_, i) => i / 10)
    const { low, high } = boundsOf(of(values), 8, { by: "percentile", share: 0.9 })
    expect(low).toBe(0)
    expect(Math.abs(high - 90)).toBeLessThanOrEqual(100 / 2048 + 0.1)
    const signed = values.map((x) => x - 50)
    const sides = boundsOf(of(signed), 8, { by: "percentile", share: 0.9 })
    expect(Math.abs(sides.low + 45)).toBeLessThanOrEqual(100 / 2048 + 0.1)
    expect(Math.abs(sides.high - 45)).toBeLessThanOrEqual(100 / 2048 + 0.1)
  })

  it("of least squared error clip the one value that is far out, and are never worse than the extremes", () => {
    const errorOf = (values: ReadonlyArray<number>, bits: number, bounds: { low: number; high: number }) => {
      const { scale, zeroPoint } = Affine.affineParameters(bounds.low, bounds.high, bits)
      return values.reduce((sum, x) => {
        const q = Math.max(-zeroPoint, Math.min(2 ** bits - 1 - zeroPoint, Affine.roundHalfEven(x / scale)))
        return sum + (x - q * scale) ** 2
      }, 0)
    }
    const values = [...Array.from({ length: 1000 }, (_, i) => i / 1000), 20]
    const bounds = boundsOf(of(values), 4, { by: "squaredError" })
    expect(bounds.high).toBeLessThan(15)
    expect(errorOf(values, 4, bounds)).toBeLessThan(errorOf(values, 4, { low: 0, high: 20 }))
  })

  it("of a constant activation are that value, whatever the way", () => {
    for (const clipping of clippings) expect(boundsOf(of([3, 3]), 8, clipping)).toEqual({ low: 3, high: 3 })
  })

  it("what is no number is not counted, what lies outside falls into the ends", () => {
    const histogram = Histogram.make(0, 1, 4)
    Histogram.add(histogram, [Number.NaN, -5, 0.3, 9, Number.POSITIVE_INFINITY])
    expect([...histogram.counts]).toEqual([1, 1, 0, 2])
  })
})

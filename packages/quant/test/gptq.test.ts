import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { prepare, roundChannel } from "../src/corrections/gptq.ts"
import { below, nearest } from "../src/corrections/levels.ts"

const size = 6
const number = fc.integer({ min: -100, max: 100 }).map((n) => n / 50)
const rows = fc.array(fc.array(number, { minLength: size, maxLength: size }), {
  minLength: 1,
  maxLength: 12
})
const levels = Float32Array.of(-1, -0.5, 0, 0.5)

const gramOf = (x: ReadonlyArray<ReadonlyArray<number>>) =>
  Float64Array.from({ length: size * size }, (_, i) =>
    x.reduce((sum, row) => sum + row[Math.floor(i / size)]! * row[i % size]!, 0)
  )

describe("second-order rounding", () => {
  it("is never worse than rounding to nearest in what it minimises, also with fewer rows than weights", () => {
    fc.assert(
      fc.property(rows, fc.array(number, { minLength: size, maxLength: size }), (x, w) => {
        const prepared = prepare(gramOf(x), size)
        if (prepared === undefined) return
        const { objective, nearest, values } = roundChannel(prepared, Float64Array.from(w), () => levels)
        expect(objective).toBeLessThanOrEqual(nearest * (1 + 1e-9))
        for (const value of values) expect(levels).toContain(value)
      })
    )
  })

  it("by hand: two inputs that are always equal share their errors", () => {
    // Only w0 + w1 matters. 0.26 + 0.26 rounds to 0.5 + 0.5 one by one, to 0.5 + 0 together.
    const prepared = prepare(Float64Array.of(1, 1, 1, 1), 2, 1e-6)!
    const result = roundChannel(prepared, Float64Array.of(0.26, 0.26), () => levels)
    expect([...result.values].toSorted()).toEqual([0, 0.5])
    expect(result.objective).toBeCloseTo(0.02 ** 2, 5)
    expect(result.nearest).toBeCloseTo(0.48 ** 2, 5)
  })

  it("is rounding to nearest where inputs are independent", () => {
    const prepared = prepare(Float64Array.of(2, 0, 0, 3), 2)!
    const result = roundChannel(prepared, Float64Array.of(0.3, -0.8), () => levels)
    expect([...result.values]).toEqual([0.5, -1])
  })

  it("knows nothing where all inputs are 0, infinite or no numbers", () => {
    expect(prepare(new Float64Array(4), 2)).toBe(undefined)
    expect(prepare(Float64Array.of(Number.POSITIVE_INFINITY, 0, 0, 1), 2)).toBe(undefined)
    expect(prepare(Float64Array.of(Number.NaN, 0, 0, 1), 2)).toBe(undefined)
  })

  it("finds the nearest level and the one below", () => {
    fc.assert(
      fc.property(number, (x) => {
        const best = Math.min(...[...levels].map((level) => Math.abs(level - x)))
        expect(Math.abs(levels[nearest(levels, x)]! - x)).toBe(best)
        const at = below(levels, x)
        expect(at).toBeLessThan(levels.length - 1)
        if (x >= -1 && x < 0.5) expect(levels[at]! <= x && x < levels[at + 1]!).toBe(true)
      })
    )
  })
})

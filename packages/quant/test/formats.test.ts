import { Tensor } from "@bitbudget/graph"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Fitting, WeightFormat, WeightKinds } from "../src/index.ts"
import { kMeans } from "../src/weights/codebook.ts"
import { smallFloats } from "../src/weights/smallFloat.ts"
import * as arbitrary from "./arbitraries.ts"

const numbers = fc.integer({ min: -10_000, max: 10_000 }).map((n) => n / 100)
const data = fc.array(numbers, { minLength: 24, maxLength: 24 })
const fittings = fc.constantFrom(Fitting.extremes, Fitting.leastSquares)

const format = (id: string): WeightFormat.WeightFormat => {
  const parsed = WeightKinds.parse(id)
  if (parsed === undefined) throw new Error(`${id} is not a format`)
  return parsed
}

const roundTrip = (id: string, values: ReadonlyArray<number>, fitting = Fitting.leastSquares) =>
  Tensor.values(
    WeightKinds.dequantize(
      WeightKinds.quantize(Tensor.float32([1, values.length], values), 0, format(id), fitting)
    )
  )

const squared = (w: ArrayLike<number>, back: ArrayLike<number>) =>
  Array.from(w).reduce((sum, x, i) => sum + (x - back[i]!) ** 2, 0)

describe("every format", () => {
  it("has examples whose ids are read back", () => {
    for (const kind of Object.values(WeightKinds.weightKinds)) {
      expect(kind.examples.length).toBeGreaterThan(0)
      for (const example of kind.examples)
        expect(WeightKinds.parse(WeightKinds.show(example))).toEqual(example)
    }
  })

  it("rounding again changes nothing: values are levels, and recode is the nearest of them", () => {
    fc.assert(
      fc.property(
        data,
        arbitrary.weightFormat,
        fittings,
        fc.constantFrom(0, 1),
        (values, format, fitting, axis) => {
          const tensor = Tensor.float32([4, 6], values)
          const encoded = WeightKinds.quantize(tensor, axis, format, fitting)
          const rounded = WeightKinds.dequantize(encoded)
          const again = WeightKinds.dequantize(WeightKinds.recode(encoded, rounded))
          // −0 is a 0 like any other.
          const plus0 = (tensor: Tensor.Tensor) => Array.from(Tensor.values(tensor), (x) => x + 0)
          expect(plus0(again)).toEqual(plus0(rounded))
          const levelsOf = WeightKinds.levels(encoded)
          if (levelsOf === undefined) return
          Tensor.values(rounded).forEach((value, i) => {
            const levels = levelsOf(i)
            expect(levels.some((level) => level === value)).toBe(true)
            expect([...levels]).toEqual([...levels].toSorted((a, b) => a - b))
          })
        }
      )
    )
  })

  it("gives finite values for constant, all-zero and vanishing weights", () => {
    for (const kind of Object.values(WeightKinds.weightKinds))
      for (const example of kind.examples)
        for (const fitting of [Fitting.extremes, Fitting.leastSquares])
          for (const values of [
            [0, 0, 0, 0],
            [3, 3, 3, 3],
            [-2, -2, -2, -2],
            [1e-45, 0, -1e-45, 0],
            [1e38, -1e38, 1e37, 0]
          ]) {
            const tensor = Tensor.float32([2, 2], values)
            const back = Tensor.values(
              WeightKinds.dequantize(WeightKinds.quantize(tensor, 0, example, fitting))
            )
            const where = `${WeightKinds.show(example)} of ${values.join(", ")}`
            for (const value of back) expect(Number.isFinite(value), where).toBe(true)
            if (values[0] === 0) for (const value of back) expect(Math.abs(value), where).toBe(0)
          }
  })

  it("least squares are never worse than extremes in squared error, weighted ones in weighted error", () => {
    const importance = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 24, maxLength: 24 })
    fc.assert(
      fc.property(data, importance, arbitrary.weightFormat, (values, h, format) => {
        const tensor = Tensor.float32([4, 6], values)
        const errorBy = (fitting: Fitting.Fitting) => {
          const back = Tensor.values(WeightKinds.dequantize(WeightKinds.quantize(tensor, 0, format, fitting)))
          return Array.from(Tensor.values(tensor)).reduce(
            (sum, x, i) => sum + (fitting.importance?.[i] ?? 1) * (x - back[i]!) ** 2,
            0
          )
        }
        const bound = errorBy(Fitting.extremes)
        expect(errorBy(Fitting.leastSquares)).toBeLessThanOrEqual(bound * (1 + 1e-4) + 1e-6)
        // Where no weight of a block matters they count alike, which bounds nothing.
        fc.pre(h.every((x) => x > 0))
        const weighted = (objective: Fitting.Fitting["objective"]) => errorBy({ objective, importance: h })
        expect(weighted("leastSquares")).toBeLessThanOrEqual(weighted("extremes") * (1 + 1e-4) + 1e-6)
      })
    )
  })
})

describe("codebooks", () => {
  it("are the best there are: compared with every way to cut the sorted weights", () => {
    fc.assert(
      fc.property(
        fc.array(numbers, { minLength: 1, maxLength: 9 }),
        fc.integer({ min: 1, max: 4 }),
        (w, k) => {
          const sample = { w: Float64Array.from(w), h: new Float64Array(w.length).fill(1) }
          const found = kMeans(sample, k)
          const errorOf = (values: ReadonlyArray<number>) =>
            w.reduce((sum, x) => sum + Math.min(...values.map((v) => (x - v) ** 2)), 0)
          const sorted = w.toSorted((a, b) => a - b)
          const mean = (xs: ReadonlyArray<number>) => xs.reduce((a, b) => a + b, 0) / xs.length
          const cuts = (from: number, left: number): ReadonlyArray<ReadonlyArray<number>> =>
            left === 1 || sorted.length - from <= 1
              ? [[mean(sorted.slice(from))]]
              : Array.from({ length: sorted.length - from }, (_, i) => from + i + 1).flatMap((to) =>
                  to === sorted.length
                    ? [[mean(sorted.slice(from))]]
                    : cuts(to, left - 1).map((rest) => [mean(sorted.slice(from, to))].concat(rest))
                )
          const best = Math.min(...cuts(0, k).map(errorOf))
          expect(errorOf(found)).toBeCloseTo(best, 6)
        }
      )
    )
  })

  it("by hand: two clusters", () => {
    expect([...roundTrip("k1", [1, 2, 10, 12])]).toEqual([1.5, 1.5, 11, 11])
  })
})

describe("ternary", () => {
  it("by hand: the threshold that is best, not 0.7 of the mean", () => {
    // Magnitudes 4, 3, 1, 1: (4+3)²/2 = 24.5 beats 4²/1 = 16, 8²/3 = 21.3 and 9²/4 = 20.25.
    expect([...roundTrip("tern", [4, -3, 1, -1])]).toEqual([3.5, -3.5, 0, 0])
  })

  it("two-sided is never worse, blocks neither", () => {
    fc.assert(
      fc.property(data, (values) => {
        const error = (id: string) => squared(Float32Array.from(values), roundTrip(id, values))
        expect(error("tern2")).toBeLessThanOrEqual(error("tern") * (1 + 1e-6) + 1e-9)
        expect(error("tern.g4")).toBeLessThanOrEqual(error("tern") * (1 + 1e-6) + 1e-9)
      })
    )
  })
})

describe("sums of binary codes", () => {
  it("by hand: the scale of one bit is the mean magnitude, four values need two", () => {
    expect([...roundTrip("bin1", [1, -3])]).toEqual([2, -2])
    const back = roundTrip("bin2", [3, 1, -1, -3])
    ;[3, 1, -1, -3].forEach((x, i) => expect(back[i]).toBeCloseTo(x, 5))
  })
})

describe("small floats", () => {
  it("have the values of their definitions", () => {
    expect([...smallFloats.e2m1.values].filter((x) => x >= 0)).toEqual([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    const { e4m3, e5m2 } = smallFloats
    expect(e4m3.values.at(-1)).toBe(448)
    expect(e5m2.values.at(-1)).toBe(57_344)
    // Least positive ones: 2^−9 and 2^−16.
    expect(e4m3.values.find((x) => x > 0)).toBe(2 ** -9)
    expect(e5m2.values.find((x) => x > 0)).toBe(2 ** -16)
    expect(e4m3.values.length).toBe(253)
    expect(e5m2.values.length).toBe(247)
  })

  it("microscaling: the block's scale is a power of two and one byte", () => {
    expect([...roundTrip("mxe2m1", [6, 3, 0.5, -12], Fitting.extremes)]).toEqual([6, 3, 0, -12])
    const of = { shape: [1, 64], axis: 0 }
    expect(WeightKinds.storedBytes(of, format("mxe2m1"))).toBe(32 + 2)
  })
})

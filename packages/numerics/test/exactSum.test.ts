import { describe, expect, it } from "vitest"
import { exactSum, roundingBand, sumAgainst } from "../src/exactSum.ts"

describe("exactSum", () => {
  it("keeps what naive sums lose", () => {
    expect(1e16 + 1 + -1e16).toBe(0)
    expect(exactSum([1e16, 1, -1e16])).toBe(1)
    expect(exactSum([])).toBe(0)
    expect(exactSum(Array.from({ length: 10 }, () => 0.1))).toBe(1)
  })

  it("does not depend on the order", () => {
    const values = Array.from({ length: 300 }, (_, i) => Math.sin(i) * 10 ** ((i % 19) - 9))
    expect(exactSum(values.toReversed())).toBe(exactSum(values))
    expect(exactSum(values.toSorted((a, b) => a - b))).toBe(exactSum(values))
  })
})

describe("sumAgainst", () => {
  it("takes a limit that is itself a float sum, added in any order", () => {
    const values = [0.1, 0.2, 0.3]
    expect(0.1 + 0.2 + 0.3).not.toBe(0.3 + 0.2 + 0.1)
    for (const limit of [0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1]) expect(sumAgainst(values, limit)).toBe(limit)
    expect(sumAgainst([0.1, 0.2], 0.3)).toBe(0.3)
  })

  it("shows a violation beyond rounding", () => {
    const values = [0.1, 0.2, 0.3]
    const limit = 0.6 - 3 * roundingBand(values)
    expect(sumAgainst(values, limit)).toBeGreaterThan(limit)
  })
})

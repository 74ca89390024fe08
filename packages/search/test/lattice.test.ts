import { describe, expect, it } from "vitest"
import { lowered, raised, stepOf } from "../src/lattice.ts"

describe("stepOf", () => {
  it("divides the differences within decisions", () => {
    expect(
      stepOf(
        [
          [7, 13],
          [100, 109, 118]
        ],
        []
      )
    ).toBe(3)
    expect(stepOf([[4608, 9216, 18432]], [])).toBe(4608)
  })

  it("divides what edges add", () => {
    expect(stepOf([[0, 6]], [4])).toBe(2)
  })

  it("reads a few decimals, tied sums included", () => {
    expect(stepOf([[0.1 + 0.2, 0.9]], [0.03])).toBeCloseTo(0.03, 15)
  })

  it("is 0 where sums can be anything", () => {
    expect(stepOf([[1, Math.PI]], [])).toBe(0)
    expect(stepOf([[1, 1 + 1e-9]], [])).toBe(0)
    expect(stepOf([[5], [7]], [])).toBe(0)
  })
})

it("bounds rise and limits fall to a step, rounding aside", () => {
  expect(raised(7.01, 3)).toBe(9)
  expect(raised(9 + 1e-9, 3)).toBe(9)
  expect(raised(Infinity, 3)).toBe(Infinity)
  expect(raised(7.01, 0)).toBe(7.01)
  expect(lowered(8.9, 3)).toBe(6)
  expect(lowered(9 - 1e-9, 3)).toBe(9)
})

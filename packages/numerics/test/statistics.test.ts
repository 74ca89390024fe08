import { expect, test } from "vitest"
import { Means, Ranks } from "../src/index.ts"

test("ranks share ties", () => {
  expect(Ranks.ranks([3, 1, 3, 2])).toEqual([3.5, 1, 3.5, 2])
})

test("Spearman: worked by hand", () => {
  // Ranks 1 2 3 4 5 and 2 1 4 3 5: Σd² = 4, ρ = 1 − 6·4/(5·24) = 0.8
  expect(Ranks.spearman([10, 20, 30, 40, 50], [2, 1, 4, 3, 99]).spearman).toBeCloseTo(0.8, 12)
  expect(Ranks.spearman([1, 2, 3, 4], [9, 7, 5, 1])).toEqual({
    spearman: -1,
    low: null,
    high: null,
    n: 4
  })
  expect(Ranks.spearman([1, 1, 1, 1], [9, 7, 5, 1]).spearman).toBe(null)
})

test("standard error of a mean and of decibels", () => {
  expect(Means.estimate([1, 2, 3, 4])).toEqual({ value: 2.5, stdErr: Math.sqrt(5 / 3 / 4) })
  expect(Means.estimate([7])).toEqual({ value: 7, stdErr: null })
  // Noise a hundredth of the signal in every sample: 20 dB, and no doubt about it.
  const signal = Float64Array.of(100, 50, 200)
  const { value, stdErr } = Means.decibels(
    signal,
    signal.map((x) => x / 100)
  )
  expect(value).toBeCloseTo(20, 10)
  expect(stdErr).toBeCloseTo(0, 10)
})

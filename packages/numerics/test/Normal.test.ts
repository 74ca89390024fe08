import { expect, it } from "vitest"
import { Normal } from "../src/index.ts"

it("the normal quantile", () => {
  for (const [p, z] of [
    [0.5, 0],
    [0.95, 1.6448536269514722],
    [0.999, 3.090232306167813],
    [0.01, -2.3263478740408408]
  ] as const)
    expect(Math.abs(Normal.quantile(p) - z)).toBeLessThan(1e-8)
})

it("the distribution undoes the quantile", () => {
  for (let p = 0.001; p < 1; p += 0.037)
    expect(Math.abs(Normal.cdf(Normal.quantile(p)) - p)).toBeLessThan(1e-7)
})

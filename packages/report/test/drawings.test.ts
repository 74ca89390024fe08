import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { scatter } from "../src/scatter.ts"
import { skyline } from "../src/skyline.ts"

describe("a skyline", () => {
  it("is as wide as the shares and as high as the bits", () => {
    expect(
      skyline(
        [
          { bits: 8, size: 1 },
          { bits: 2, size: 2 },
          { bits: 3, size: 1 }
        ],
        "the time"
      )
    ).toEqual([
      `   8 │${"█".repeat(18)}`,
      `   6 │${"█".repeat(18)}`,
      `   4 │${"█".repeat(18)}${" ".repeat(36)}${"▄".repeat(18)}`,
      `   2 │${"█".repeat(18)}${"▓".repeat(36)}${"█".repeat(18)}`,
      `bits └${"─".repeat(72)}`,
      "      layers in order, as wide as their share of the time"
    ])
  })

  it("never passes 80 columns and leaves no layer out", () => {
    const house = fc.record({
      bits: fc.integer({ min: 1, max: 32 }),
      size: fc.double({ min: 0, max: 1e9, noNaN: true })
    })
    fc.assert(
      fc.property(fc.array(house, { minLength: 1, maxLength: 72 }), (houses) => {
        const lines = skyline(houses, "the time")
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
        // The ground floor has a block for every layer that has a bit.
        const ground = lines.at(-3)!.slice(6)
        expect(ground.length).toBe(72)
      })
    )
  })

  it("is nothing where there are more layers than columns", () => {
    expect(
      skyline(
        Array.from({ length: 73 }, () => ({ bits: 8, size: 1 })),
        "the time"
      )
    ).toEqual([])
    expect(skyline([], "the time")).toEqual([])
  })
})

describe("a front", () => {
  it("has its ends at the edges and the chosen plan on top", () => {
    const lines = scatter(
      [
        { x: 1, y: 0.5, mark: "·" },
        { x: 3, y: 0, mark: "·" },
        { x: 2, y: 0.25, mark: "●" }
      ],
      { x: "ms", y: "predicted loss" }
    )
    expect(lines[1]).toBe("      0.5 │·")
    expect(lines.findIndex((line) => line.includes("●"))).toBe(5)
    expect(lines[10]).toBe(`        0 │${" ".repeat(59)}·`)
    expect(lines.at(-1)).toBe(`${" ".repeat(11)}1${"3".padStart(59)}  ms`)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80)
  })

  it("of one point is no front", () => {
    expect(scatter([{ x: 1, y: 1, mark: "·" }], { x: "ms", y: "loss" })).toEqual([])
  })
})

import { readFileSync } from "node:fs"
import { Effect } from "effect"
import * as fc from "fast-check"
import { Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import * as Simulate from "../src/cost/Simulate.ts"
import {
  areaFactor,
  delayFactor,
  energyFactor,
  nodesNm,
  rescale,
  warnings,
  type TechnologyPoint
} from "../src/energy/Technology.ts"
import * as Profile from "../src/profile/Profile.ts"
import { residual } from "./networks.ts"

const generic = Effect.runSync(
  Profile.decode(
    readFileSync(new URL("../../../hw-profiles/generic-45nm.json", import.meta.url), "utf8"),
    "generic-45nm"
  )
)
const at = (nodeNm: number, vdd: number, kind: "HP" | "LP" = "HP"): TechnologyPoint => ({ nodeNm, vdd, kind })

describe("technology scaling", () => {
  it("hand-computed: 45 nm at 0.9 V to 7 nm at 0.8 V, high performance", () => {
    const before = 1.018 * 0.81 - 0.3107 * 0.9 + 0.1539
    const after = 0.1776 * 0.64 - 0.09097 * 0.8 + 0.02447
    expect(energyFactor(at(45, 0.9), at(7, 0.8))).toBeCloseTo(after / before, 12)
    expect(areaFactor(45, 7)).toBeLessThan(0.1)
    expect(delayFactor(at(45, 0.9), at(7, 0.8))).toBeLessThan(1)
  })

  it("a node to itself changes nothing; there and back is one; areas nearly so, as their table is rounded", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...nodesNm),
        fc.constantFrom(...nodesNm),
        fc.double({ min: 0.9, max: 1.1, noNaN: true }),
        (a, b, vdd) => {
          expect(energyFactor(at(a, vdd), at(a, vdd))).toBe(1)
          expect(energyFactor(at(a, vdd), at(b, vdd)) * energyFactor(at(b, vdd), at(a, vdd))).toBeCloseTo(
            1,
            9
          )
          const there = areaFactor(a, b) * areaFactor(b, a)
          expect(there).toBeGreaterThan(0.85)
          expect(there).toBeLessThan(1.15)
        }
      ),
      { numRuns: 200, seed: 8 }
    )
  })

  it("says where the curves are not to be trusted, and refuses what they do not cover", () => {
    expect(warnings(at(45, 0.9), at(28 + 4, 0.9))).toEqual([])
    expect(warnings(at(45, 0.9), at(7, 0.7))[0]).toContain("optimistic")
    expect(warnings(at(45, 0.9), at(32, 0.9, "LP"))[0]).toContain("two families")
    expect(() => energyFactor(at(45, 0.9), at(5, 0.7))).toThrow("no scaling curve for 5 nm")
    expect(() => areaFactor(45, 28)).toThrow("no area factor from 45 to 28 nm")
  })

  it("a rescaled profile spends less on chip, the same off chip, in the same time", () => {
    const smaller = rescale(generic, at(45, 0.9), at(16, 0.8))
    const cost = (profile: Profile.Profile) =>
      Simulate.network(profile, residual(), () => Precision.wa(8, 8)).totals
    const [before, after] = [cost(generic), cost(smaller)]
    const factor = energyFactor(at(45, 0.9), at(16, 0.8))
    expect(after.breakdown.energyMj.mac! / before.breakdown.energyMj.mac!).toBeCloseTo(factor, 9)
    expect(after.breakdown.energyMj.sram! / before.breakdown.energyMj.sram!).toBeCloseTo(factor, 9)
    expect(after.breakdown.energyMj.dram).toBe(before.breakdown.energyMj.dram)
    expect(after.latencyMs).toBe(before.latencyMs)
    expect(smaller.notes!.at(-1)).toContain("Stillmaker")
    expect(Effect.runSync(Profile.decode(Profile.print(smaller), "scaled")).id).toBe("generic-45nm-16nm")
  })
})

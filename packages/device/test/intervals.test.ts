import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { factorNames } from "../src/cost/Factors.ts"
import { swaps } from "../src/cost/Interval.ts"
import { build, machineFor } from "../src/cost/Machine.ts"
import { prepare } from "../src/cost/Prepare.ts"
import * as Simulate from "../src/cost/Simulate.ts"
import { slopedMs } from "../src/cost/Slopes.ts"
import { reachOf, uncertain } from "../src/cost/Uncertainty.ts"
import * as Profile from "../src/profile/Profile.ts"
import { fitBaseline, leftOutBaseline } from "../src/validate/Baseline.ts"
import { residual } from "./networks.ts"

const load = (id: string): Profile.Profile =>
  Effect.runSync(
    Profile.decode(readFileSync(new URL(`../../../hw-profiles/${id}.json`, import.meta.url), "utf8"), id)
  )

describe("slopes of a time", () => {
  it.each(["coral-edgetpu-usb", "cortex-m7-stm32h7a3", "eyeriss-v1", "rpi4-a72", "hailo-8"])(
    "%s: are its derivatives by the logarithm of each factor",
    (id) => {
      const profile = load(id)
      const native = Precision.parsePrecision(profile.native[0].precision)!
      const { flows } = prepare(profile, residual(), () => native, { nominal: true })
      const machine = machineFor(profile, undefined, profile.native[0].precision, new WeakMap())
      const physical = flows.map((flow) => flow.physical)
      const { ms, slopes } = slopedMs(machine, physical, true)
      const step = 1e-6
      const moved = (factor: "dense" | "bandwidth" | "perStepUs" | "perInferenceUs") => {
        const scale = Math.exp(step)
        const { stack } = machine
        return build(
          profile,
          stack,
          { named: [] },
          {
            efficiency: {
              ...machine.efficiency,
              dense: machine.efficiency.dense * (factor === "dense" ? scale : 1)
            },
            bandwidthEfficiency: stack!.bandwidthEfficiency!.value * (factor === "bandwidth" ? scale : 1),
            perStepUs: stack!.perStepUs!.value * (factor === "perStepUs" ? scale : 1),
            perInferenceUs: stack!.perInferenceUs!.value * (factor === "perInferenceUs" ? scale : 1)
          }
        )
      }
      for (const factor of ["dense", "bandwidth", "perStepUs", "perInferenceUs"] as const) {
        const slope = (slopedMs(moved(factor), physical, true).ms - ms) / step
        expect(Math.abs(slope - slopes[factorNames.indexOf(factor)]!)).toBeLessThan(1e-3 * ms)
      }
    }
  )

  it("the time itself is the simulation's", () => {
    const profile = load("cortex-m7-stm32h7a3")
    const { flows, main } = prepare(profile, residual(), () => Precision.wa(8, 8), { nominal: true })
    const own = flows.filter(({ machine }) => machine === main).map(({ physical }) => physical)
    expect(own).toHaveLength(flows.length)
    expect(slopedMs(main!, own, true).ms).toBeCloseTo(
      Simulate.network(profile, residual(), () => Precision.wa(8, 8), { nominal: true }).totals.latencyMs,
      9
    )
  })
})

describe("intervals", () => {
  const slopes = (of: Partial<Record<(typeof factorNames)[number], number>>) =>
    Float64Array.from(factorNames, (name) => of[name] ?? 0)
  const diagonal = (value: number) => (f: number, g: number) => (f === g ? value : 0)

  it("hand-computed: one factor of log deviation 0.1 reaches e^±0.16449", () => {
    const reach = reachOf(uncertain(slopes({ dense: -1 }), diagonal(0.01), 0))
    expect(reach.down).toBeCloseTo(0.16449, 9)
    expect(reach.up).toBeCloseTo(0.16449, 9)
  })

  it("an overhead nobody knows can vanish, but takes no more than itself away", () => {
    const { down, up } = reachOf(uncertain(slopes({ perInferenceUs: 0.5 }), diagonal(25), 0))
    expect(Math.exp(-down)).toBeGreaterThanOrEqual(0.5)
    expect(Math.exp(up)).toBeGreaterThan(100)
  })

  it("contain the prediction, and are absent where nothing was fitted", () => {
    const totals = (id: string) => Simulate.network(load(id), residual(), () => Precision.wa(8, 8)).totals
    const coral = totals("coral-edgetpu-usb")
    expect(coral.latencyIntervalMs!.low).toBeLessThan(coral.latencyMs)
    expect(coral.latencyIntervalMs!.high).toBeGreaterThan(coral.latencyMs)
    expect(totals("generic-45nm").latencyIntervalMs).toBeNull()
  })

  it("two equal predictions swap with probability one half, distant ones hardly ever", () => {
    const about = (value: number) => ({ value, interval: { low: value / 1.2, high: value * 1.2 } })
    expect(swaps(about(1), about(1))).toBeCloseTo(0.5, 6)
    expect(swaps(about(1), about(3))).toBeLessThan(1e-6)
    expect(swaps(about(3), about(1))).toBeGreaterThan(1 - 1e-6)
  })
})

describe("the baseline", () => {
  it("finds an efficiency and an overhead again, and cannot leave out its only network", () => {
    const rows = [1, 2, 4, 8, 16].map((rooflineMs) => ({
      unit: `${rooflineMs}`,
      rooflineMs,
      measuredMs: 2 * rooflineMs + 0.5 * 4
    }))
    const { overheadMs, perRoofline } = fitBaseline(rows)
    expect(overheadMs).toBeCloseTo(2, 9)
    expect(perRoofline).toBeCloseTo(2, 9)
    expect(leftOutBaseline(rows).toSorted((a, b) => a - b)[2]).toBeLessThan(1e-6)
    expect(leftOutBaseline(rows.slice(0, 1))).toEqual([])
  })
})

import { readFileSync } from "node:fs"
import { Effect } from "effect"
import * as fc from "fast-check"
import { Precision, type Work } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import * as Simulate from "../src/cost/Simulate.ts"
import { opTable } from "../src/energy/Ops.ts"
import { liveness } from "../src/memory/Liveness.ts"
import { bestPeak, type OrderedStep } from "../src/memory/Order.ts"
import * as Profile from "../src/profile/Profile.ts"
import { scale } from "../src/work/Batch.ts"
import { conv, single } from "./networks.ts"

const load = (id: string): Profile.Profile =>
  Effect.runSync(
    Profile.decode(readFileSync(new URL(`../../../hw-profiles/${id}.json`, import.meta.url), "utf8"), id)
  )
const generic = load("generic-45nm")
const devices = [
  "generic-45nm",
  "coral-edgetpu-usb",
  "nvdla-64",
  "rpi4-a72",
  "gap9",
  "cortex-m7-stm32h743"
].map(load)

const layer = fc
  .record({
    inChannels: fc.integer({ min: 1, max: 256 }),
    outChannels: fc.integer({ min: 1, max: 512 }),
    kernel: fc.constantFrom(1, 3, 5),
    side: fc.integer({ min: 5, max: 64 }),
    stride: fc.constantFrom(1, 2)
  })
  .map(({ kernel, side, stride, ...rest }) =>
    conv({ ...rest, kernel: [kernel, kernel], inSpatial: [side, side], stride: [stride, stride] })
  )

const cost = (profile: Profile.Profile, work: Work.Work, weightBits = 8, activationBits = 8) =>
  Simulate.network(profile, single(work), () => Precision.wa(weightBits, activationBits)).totals

/** a ≤ b up to rounding. */
const notMore = (a: number, b: number) => expect(a).toBeLessThanOrEqual(b * (1 + 1e-9))

const withLevel = (
  profile: Profile.Profile,
  id: string,
  change: (level: Profile.Level) => Profile.Level
) => ({
  ...profile,
  memory: profile.memory.map((level) => (level.id === id ? change(level) : level))
})

describe("properties of the cost model", () => {
  it("latency never falls when weights get wider, the batch or the filters grow", () => {
    fc.assert(
      fc.property(layer, fc.constantFrom(...devices), (work, device) => {
        const base = cost(device, work)
        if (device.storage.weightBits.includes(4)) notMore(cost(device, work, 4).latencyMs, base.latencyMs)
        const twice = Simulate.network(device, scale(single(work), 2), () => Precision.wa(8, 8)).totals
        notMore(base.latencyMs, twice.latencyMs)
        notMore(base.latencyMs, cost(device, { ...work, outChannels: work.outChannels * 2 }).latencyMs)
      }),
      { numRuns: 150, seed: 1 }
    )
  })

  it("energy never falls when either operand gets wider", () => {
    fc.assert(
      fc.property(layer, (work) => {
        notMore(cost(generic, work, 4, 8).energyMj!, cost(generic, work, 8, 8).energyMj!)
        notMore(cost(generic, work, 8, 4).energyMj!, cost(generic, work, 8, 8).energyMj!)
        notMore(cost(generic, work, 8, 8).energyMj!, cost(generic, work, 16, 16).energyMj!)
      }),
      { numRuns: 100, seed: 2 }
    )
  })

  it("more bandwidth or a larger buffer never hurts", () => {
    fc.assert(
      fc.property(layer, fc.integer({ min: 2, max: 8 }), (work, times) => {
        const base = cost(generic, work).latencyMs
        const faster = withLevel(generic, "dram", (level) => ({
          ...level,
          gbPerS: { ...level.gbPerS, value: level.gbPerS.value * times }
        }))
        const larger = withLevel(generic, "sram", (level) => ({
          ...level,
          bytes: { value: 131072 * times, source: "test", confidence: "assumed" }
        }))
        notMore(cost(faster, work).latencyMs, base)
        notMore(cost(larger, work).latencyMs, base)
      }),
      { numRuns: 100, seed: 3 }
    )
  })

  it("moves at least every operand once", () => {
    fc.assert(
      fc.property(layer, (work) => {
        const out = work.outChannels * work.outSpatial[0]! * work.outSpatial[1]!
        const into = work.inChannels * work.inSpatial[0]! * work.inSpatial[1]!
        const weights = work.outChannels * work.inChannels * work.kernel[0]! * work.kernel[1]!
        expect(cost(generic, work).dramBytes!).toBeGreaterThanOrEqual(out + into + weights)
      }),
      { numRuns: 100, seed: 4 }
    )
  })
})

describe("the operation table", () => {
  const gain = (op: string) =>
    opTable(generic).find((row) => row.op === op && row.type === "int" && row.bits === 8)!

  it("has the published ratios of int8 to fp32", () => {
    expect(gain("add").energyGain).toBeCloseTo(30.0, 1)
    expect(gain("add").areaGain).toBeCloseTo(116.2, 1)
    expect(gain("mul").energyGain).toBeCloseTo(18.5, 1)
    expect(gain("mul").areaGain).toBeCloseTo(27.3, 1)
  })

  it("is empty where energy is power × time", () => {
    expect(opTable(load("rpi4-a72"))).toEqual([])
  })
})

describe("the order of least activation memory", () => {
  /** Every order in which each step follows those it reads. */
  const orders = (
    steps: ReadonlyArray<OrderedStep>,
    done: ReadonlySet<string>
  ): ReadonlyArray<ReadonlyArray<OrderedStep>> =>
    steps.length === 0
      ? [[]]
      : steps.flatMap((step, index) =>
          step.inputs.every((tensor) => done.has(tensor))
            ? orders(steps.toSpliced(index, 1), new Set([...done, ...step.outputs])).map((rest) =>
                [step].concat(rest)
              )
            : []
        )

  const dag = fc
    .array(
      fc.record({
        reads: fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 3 }),
        bytes: fc.integer({ min: 1, max: 50 })
      }),
      { minLength: 1, maxLength: 6 }
    )
    .map((nodes) => {
      const names = ["in", "side", ...nodes.map((_, index) => `t${index}`)]
      const bytes = new Map(names.map((name, index) => [name, nodes[index - 2]?.bytes ?? 20]))
      const steps = nodes.map(({ reads }, index) => ({
        inputs: [...new Set(reads.map((read) => names[read % (index + 2)]!))],
        outputs: [`t${index}`]
      }))
      return { steps, bytesOf: (tensor: string) => bytes.get(tensor)!, kept: [`t${nodes.length - 1}`] }
    })

  it("equals the least over all orders of small graphs", () => {
    fc.assert(
      fc.property(dag, ({ bytesOf, kept, steps }) => {
        const peak = (order: ReadonlyArray<OrderedStep>) =>
          liveness(["in", "side"], kept, order, bytesOf).peakBytes
        const least = Math.min(...orders(steps, new Set(["in", "side"])).map(peak))
        const best = bestPeak(["in", "side"], new Set(kept), steps, bytesOf, peak(steps))
        expect(best).toEqual({ peakBytes: least, optimal: true })
      }),
      { numRuns: 300, seed: 7 }
    )
  })

  it("hand-computed: the branch whose result is small goes first", () => {
    // a makes 100 and shrinks to 1, b makes 10 and stays 10: b first holds 10 under 100, a first 1 under 10.
    const steps = [
      { inputs: ["in"], outputs: ["b"] },
      { inputs: ["in"], outputs: ["wide"] },
      { inputs: ["wide"], outputs: ["a"] },
      { inputs: ["a", "b"], outputs: ["out"] }
    ]
    const size: Record<string, number> = { in: 5, b: 10, wide: 100, a: 1, out: 1 }
    const bytesOf = (tensor: string) => size[tensor]!
    expect(liveness(["in"], ["out"], steps, bytesOf).peakBytes).toBe(115)
    expect(bestPeak(["in"], new Set(["out"]), steps, bytesOf, 115).peakBytes).toBe(106)
  })
})

import { readdirSync, readFileSync } from "node:fs"
import { Effect } from "effect"
import * as fc from "fast-check"
import { Model, Precision, type Work } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { explain, overflows } from "../src/cost/Capacity.ts"
import * as Memo from "../src/cost/Memo.ts"
import * as Simulate from "../src/cost/Simulate.ts"
import { why } from "../src/cost/Why.ts"
import { canHold } from "../src/profile/Holding.ts"
import type { KernelRule } from "../src/profile/KernelRules.ts"
import * as Profile from "../src/profile/Profile.ts"
import { workloadAt } from "../src/work/Batch.ts"
import { conv, network, residual } from "./networks.ts"

const dir = new URL("../../../hw-profiles/", import.meta.url).pathname
const profiles = readdirSync(dir)
  .filter((file) => file.endsWith(".json"))
  .map((file) => Effect.runSync(Profile.decode(readFileSync(dir + file, "utf8"), file)))
const load = (id: string): Profile.Profile => profiles.find((profile) => profile.id === id)!

const stored = (text: string, storage: Precision.Format["storage"]): Precision.Precision => {
  const precision = Precision.parsePrecision(text)!
  return storage === undefined ? precision : { ...precision, weights: { ...precision.weights, storage } }
}
const w8a8 = stored("w8a8", undefined)

describe("kernel rules", () => {
  const base = load("generic-45nm")
  const rule = (when: KernelRule["when"], does: KernelRule["does"]): KernelRule => ({
    says: "made up",
    source: "test",
    confidence: "assumed",
    when,
    does
  })
  const withRules = (...kernels: ReadonlyArray<KernelRule>): Profile.Profile => ({ ...base, kernels })
  const cycles = (profile: Profile.Profile, precision: Precision.Precision, id = "pointwise") =>
    Simulate.network(profile, residual(), () => precision).layers.find((layer) => layer.id === id)!
      .computeCycles

  it("a slow path: weights of one scale a channel run ten times slower, those of one scale do not", () => {
    const slow = withRules(
      rule(
        { scale: "channel" },
        { kind: "slow", factor: { value: 10, source: "test", confidence: "assumed" } }
      )
    )
    expect(cycles(slow, w8a8)).toBe(10 * cycles(base, w8a8))
    expect(cycles(slow, stored("w8a8", { scale: "tensor" }))).toBe(cycles(base, w8a8))
    expect(cycles(slow, stored("w8a8", { scale: 32 }))).toBe(cycles(base, w8a8))
  })

  it("emulated: fewer bits, no faster", () => {
    const emulated = withRules(rule({ weightBits: { most: 4 } }, { kind: "emulated", at: "w8a8" }))
    const w4a4 = stored("w4a4", undefined)
    expect(cycles(base, w4a4)).toBeLessThan(cycles(base, w8a8))
    expect(cycles(emulated, w4a4)).toBe(cycles(base, w8a8))
  })

  it("unavailable: refused with the rule's words, for that software only", () => {
    const refused = withRules({
      ...rule({ weightBits: { most: 2 } }, { kind: "unavailable" }),
      says: "no 2-bit kernels",
      software: "x"
    })
    expect(canHold(refused, stored("w2a2", undefined), "x-1.0")).toEqual({
      held: false,
      why: "no 2-bit kernels"
    })
    expect(canHold(refused, stored("w2a2", undefined), "y")).toMatchObject({ held: true })
    expect(canHold(refused, w8a8, "x")).toMatchObject({ held: true })
  })

  it("asks for operator, kernel, stride and channels", () => {
    const slow: KernelRule["does"] = {
      kind: "slow",
      factor: { value: 2, source: "test", confidence: "assumed" }
    }
    const slower = (when: KernelRule["when"]) =>
      ["stem", "depthwise", "pointwise", "classifier"].filter(
        (id) => cycles(withRules(rule(when, slow)), w8a8, id) > cycles(base, w8a8, id)
      )
    expect(slower({ op: "depthwise" })).toEqual(["depthwise"])
    expect(slower({ op: "matmul" })).toEqual(["classifier"])
    expect(slower({ kernel: { least: 3 } })).toEqual(["stem", "depthwise"])
    expect(slower({ channelsNotMultipleOf: 16 })).toEqual(["stem", "depthwise", "classifier"])
    expect(slower({ stride: { least: 2 } })).toEqual([])
  })

  it("faults: rules that never match, contradict one another, or point to no arithmetic", () => {
    const kernels = [
      rule({ weightBits: { least: 8, most: 4 } }, { kind: "native" }),
      rule({ weightBits: { least: 21, most: 22 } }, { kind: "native" }),
      rule({ op: "conv" }, { kind: "native" }),
      rule({ op: "conv" }, { kind: "unavailable" }),
      rule({ scale: "tensor", block: { least: 32 } }, { kind: "emulated", at: "w7a7" })
    ]
    const { faults } = Effect.runSync(
      Effect.flip(Profile.decode(JSON.stringify({ ...base, kernels }), "bad.json"))
    )
    expect(faults.map((fault) => fault.replace(/ at kernels\[\d\]\.\S+$/, ""))).toEqual([
      "A rule that can never match: least above most",
      "A rule that can never match: the device stores no such width",
      "A rule that can never match: the device stores no such width",
      expect.stringContaining("A rule contradicts"),
      "A format is unavailable for all layers or none: say slow or emulated",
      "A rule that can never match: a block size without scales a block",
      'Unsupported precision: "w7a7" is no native pair'
    ])
  })
})

describe("formats and batches", () => {
  const models = ["mlperf-tiny-resnet8", "mlperf-tiny-dscnn-25x5", "squeezenet1_1", "ncnn-shufflenet_v2"].map(
    (name) => Effect.runSync(Model.read(`${dir}validation/models/${name}.onnx`)).graph
  )
  const batches = [1, 2, 4, 8]
  const workloads = models.map((graph) => batches.map((batch) => workloadAt(graph, batch)))
  const precisions = ["w2a2", "w4a4", "w4a8", "w8a8", "w8a16", "w16a16", "w4af16", "f16", "f32"].map((text) =>
    Precision.parsePrecision(text)!
  )
  const fits = (narrow: Precision.Format, wide: Precision.Format): boolean =>
    narrow.kind === wide.kind
      ? narrow.bits <= wide.bits
      : wide.kind === "float" && narrow.bits <= (wide.bits === 32 ? 24 : 11)
  const memo = Memo.make()
  const cost = (
    profile: Profile.Profile,
    software: string | undefined,
    work: Work.Workload,
    p: Precision.Precision
  ) => Simulate.network(profile, work, () => p, { memo, ...(software === undefined ? {} : { software }) })

  const cases = fc.constantFrom(...profiles).chain((profile) =>
    fc.record({
      profile: fc.constant(profile),
      software: fc.constantFrom(undefined, ...(profile.stacks ?? []).map(({ software }) => software)),
      model: fc.nat({ max: models.length - 1 }),
      batch: fc.nat({ max: batches.length - 1 }),
      precision: fc.constantFrom(...precisions.filter((each) => canHold(profile, each).held))
    })
  )

  it("no utilisation above 1, nothing negative; narrower is never slower without a rule; batches never slower a sample", () => {
    fc.assert(
      fc.property(cases, ({ batch, model, precision, profile, software }) => {
        const found = cost(profile, software, workloads[model]![batch]!, precision)
        const { totals } = found
        expect(totals.latencyMs).toBeGreaterThan(0)
        expect(totals.energyMj ?? 1).toBeGreaterThan(0)
        expect(Math.max(...found.layers.map(({ utilisation }) => utilisation ?? 0))).toBeLessThanOrEqual(
          1 + 1e-9
        )
        if (profile.kernels === undefined)
          for (const wider of precisions)
            if (
              canHold(profile, wider).held &&
              fits(precision.weights, wider.weights) &&
              fits(precision.activations, wider.activations)
            )
              expect(totals.latencyMs).toBeLessThanOrEqual(
                cost(profile, software, workloads[model]![batch]!, wider).totals.latencyMs * (1 + 1e-9)
              )
        const single = cost(profile, software, workloads[model]![0]!, precision).totals
        expect(totals.throughputPerS).toBeGreaterThanOrEqual(single.throughputPerS * (1 - 1e-9))
      }),
      { numRuns: 800, seed: 21 }
    )
  })
})

describe("capacity", () => {
  const large = network(
    [
      {
        id: "conv",
        op: "Conv",
        work: conv({
          inChannels: 2048,
          outChannels: 2048,
          kernel: [3, 3],
          inSpatial: [16, 16],
          stride: [1, 1]
        }),
        inputs: ["in"]
      }
    ],
    { in: 2048 * 256 }
  )

  it("says which memory lacks how many bytes", () => {
    const found = overflows(load("cortex-m7-stm32h7a3"), large, () => w8a8)
    expect(found.map(({ contents, memory }) => [memory, contents])).toEqual([["flash", "weights"]])
    expect(found[0]!.neededBytes).toBeGreaterThan(2048 * 2048 * 9)
    expect(explain(found[0]!)).toContain("its weights need 377")
    expect(Simulate.network(load("cortex-m7-stm32h7a3"), large, () => w8a8).notes[0]).toContain(
      "does not fit"
    )
  })

  it("nothing overflows where it fits or has no useful limit", () => {
    expect(overflows(load("cortex-m7-stm32h7a3"), residual(), () => w8a8)).toEqual([])
    expect(overflows(load("nvidia-t4"), large, () => w8a8)).toEqual([])
  })
})

describe("what fewer bits buy", () => {
  it("bit-serial arithmetic gains, arithmetic of a fixed width does not", () => {
    const gap9 = why(load("gap9"), residual(64, 32), () => w8a8).find(({ id }) => id === "pointwise")!
    expect(gap9.narrower[0]!.deltaPct).toBeLessThan(-5)
    const mcu = why(load("cortex-m7-stm32h7a3"), residual(64, 32), () => w8a8).find(
      ({ id }) => id === "pointwise"
    )!
    expect(mcu.boundBy).toBe("compute")
    expect(mcu.narrower.every(({ deltaPct }) => Math.abs(deltaPct) < 0.5)).toBe(true)
    expect(mcu.sentence).toMatch(/bound by arithmetic at w8a8; narrower weights would pay below .* GB\/s/)
  })
})

import { readdirSync, readFileSync } from "node:fs"
import { Effect } from "effect"
import * as fc from "fast-check"
import { Precision, type Work } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import * as Simulate from "../src/cost/Simulate.ts"
import { canHold } from "../src/profile/Holding.ts"
import * as Profile from "../src/profile/Profile.ts"
import { scale } from "../src/work/Batch.ts"
import { conv, gemm, residual, single } from "./networks.ts"

const dir = new URL("../../../hw-profiles/", import.meta.url)
/** Every shipped device as hardware alone: what software sustains is fitted by precision and need not be monotonic. */
const hardware = (file: string): Profile.Profile => ({
  ...Effect.runSync(Profile.decode(readFileSync(new URL(file, dir), "utf8"), file)),
  stacks: []
})
const devices = readdirSync(dir)
  .filter((file) => file.endsWith(".json"))
  .map(hardware)

type Conv = Parameters<typeof conv>[0]

const shape = fc
  .record({
    inChannels: fc.integer({ min: 1, max: 200 }),
    outChannels: fc.integer({ min: 1, max: 300 }),
    kernel: fc.constantFrom(1, 3, 5),
    side: fc.integer({ min: 5, max: 40 }),
    stride: fc.constantFrom(1, 2)
  })
  .map(({ inChannels, kernel, outChannels, side, stride }): Conv => ({
    inChannels,
    outChannels,
    kernel: [kernel, kernel],
    inSpatial: [side, side],
    stride: [stride, stride]
  }))

const widths = [2, 3, 4, 6, 8, 16]
const heldBy = (profile: Profile.Profile) =>
  widths.flatMap((weights) =>
    widths.flatMap((activations) => {
      const precision = Precision.wa(weights, activations)
      return canHold(profile, precision).held ? [precision] : []
    })
  )
/** Native formats a precision is computed at: int4 and int8 kernels of a GPU cut layers differently. */
const arithmetic = (profile: Profile.Profile, precision: Precision.Precision): string | undefined => {
  const holding = canHold(profile, precision)
  return holding.held ? Precision.showPrecision(holding.native.precision) : undefined
}
const first = (profile: Profile.Profile) => Precision.parsePrecision(profile.native[0].precision)!

const totals = (profile: Profile.Profile, workload: Work.Workload, precision: Precision.Precision) =>
  Simulate.network(profile, workload, () => precision).totals

type Totals = ReturnType<typeof totals>

/** a is no dearer than b, up to rounding. */
const notDearer = (a: Totals, b: Totals) => {
  expect(a.latencyMs).toBeLessThanOrEqual(b.latencyMs * (1 + 1e-9))
  if (a.energyMj !== null) expect(a.energyMj).toBeLessThanOrEqual(b.energyMj! * (1 + 1e-9))
}

describe.each(devices)("$id", (device) => {
  it("more filters, channels, positions or samples never cost less", () => {
    fc.assert(
      fc.property(shape, fc.constantFrom("filters", "channels", "positions", "samples"), (work, what) => {
        const precision = first(device)
        const base = single(conv(work))
        const grown = {
          filters: () => single(conv({ ...work, outChannels: work.outChannels * 2 })),
          channels: () => single(conv({ ...work, inChannels: work.inChannels * 2 })),
          positions: () => single(conv({ ...work, inSpatial: work.inSpatial.map((side) => side * 2) })),
          samples: () => scale(base, 2)
        }[what]()
        notDearer(totals(device, base, precision), totals(device, grown, precision))
      }),
      { numRuns: 25, seed: 11 }
    )
  })

  it("wider weights or activations on the same arithmetic never cost less", () => {
    const held = heldBy(device)
    if (held.length < 2) return
    fc.assert(
      fc.property(shape, fc.constantFrom(...held), fc.constantFrom(...held), (work, a, b) => {
        const narrower = a.weights.bits <= b.weights.bits && a.activations.bits <= b.activations.bits
        if (!narrower || arithmetic(device, a) !== arithmetic(device, b)) return
        notDearer(totals(device, single(conv(work)), a), totals(device, single(conv(work)), b))
      }),
      { numRuns: 40, seed: 12 }
    )
  })

  it("more bandwidth or a larger memory never costs more", () => {
    if (device.memory.length === 0) return
    fc.assert(
      fc.property(
        shape,
        fc.nat({ max: device.memory.length - 1 }),
        fc.integer({ min: 2, max: 8 }),
        fc.boolean(),
        (work, index, factor, faster) => {
          const more = <F extends { readonly value: number }>(figure: F) => ({
            ...figure,
            value: figure.value * factor
          })
          const improve = (level: Profile.Level): Profile.Level =>
            faster
              ? { ...level, gbPerS: more(level.gbPerS) }
              : level.bytes === null
                ? level
                : "value" in level.bytes
                  ? { ...level, bytes: more(level.bytes) }
                  : {
                      ...level,
                      bytes: {
                        weights: more(level.bytes.weights),
                        inputs: more(level.bytes.inputs),
                        outputs: more(level.bytes.outputs)
                      }
                    }
          const memory = device.memory.map((level, at) => (at === index ? improve(level) : level))
          const better = totals({ ...device, memory }, single(conv(work)), first(device))
          const base = totals(device, single(conv(work)), first(device))
          expect(better.latencyMs).toBeLessThanOrEqual(base.latencyMs * (1 + 1e-9))
        }
      ),
      { numRuns: 30, seed: 13 }
    )
  })

  it.each([
    [
      "one of everything",
      conv({ inChannels: 1, outChannels: 1, kernel: [1, 1], inSpatial: [1, 1], stride: [1, 1] })
    ],
    [
      "a kernel taller than the array",
      conv({ inChannels: 2, outChannels: 2, kernel: [61, 61], inSpatial: [61, 61], stride: [1, 1] })
    ],
    [
      "more filters than any array",
      conv({ inChannels: 7, outChannels: 100_003, kernel: [1, 1], inSpatial: [2, 2], stride: [1, 1] })
    ],
    [
      "depthwise",
      conv({
        inChannels: 999,
        outChannels: 999,
        groups: 999,
        kernel: [3, 3],
        inSpatial: [9, 9],
        stride: [1, 1]
      })
    ],
    [
      "grouped, dilated",
      conv({
        inChannels: 30,
        outChannels: 60,
        groups: 3,
        kernel: [3, 3],
        dilation: [4, 4],
        inSpatial: [33, 33],
        stride: [1, 1]
      })
    ],
    ["one row", gemm(1, 100_000, 33)],
    ["one column", gemm(100_000, 1, 33)],
    ["attention", { ...gemm(197, 197, 64, false), batch: 12 }]
  ] as const)("maps %s to finite figures", (_, work) => {
    const { layers, totals: sums } = Simulate.network(device, single(work), () => first(device))
    for (const figure of [sums.latencyMs, sums.computeCycles, layers[0]!.stallCycles, sums.energyMj ?? 1]) {
      expect(Number.isFinite(figure)).toBe(true)
      expect(figure).toBeGreaterThanOrEqual(0)
    }
    expect(sums.latencyMs).toBeGreaterThan(0)
    expect(sums.utilisation!).toBeGreaterThan(0)
    expect(sums.utilisation!).toBeLessThanOrEqual(1 + 1e-9)
  })

  it("parts sum to totals", () => {
    const { layers, totals: sums } = Simulate.network(device, residual(), () => first(device))
    const sum = (parts: ReadonlyArray<number>) => parts.reduce((total, part) => total + part, 0)
    expect(sum(layers.map((layer) => layer.latencyMs))).toBeCloseTo(sums.latencyMs, 9)
    expect(sum(Object.values(sums.breakdown.latencyMs))).toBeCloseTo(sums.latencyMs, 9)
    const energies = layers.map((layer) => layer.energyPj.total)
    if (energies.every((pj) => pj !== null)) expect(sum(energies) / 1e9).toBeCloseTo(sums.energyMj!, 9)
    expect(sums.peakActivationBytesBestOrder).toBeLessThanOrEqual(sums.peakActivationBytes)
  })
})

import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { simd } from "../src/compute/Processor.ts"
import { systolic } from "../src/compute/Systolic.ts"
import { tensorCore } from "../src/compute/TensorCore.ts"
import { usualOf } from "../src/cost/Factors.ts"
import * as Simulate from "../src/cost/Simulate.ts"
import type { ComputeOf } from "../src/profile/ComputeSchema.ts"
import { assumed } from "../src/profile/Figure.ts"
import * as Profile from "../src/profile/Profile.ts"
import { factorNames } from "../src/cost/Factors.ts"
import { usualWidening, wideningOf } from "../src/validate/LeaveOut.ts"
import { scale } from "../src/work/Batch.ts"
import { loopsOf } from "../src/work/Loops.ts"
import { conv, gemm, network, single } from "./networks.ts"

const load = (id: string): Profile.Profile =>
  Effect.runSync(
    Profile.decode(readFileSync(new URL(`../../../hw-profiles/${id}.json`, import.meta.url), "utf8"), id)
  )
const figure = (value: number) => assumed(value, "made up")
const depthwise = (channels: number, side: number, kernel = 3) =>
  loopsOf(
    conv({
      inChannels: channels,
      outChannels: channels,
      groups: channels,
      kernel: [kernel, kernel],
      inSpatial: [side, side],
      stride: [1, 1]
    }),
    channels * kernel ** 2
  )!

describe("GPUs beside their matrix units", () => {
  const gpu: ComputeOf<"tensorCore"> = {
    kind: "tensorCore",
    multiprocessors: figure(8),
    lanes: figure(128),
    tileRows: figure(128),
    tileCols: figure(128),
    tileDepthBytes: figure(64)
  }
  const half = { rate: 1024, weightBits: 16, activationBits: 16, nativeBits: 16 }

  it("hand-computed: one row of a product takes two halves a lane, 64 outputs a block", () => {
    const loops = loopsOf(gemm(1, 4096, 2048), 4096 * 2048)!
    // 64 blocks over 8 multiprocessors: 8 waves of 64·(2048 / 256 + 1/64) cycles.
    expect(tensorCore(gpu, loops, half).cycles).toBe(8 * 64 * 8 + 8)
  })

  it("many rows take the matrix units, which no lanes could follow", () => {
    const loops = loopsOf(gemm(4096, 4096, 2048), 4096 * 2048)!
    const { cycles, peakMacsPerCycle } = tensorCore(gpu, loops, half)
    expect(cycles).toBeLessThan(loops.macs / (8 * 256))
    expect(cycles).toBeGreaterThanOrEqual(loops.macs / peakMacsPerCycle)
  })

  it("a depthwise layer wastes no matrix unit", () => {
    const loops = depthwise(256, 30)
    expect(tensorCore(gpu, loops, half).cycles).toBeLessThan((2 * loops.macs) / (8 * 256))
  })
})

describe("depthwise filters on systolic arrays", () => {
  const array = (dataflow: "os" | "ws"): ComputeOf<"systolic"> => ({
    kind: "systolic",
    rows: figure(64),
    cols: figure(64),
    dataflow
  })
  const path = { rate: 1, weightBits: 8, activationBits: 8, nativeBits: 8 }

  it("hand-computed: seven 3×3 filters share 64 rows where weights stay, none where outputs do", () => {
    const loops = depthwise(70, 12)
    // 10 folds of 100 positions + 2·64 + 64 − 2 cycles; 70 groups of 2 folds of 9 + 64 + 64 − 2.
    expect(systolic(array("ws"), loops, path).cycles).toBe(10 * (100 + 190) - 1)
    expect(systolic(array("os"), loops, path).cycles).toBe(140 * (9 + 126) - 1)
  })
})

describe("threads", () => {
  it("hand-computed: four cores of which each further one adds half do the work of two and a half", () => {
    const cpu = (cores: number): ComputeOf<"simd"> => ({
      kind: "simd",
      cores: figure(cores),
      blockRows: figure(4),
      blockCols: figure(8),
      furtherCore: figure(0.5)
    })
    const loops = loopsOf(gemm(64, 64, 64), 64 * 64)!
    const path = { rate: 4, weightBits: 32, activationBits: 32, nativeBits: 32 }
    const [one, four] = [simd(cpu(1), loops, path), simd(cpu(4), loops, path)]
    expect(one.cycles).toBe(64 ** 3 / 4)
    expect(four.cycles).toBe(Math.ceil(64 ** 3 / 4 / 2.5))
    expect(four.peakMacsPerCycle).toBe(16)
  })
})

describe("software nobody measured", () => {
  const m7 = load("cortex-m7-stm32h743")
  const of = (software: string, name: (typeof factorNames)[number]): number =>
    Math.exp(usualOf(m7, software)[factorNames.indexOf(name)]!)

  it("portable loops are 4.6 times slower at convolutions and no slower at matrix products", () => {
    expect(of("tflm+cmsis-nn", "dense") / of("tflm-2.3.1", "dense")).toBeCloseTo(4.6, 9)
    expect(of("tflm+cmsis-nn", "gemm") / of("tflm-2.3.1", "gemm")).toBeCloseTo(1, 9)
  })

  it("a format's own block scales are weight traffic: half a bit more for every 4", () => {
    const orin = load("jetson-orin-nano")
    const stack = orin.stacks!.find(({ software }) => software === "mlc-llm")!
    const { blockScaleBits: _, ...plain } = stack
    const four = { weights: Precision.int(4), activations: Precision.float(16) }
    const bytes = (own: Profile.Stack): number =>
      Simulate.network({ ...orin, stacks: [own] }, single(gemm(1, 4096, 4096)), () => four).totals.dramBytes!
    expect(bytes(stack) - bytes(plain)).toBeCloseTo((4096 ** 2 * 0.5) / 8, 0)
  })
})

describe("what is kept on chip", () => {
  it("samples of a batch follow one another through a dataflow chip: a larger batch moves no activations more", () => {
    const hailo = load("hailo-8l")
    const layer = (inChannels: number, outChannels: number) =>
      conv({ inChannels, outChannels, kernel: [1, 1], inSpatial: [112, 112], stride: [1, 1] })
    const chain = network(
      [
        { id: "a", op: "Conv", work: layer(8, 256), inputs: ["in"] },
        { id: "b", op: "Conv", work: layer(256, 8), inputs: ["a"] }
      ],
      { in: 8 * 112 ** 2 }
    )
    const bytes = (batch: number): number =>
      Simulate.network(hailo, scale(chain, batch), () => Precision.wa(8, 8)).totals.dramBytes!
    expect(bytes(16)).toBeLessThanOrEqual(16 * bytes(1))
  })

  it("moves out of the way of a layer that would find no room: a weight is never fetched for every position", () => {
    const device = load("generic-45nm")
    const layer = (inChannels: number, outChannels: number) =>
      conv({ inChannels, outChannels, kernel: [3, 3], inSpatial: [16, 16], stride: [1, 1], padding: 1 })
    const chain = network(
      [
        { id: "a", op: "Conv", work: layer(64, 224), inputs: ["in"] },
        { id: "b", op: "Conv", work: layer(224, 224), inputs: ["a"] },
        { id: "c", op: "Conv", work: layer(224, 64), inputs: ["b"] }
      ],
      { in: 64 * 256 }
    )
    const cost = (precision: Precision.Precision) => Simulate.network(device, chain, () => precision).totals
    const weights = 9 * (64 * 224 * 2 + 224 * 224)
    expect(cost(Precision.wa(8, 8)).dramBytes).toBeLessThan(6 * weights)
    expect(cost(Precision.wa(8, 8)).energyMj!).toBeLessThan(cost(Precision.f32).energyMj!)
  })
})

describe("intervals by what a prediction lacks", () => {
  const residual = (without: "network" | "stack" | "class", logError: number) => ({
    without,
    logError,
    about: { factors: 0.01, overheads: [], row: 0.01 },
    whole: true
  })

  it("nothing left out says nothing", () => {
    expect(wideningOf([])).toEqual(usualWidening)
  })

  it("errors twice as large where stacks are left out widen the intervals of stacks nobody measured, not the others'", () => {
    const normal = Array.from({ length: 200 }, (_, i) => 0.14 * Math.sin(i) * 1.6)
    const { factors } = wideningOf([
      ...normal.map((error) => residual("network", error)),
      ...normal.map((error) => residual("stack", 3 * error))
    ])
    expect(factors.stack).toBeGreaterThan(1.8 * factors.network)
    expect(factors.class).toBeLessThan(factors.stack)
  })
})

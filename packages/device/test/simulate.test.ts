import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { costTable } from "../src/cost/CostTable.ts"
import { stackFor } from "../src/cost/Machine.ts"
import * as Simulate from "../src/cost/Simulate.ts"
import * as Profile from "../src/profile/Profile.ts"
import { conv, residual, single } from "./networks.ts"

const load = (id: string) =>
  Effect.runSync(
    Profile.decode(readFileSync(new URL(`../../../hw-profiles/${id}.json`, import.meta.url), "utf8"), id)
  )
const coral = load("coral-edgetpu-usb")
const generic = load("generic-45nm")
const mcu = load("cortex-m7-stm32h743")
const w8a8 = () => Precision.wa(8, 8)

describe("simulate", () => {
  it.each([coral, generic, mcu])(
    "$id: steps sum to the network, nothing is negative or infinite",
    (profile) => {
      const cost = Simulate.network(profile, residual(), w8a8)
      const sum = cost.layers.reduce((total, layer) => total + layer.latencyMs, 0)
      const overhead = cost.totals.latencyMs - sum
      expect(overhead).toBeGreaterThanOrEqual(-1e-12)
      expect(cost.layers.map((layer) => layer.id)).toEqual(residual().steps.map((step) => step.id))
      for (const layer of cost.layers)
        for (const figure of [
          layer.latencyMs,
          layer.computeCycles,
          layer.stallCycles,
          ...Object.values(layer.trafficBytes)
        ]) {
          expect(Number.isFinite(figure)).toBe(true)
          expect(figure).toBeGreaterThanOrEqual(0)
        }
    }
  )

  it("hand-computed: model bytes are packed weights, scales and biases", () => {
    const one = single(
      conv({ inChannels: 3, outChannels: 5, kernel: [1, 1], inSpatial: [4, 4], stride: [1, 1] })
    )
    // 15 weights of 4 bits: 7.5 → 8 bytes; 5 scales and 5 biases of 4 bytes.
    expect(Simulate.network(coral, one, () => Precision.wa(4, 8)).totals.modelBytes).toBe(8 + 20 + 20)
  })

  it("fuses the activation and the residual add, and reads the residual", () => {
    const cost = Simulate.network(coral, residual(), w8a8)
    const of = (id: string) => cost.layers.find((layer) => layer.id === id)!
    expect(of("relu").boundBy).toBe("fused into stem")
    expect(of("add").boundBy).toBe("fused into pointwise")
    expect(of("add").latencyMs).toBe(0)
  })

  it("keeps activations and weights on chip: only the image, the result and nothing else cross the link", () => {
    const cost = Simulate.network(coral, residual(), w8a8)
    expect(cost.totals.dramBytes).toBe(3 * 32 * 32 + 10)
  })

  it("throws a condition that names the layer for a format the device cannot hold", () => {
    expect(() => Simulate.network(coral, residual(), () => Precision.f32)).toThrow(
      /stem: coral-edgetpu-usb cannot run f32/
    )
  })

  it("energy parts sum to the total where all are known", () => {
    for (const layer of Simulate.network(generic, residual(), w8a8).layers) {
      const { dram, mac, register, sram, static: standing, total } = layer.energyPj
      expect(total).toBeCloseTo(mac! + register! + sram! + dram! + standing!, 6)
    }
    expect(Simulate.network(coral, residual(), w8a8).layers[0]!.energyPj.mac).toBeNull()
  })
})

describe("where time and energy go", () => {
  it.each([coral, generic, mcu])("$id: the parts sum to the totals", (profile) => {
    const { totals } = Simulate.network(profile, residual(), w8a8)
    const sum = (parts: { readonly [part: string]: number }) =>
      Object.values(parts).reduce((total, part) => total + part, 0)
    expect(sum(totals.breakdown.latencyMs)).toBeCloseTo(totals.latencyMs, 9)
    expect(sum(totals.breakdown.latencyMsByClass)).toBeCloseTo(totals.latencyMs, 9)
    const { dram, mac, register, sram, static: standing } = totals.breakdown.energyMj
    if (mac !== null) expect(mac + register! + sram! + dram! + standing!).toBeCloseTo(totals.energyMj!, 9)
  })

  it("hand-computed: a 1×1 convolution under the roofline", () => {
    // 64×64 channels on 16×16 positions: 2·2²⁰ operations on 4096 weights, 2·16384 activations, each moved once.
    const work = conv({
      inChannels: 64,
      outChannels: 64,
      kernel: [1, 1],
      inSpatial: [16, 16],
      stride: [1, 1]
    })
    const far = generic.memory[0]!
    const nearFast = generic.memory.map((level) =>
      level === far ? far : { ...level, gbPerS: { ...level.gbPerS, value: 1e6 } }
    )
    const [layer] = Simulate.network({ ...generic, memory: nearFast }, single(work), w8a8).layers
    const roofline = layer!.roofline!
    expect(roofline.level).toBe(far.id)
    expect(roofline.intensityOpsPerByte).toBeCloseTo(2 ** 21 / (4096 + 2 * 16384), 9)
    expect(roofline.attainableOpsPerS).toBeCloseTo(
      Math.min(roofline.peakOpsPerS, (2 ** 21 / (4096 + 2 * 16384)) * far.gbPerS.value * 1e9),
      0
    )
    expect(roofline.ridgeOpsPerByte! * far.gbPerS.value * 1e9).toBeCloseTo(roofline.peakOpsPerS, 0)
    expect(roofline.attainedOpsPerS).toBeCloseTo(2 ** 21 / (layer!.latencyMs / 1000), 0)
    expect(roofline.attainedOpsPerS).toBeLessThanOrEqual(roofline.attainableOpsPerS)
  })
})

describe("notes", () => {
  const notes = (id: string) => Simulate.network(load(id), residual(), w8a8).notes.join("\n")

  it("say how far the times can be trusted: fitted, borrowed, or nothing but hardware", () => {
    expect(notes("coral-edgetpu-usb")).toMatch(/fitted on 6 measurements .* median error/)
    expect(notes("ethos-u65-256")).toContain("are inherited from related devices")
    expect(notes("tpu-v4i")).toContain("are assumed")
    expect(notes("generic-45nm")).toContain("no software factors are fitted")
  })
})

describe("stackFor", () => {
  const npu = load("snapdragon-8gen3-npu")
  const chosen = (software: string | undefined, precision: string) => {
    const stack = stackFor(npu, software, precision)!
    return `${stack.software} ${stack.precisions!.join()}`
  }

  it("takes the software named, else another version, else its family, else what stands for any", () => {
    expect(chosen("qai-qnn-dlc", "w8a8")).toBe("qai-qnn-dlc w8a8")
    expect(chosen("qai-qnn-dlc", "w4a16")).toBe("qai-qnn-dlc w4a16")
    expect(chosen("qai-onnx-1.19", "f16")).toBe("qai-onnx f16")
    expect(chosen(undefined, "f16")).toBe("qai-tflite f16")
    expect(chosen("something else", "f16")).toBe("* f16")
    const m4 = load("cortex-m4-stm32l4r5")
    expect(stackFor(m4, "x-cube-ai-99", "w8a8")!.software).toBe("x-cube-ai")
    expect(stackFor(m4, "x-cube-ai-7.1@3.3V", "w8a8")!.software).toBe("x-cube-ai-7.1")
    expect(stackFor(m4, "x-cube-ai-7.3@3.0V", "w8a8")!.software).toBe("x-cube-ai-7.3@3.0V")
  })
})

describe("cost table", () => {
  it.each([coral, generic, mcu])("$id: a uniform column adds up to the simulated network", (profile) => {
    const choices = [Precision.wa(4, 8), Precision.wa(8, 8)]
    const table = costTable(profile, residual(), choices)
    choices.forEach((choice, index) => {
      const { totals } = Simulate.network(profile, residual(), () => choice)
      const sum = (value: (cost: NonNullable<(typeof table.layers)[0]["costs"][0]>) => number) =>
        table.layers.reduce((total, layer) => total + value(layer.costs[index]!), value(table.fixed))
      expect(sum((cost) => cost.latencyMs)).toBeCloseTo(totals.latencyMs, 9)
      expect(sum((cost) => cost.sizeBytes)).toBe(totals.modelBytes)
      expect(sum((cost) => cost.bops)).toBe(totals.bops)
      expect(sum((cost) => cost.dramBytes!)).toBeCloseTo(totals.dramBytes!, 6)
    })
  })

  it("has null where a format cannot be held", () => {
    const table = costTable(coral, residual(), [Precision.f32, Precision.wa(8, 8)])
    expect(table.layers[0]!.costs[0]).toBeNull()
    expect(table.layers[0]!.costs[1]).not.toBeNull()
  })
})

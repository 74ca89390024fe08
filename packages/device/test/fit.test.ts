import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { Model, Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { tensorCore } from "../src/compute/TensorCore.ts"
import { factorNames } from "../src/cost/Factors.ts"
import * as Simulate from "../src/cost/Simulate.ts"
import * as Profile from "../src/profile/Profile.ts"
import { fit } from "../src/validate/Fit.ts"
import {
  parseMeasurements,
  precisionsOf,
  batchOf,
  workloadOfRow,
  type Measurement
} from "../src/validate/Measurement.ts"
import { covariances } from "../src/validate/Prior.ts"
import { relatedGroups, relativesOf } from "../src/validate/Related.ts"
import { energyScore, timeScore } from "../src/validate/Score.ts"
import { run, stated } from "../src/validate/Validation.ts"
import { workloadAt } from "../src/work/Batch.ts"
import { loopsOf } from "../src/work/Loops.ts"
import { conv, residual } from "./networks.ts"

const dir = new URL("../../../hw-profiles/", import.meta.url).pathname
const read = (file: string) => readFileSync(`${dir}${file}`, "utf8")
const rows = Effect.runSync(parseMeasurements(read("validation/measurements.csv"), "measurements.csv"))
const load = (id: string) => Effect.runSync(Profile.decode(read(`${id}.json`), id))
const workloadOf = (onnx: string, batch: number) =>
  workloadAt(Effect.runSync(Model.read(`${dir}validation/models/${onnx}`)).graph, batch)

describe("fit", () => {
  const coral = load("coral-edgetpu-usb")

  it("finds again the factors that measurements were made with", () => {
    const stack = coral.stacks![0]!
    const figure = (value: number) => ({ value, source: "made up", confidence: "assumed" as const })
    const made: Profile.Profile = {
      ...coral,
      stacks: [
        {
          ...stack,
          efficiency: {
            dense: figure(0.2),
            pointwise: figure(0.2),
            depthwise: figure(0.2),
            stem: figure(0.2)
          },
          bandwidthEfficiency: figure(0.8),
          perStepUs: figure(1),
          perInferenceUs: figure(60)
        }
      ]
    }
    const timeOf = (onnx: string): number =>
      Simulate.network(made, workloadOf(onnx, 1), () => Precision.wa(8, 8)).totals.latencyMs
    const measured = rows.flatMap((row): ReadonlyArray<Measurement> =>
      row.device === coral.id && row.software === stack.software
        ? [Object.assign({}, row, { value: timeOf(row.onnx) })]
        : []
    )
    const { profiles, rows: fitted } = fit([coral], measured, workloadOf, "made up")
    for (const row of fitted) expect(Math.abs(row.fitted / row.measured - 1)).toBeLessThan(0.05)
    const found = profiles[0]!.stacks!.find(({ software }) => software === stack.software)!
    expect(found.efficiency!.dense!.value).toBeGreaterThan(0.15)
    expect(found.efficiency!.dense!.value).toBeLessThan(0.3)
  })

  it("leaves a network out of its own prediction: one wild row does not bend its left-out figure", () => {
    const own = rows.filter((row) => row.device === coral.id)
    const wild = own.map((row) => (row.onnx === "vgg16.onnx" ? { ...row, value: row.value * 10 } : row))
    const leftOut = (list: ReadonlyArray<Measurement>) => {
      const row = fit([coral], list, workloadOf, "test").rows.find(({ network }) => network === "vgg16.onnx")!
      const { logError } = row.leftOut.find(({ without }) => without === "network")!
      return Math.log(row.measured) + logError
    }
    expect(leftOut(wild)).toBeCloseTo(leftOut(own), 2)
  })

  it("no software makes a layer faster than the array's peak", () => {
    const dense = { value: 4, source: "made up", confidence: "fitted" as const }
    const made: Profile.Profile = {
      ...load("generic-45nm"),
      memory: [],
      stacks: [{ software: "x", efficiency: { dense } }]
    }
    const { layers } = Simulate.network(made, workloadOf("vgg16.onnx", 1), () => Precision.wa(8, 8))
    const used = layers.flatMap(({ utilisation }) => utilisation ?? [])
    expect(Math.max(...used)).toBeCloseTo(1, 9)
  })

  it("says where every factor comes from, and the profile it writes reads back the same", () => {
    const [profile] = fit([coral], rows, workloadOf, "measurements.csv").profiles
    const stack = profile!.stacks!.find(({ software }) => software === "tflite-edgetpu-delegate")!
    expect(stack.efficiency!.dense).toMatchObject({
      confidence: "fitted",
      source: "fitted on measurements.csv"
    })
    expect(stack.efficiency!.attention).toMatchObject({
      confidence: "assumed",
      source: "usual for its kind; nothing measured"
    })
    const other = profile!.stacks!.find(({ software }) => software === "*")!
    expect(other.efficiency!.dense!.confidence).toBe("derived")
    expect(other.fit).toBeUndefined()
    expect(profile!.fit).toMatchObject({ rows: 10, measurements: "measurements.csv" })
    expect(stated(profile!)).toEqual({
      medianApePct: profile!.fit!.medianApePct,
      leftOut: profile!.fit!.leftOut,
      rows: 10
    })
    expect(Effect.runSync(Profile.decode(Profile.print(profile!), "printed"))).toEqual(profile)
  })

  it("what is inherited is less sure than what was measured", () => {
    const [profile] = fit([coral], rows, workloadOf, "measurements.csv").profiles
    const workload = workloadOf("resnet50.onnx", 1)
    const width = (software: string) => {
      const { latencyIntervalMs } = Simulate.network(profile!, workload, () => Precision.wa(8, 8), {
        software
      }).totals
      return latencyIntervalMs!.high / latencyIntervalMs!.low
    }
    expect(width("tflite-edgetpu-delegate")).toBeLessThan(width("edgetpu"))
    expect(width("edgetpu")).toBeLessThan(width("software of another planet") * 1.0001)
  })

  it("rows that are no time, name no model or measured nothing are left aside", () => {
    const row = rows.find(({ device }) => device === coral.id)!
    const odd: ReadonlyArray<Measurement> = [
      Object.assign({}, row, { value: 0 }),
      Object.assign({}, row, { metric: "throughput_per_s", value: 0 }),
      Object.assign({}, row, { metric: "dram_MB" }),
      Object.assign({}, row, { onnx: "" }),
      Object.assign({}, row, { precision: "f32" }),
      Object.assign({}, row, { precision: "int8" })
    ]
    expect(fit([coral], odd, workloadOf, "test").stacks).toEqual([])
    const { profiles, stacks } = fit([coral], [row, ...odd], workloadOf, "test")
    expect(stacks).toHaveLength(1)
    expect(profiles[0]!.fit).toMatchObject({ rows: 1, leftOut: { networkApePct: null } })
  })

  it("a profile without measurements stays as it is", () => {
    const generic = load("generic-45nm")
    expect(fit([generic], rows, workloadOf, "test")).toEqual({ profiles: [generic], stacks: [], rows: [] })
  })
})

describe("what stacks share", () => {
  const of = covariances(new Set())
  const key = (software: string, device = "d", native = "w8a8") => ({ device, software, native })
  const dense = factorNames.indexOf("dense")
  const shared = (a: ReturnType<typeof key>, b: ReturnType<typeof key>) => {
    const { classes, own } = of(a, b)
    return classes + own[dense]!
  }

  it("itself most, then its version at another point, its family, other software, another device's", () => {
    const self = key("x-cube-ai-7.3@3.0V")
    const order = [
      self,
      key("x-cube-ai-7.3@3.3V"),
      key("x-cube-ai-8.0@3.0V"),
      key("tflm"),
      key("tflm", "other"),
      key("tflm", "other", "f32")
    ].map((each) => shared(self, each))
    expect(order).toEqual(order.toSorted((a, b) => b - a))
    expect(new Set(order).size).toBe(order.length)
  })

  it("a family without a version is as far from every version as another version is", () => {
    expect(shared(key("x-cube-ai"), key("x-cube-ai-7.3"))).toBe(
      shared(key("x-cube-ai-9"), key("x-cube-ai-7.3"))
    )
  })
})

describe("what a row ran", () => {
  const row = rows.find(({ device }) => device === "nvidia-t4")!

  it("first and last layer at 8 bits where the note says so", () => {
    const network = residual()
    const of = precisionsOf({ ...row, ends: "w8a8" }, Precision.wa(4, 4), network)
    const bits = (id: string) => of(network.steps.find((step) => step.id === id)!).weights.bits
    expect([bits("stem"), bits("depthwise"), bits("pointwise"), bits("classifier")]).toEqual([8, 4, 4, 8])
  })

  it("unpadded sequences are fewer positions of the same layers and samples", () => {
    const bert = rows.find(({ share }) => Number(share) < 0.5)!
    expect(batchOf({ ...bert, note: "" })).toBe(16)
    const whole = workloadOf(bert.onnx, 256)
    const short = workloadOfRow(bert, workloadOf)
    if (typeof short === "string") throw new Error(short)
    expect(short.batch).toBe(whole.batch)
    const rowsOf = (work: (typeof whole.steps)[0]["work"]) => (work.kind === "matmul" ? work.m : 0)
    const index = whole.steps.findIndex(({ work }) => work.kind === "matmul" && work.constantWeights)
    expect(rowsOf(short.steps[index]!.work)).toBeCloseTo((rowsOf(whole.steps[index]!.work) * 176) / 384, 1)
  })
})

describe("tensor cores", () => {
  const { compute } = load("nvidia-t4")
  if (compute.kind !== "tensorCore") throw new Error("the T4 has tensor cores")
  const path = { rate: 1024, weightBits: 8, activationBits: 8, nativeBits: 8 }
  const layer = (channels: number, side: number) =>
    loopsOf(
      conv({
        inChannels: channels,
        outChannels: channels,
        kernel: [3, 3],
        inSpatial: [side, side],
        stride: [1, 1],
        padding: 1,
        batch: 8
      }),
      channels * channels * 9
    )!

  it("splits a long reduction: equal work takes nearly equal time on large and on small maps", () => {
    const cycles = [
      [64, 56],
      [128, 28],
      [256, 14],
      [512, 7]
    ].map(([channels, side]) => tensorCore(compute, layer(channels!, side!), path).cycles)
    expect(Math.max(...cycles) / Math.min(...cycles)).toBeLessThan(1.3)
  })

  it("is never faster than the peak", () => {
    const loops = layer(512, 7)
    const { cycles, peakMacsPerCycle } = tensorCore(compute, loops, path)
    expect(cycles).toBeGreaterThanOrEqual(loops.macs / peakMacsPerCycle)
  })

  it("NVIDIA T4, ResNet-18: layers within 12 % and the networks' int8/int4 ratio within 5 %", () => {
    const { rows: predicted } = run(load("nvidia-t4"), rows, workloadOf)
    for (const precision of ["w8a8", "w4a4"]) {
      const errors = predicted
        .filter((each) => each.software === "hawq-tvm" && each.layer !== "" && each.precision === precision)
        .map((each) => each.apePct!)
        .toSorted((a, b) => a - b)
      expect(errors[errors.length >> 1]).toBeLessThan(12)
    }
    const whole = (precision: string) =>
      predicted.find(
        (each) => each.software === "hawq-tvm" && each.layer === "" && each.precision === precision
      )!
    const ratio =
      whole("w8a8").predicted! / whole("w4a4").predicted! / (whole("w8a8").measured / whole("w4a4").measured)
    expect(Math.abs(ratio - 1)).toBeLessThan(0.05)
  })
})

describe("pipelined devices", () => {
  it("latency is frames in flight times the interval; a frame's energy is power times the interval", () => {
    const hailo = load("hailo-8")
    const { totals } = Simulate.network(hailo, residual(), () => Precision.wa(8, 8))
    const frames = hailo.framesInFlight!.value
    expect(totals.throughputPerS * totals.latencyMs).toBeCloseTo(1000 * frames, 6)
    const powerMw = hailo.stacks![0]!.activeMw!.value
    expect(totals.energyMj! * totals.throughputPerS).toBeCloseTo(powerMw, 6)
  })
})

describe("related devices", () => {
  const profiles = ["coral-edgetpu-devboard", "hailo-8", "coral-edgetpu-usb", "hailo-8l", "unpu"].map(load)

  it("are fitted together, those without a relative alone", () => {
    const names = relatedGroups(profiles).map((group) => group.map(({ id }) => id))
    expect(names).toEqual([
      ["coral-edgetpu-devboard", "coral-edgetpu-usb"],
      ["hailo-8", "hailo-8l"],
      ["unpu"]
    ])
    expect(relativesOf(profiles[2]!, profiles).map(({ id }) => id)).toEqual([
      "coral-edgetpu-usb",
      "coral-edgetpu-devboard"
    ])
  })

  it("a device nobody measured takes its factors from a measured one, marked as derived and less sure", () => {
    const [board, usb] = [load("coral-edgetpu-devboard"), load("coral-edgetpu-usb")]
    const onlyUsb = rows.filter(({ device }) => device === usb.id)
    const [fitted, measured] = fit([board, usb], onlyUsb, workloadOf, "test").profiles
    const of = (profile: Profile.Profile) =>
      profile.stacks!.find(({ software }) => software === "tflite-edgetpu-delegate")!
    expect(of(fitted!).efficiency!.dense!.confidence).toBe("derived")
    // It lies between its relative's and what devices of the kind usually have: within a fifth of the measured one.
    const [own, relative] = [of(fitted!).efficiency!.dense!.value, of(measured!).efficiency!.dense!.value]
    expect(Math.abs(Math.log(own / relative))).toBeLessThan(0.2)
    expect(of(fitted!).fit).toBeUndefined()
    expect(fitted!.memory).toEqual(board.memory)
    expect(stated(fitted!)).toBeNull()
    expect(of(fitted!).posterior!.covariance[0]!).toBeGreaterThan(of(measured!).posterior!.covariance[0]!)
  })
})

describe("overall scores", () => {
  it("hand-computed: rates count as times, power only where the energy was not measured", () => {
    const row = (metric: string, network: string, measured: number, predicted: number | null) => ({
      device: "d",
      software: "s",
      network,
      onnx: "",
      layer: "",
      precision: "w8a8",
      batch: "1",
      metric,
      measured,
      predicted,
      apePct: null,
      note: ""
    })
    const list = [
      row("latency_ms", "a", 10, 12),
      row("throughput_per_s", "b", 100, 50),
      row("latency_ms", "c", 1, null),
      row("energy_mJ", "a", 1, 1.5),
      row("power_mW", "a", 1, 9),
      row("power_mW", "b", 4, 3)
    ]
    expect(timeScore("d", list)).toMatchObject({ n: 2, missing: 1 })
    expect(timeScore("d", list).medianApePct).toBeCloseTo((20 + 100) / 2, 9)
    expect(energyScore("d", list)).toMatchObject({ n: 2, missing: 0 })
    expect(energyScore("d", list).medianApePct).toBeCloseTo((50 + 25) / 2, 9)
  })
})

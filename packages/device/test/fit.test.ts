import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { Model, Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { tensorCore } from "../src/compute/TensorCore.ts"
import * as Simulate from "../src/cost/Simulate.ts"
import * as Profile from "../src/profile/Profile.ts"
import { fit } from "../src/validate/Fit.ts"
import {
  parseMeasurements,
  precisionsOf,
  workloadOfRow,
  type Measurement
} from "../src/validate/Measurement.ts"
import { design, factorNames, locals } from "../src/validate/Pooling.ts"
import { borrowFactors } from "../src/validate/Relative.ts"
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
      row.device === coral.id ? [Object.assign({}, row, { value: timeOf(row.onnx) })] : []
    )
    const { profile, rows: fitted } = fit(coral, measured, workloadOf, "made up")
    for (const row of fitted) expect(Math.abs(row.fittedMs / row.measuredMs - 1)).toBeLessThan(0.05)
    const found = profile.stacks![0]!
    expect(found.efficiency!.dense!.value).toBeGreaterThan(0.15)
    expect(found.efficiency!.dense!.value).toBeLessThan(0.3)
  })

  it("leaves a network out of its own prediction: one wild row does not bend its left-out figure", () => {
    const own = rows.filter((row) => row.device === coral.id)
    const wild = own.map((row) => (row.onnx === "vgg16.onnx" ? { ...row, value: row.value * 10 } : row))
    const leftOut = (list: ReadonlyArray<Measurement>) =>
      fit(coral, list, workloadOf, "test").rows.find((row) => row.network === "vgg16.onnx")!.leftOutMs
    expect(leftOut(wild)).toBe(leftOut(own))
  })

  it("a layer predicted above the assumed peak is noted", () => {
    const predicted = (value: number) => {
      const dense = { value, source: "made up", confidence: "fitted" as const }
      const made: Profile.Profile = {
        ...load("generic-45nm"),
        memory: [],
        stacks: [{ software: "x", efficiency: { dense } }]
      }
      return Simulate.network(made, workloadOf("vgg16.onnx", 1), () => Precision.wa(8, 8))
    }
    const noted = predicted(4)
    const above = noted.layers.filter(({ utilisation }) => utilisation !== null && utilisation > 1).length
    expect(above).toBeGreaterThan(0)
    expect(noted.notes.join("\n")).toContain(`${above} layers are faster than the peak`)
    expect(predicted(0.5).notes.join("\n")).not.toContain("faster than the peak")
  })

  it("one row of other software does not speak for the software fitted before", () => {
    const before = stated(coral)!
    const row = rows.find(({ device }) => device === coral.id)!
    const { profile } = fit(coral, [{ ...row, software: "another runtime" }], workloadOf, "one row")
    expect(stated(profile, "another runtime")).toMatchObject({ rows: 1, leaveOneOutApePct: null })
    expect(stated(profile, coral.stacks![0]!.software)).toEqual(before)
    const own = stated(profile, "another runtime")!.medianApePct
    expect(stated(profile)!.rows).toBe(before.rows + 1)
    expect(stated(profile)!.medianApePct).toBeCloseTo(
      (before.medianApePct * before.rows + own) / (before.rows + 1),
      10
    )
  })

  it("says where every factor comes from, and the profile it writes reads back the same", () => {
    const { profile } = fit(coral, rows, workloadOf, "measurements.csv")
    const stack = profile.stacks![0]!
    expect(stack.efficiency!.dense).toMatchObject({
      confidence: "fitted",
      source: "fitted on measurements.csv"
    })
    expect(stack.efficiency!.attention).toMatchObject({ confidence: "assumed" })
    expect(profile.fit).toMatchObject({ rows: 6, measurements: "measurements.csv" })
    expect(stated(profile)).toEqual({
      medianApePct: profile.fit!.medianApePct,
      leaveOneOutApePct: profile.fit!.leaveOneOutMedianApePct,
      rows: 6
    })
    expect(Effect.runSync(Profile.decode(Profile.print(profile), "printed"))).toEqual(profile)
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
    expect(fit(coral, odd, workloadOf, "test").stacks).toEqual([])
    const { profile, stacks } = fit(coral, [row, ...odd], workloadOf, "test")
    expect(stacks).toHaveLength(1)
    expect(profile.fit).toMatchObject({ rows: 1, leaveOneOutMedianApePct: null })
  })

  it("a profile without measurements stays as it is", () => {
    const generic = load("generic-45nm")
    expect(fit(generic, rows, workloadOf, "test")).toEqual({ profile: generic, stacks: [], rows: [] })
  })
})

describe("pooling", () => {
  const usual = Object.fromEntries(factorNames.map((name) => [name, 1])) as Parameters<typeof design>[1]
  const stacks = [
    { software: "a", native: "w8a8" },
    { software: "b", native: "w8a8" }
  ]

  it("the device's effect moves every class of every stack alike, and nothing else", () => {
    const plan = design(stacks, usual, new Set())
    const values = new Float64Array(plan.effects.length)
    values[0] = 0.3
    const local = locals(plan, values)
    const at = (stack: number, name: (typeof factorNames)[number]) =>
      local[stack * factorNames.length + factorNames.indexOf(name)]
    for (const stack of [0, 1]) {
      expect(at(stack, "dense")).toBeCloseTo(0.3, 12)
      expect(at(stack, "vector")).toBeCloseTo(0.3, 12)
      expect(at(stack, "bandwidth")).toBe(0)
    }
  })

  it("a single stack has no effects of software or precision to tell apart", () => {
    expect(design(stacks.slice(0, 1), usual, new Set()).effects.length).toBeLessThan(
      design(stacks, usual, new Set()).effects.length
    )
  })
})

describe("what a row ran", () => {
  const row = rows.find(({ device }) => device === "nvidia-t4")!

  it("first and last layer at 8 bits where the note says so", () => {
    const network = residual()
    const of = precisionsOf({ ...row, note: "first and last layer 8 bit" }, Precision.wa(4, 4), network)
    const bits = (id: string) => of(network.steps.find((step) => step.id === id)!).weights.bits
    expect([bits("stem"), bits("depthwise"), bits("pointwise"), bits("classifier")]).toEqual([8, 4, 4, 8])
  })

  it("unpadded sequences are fewer positions of the same layers and samples", () => {
    const bert = rows.find(({ note }) => note.includes("real lengths are shorter"))!
    const whole = workloadOf(bert.onnx, 16)
    const short = workloadOfRow(bert, workloadOf)
    if (typeof short === "string") throw new Error(short)
    expect(short.batch).toBe(whole.batch)
    const rowsOf = (work: (typeof whole.steps)[0]["work"]) => (work.kind === "matmul" ? work.m : 0)
    const index = whole.steps.findIndex(({ work }) => work.kind === "matmul" && work.constantWeights)
    expect(rowsOf(short.steps[index]!.work)).toBeCloseTo((rowsOf(whole.steps[index]!.work) * 176) / 384, 9)
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
    const powerMw = hailo.energy?.kind === "power" ? hailo.energy.activeMw.value : 0
    expect(totals.energyMj! * totals.throughputPerS).toBeCloseTo(powerMw, 6)
  })
})

describe("unmeasured relatives", () => {
  it("take the factors of the measured device, marked as assumed and without its errors", () => {
    const [board, usb] = [load("coral-edgetpu-devboard"), load("coral-edgetpu-usb")]
    const borrowed = borrowFactors(board, usb)
    expect(borrowed.stacks![0]!.efficiency!.dense).toEqual({
      value: usb.stacks![0]!.efficiency!.dense!.value,
      source: "as fitted for coral-edgetpu-usb",
      confidence: "assumed"
    })
    expect(borrowed.memory).toEqual(board.memory)
    expect(stated(borrowed)).toBeNull()
  })

  it("another software's factors are no relative's", () => {
    const unpu = load("unpu")
    expect(borrowFactors(unpu, load("coral-edgetpu-usb"))).toEqual(unpu)
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

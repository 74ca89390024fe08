import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { Model } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import * as Profile from "../src/profile/Profile.ts"
import { minimise } from "../src/validate/LeastSquares.ts"
import { layerIndex, parseMeasurements } from "../src/validate/Measurement.ts"
import { median, spearman } from "../src/validate/Score.ts"
import { run, stated } from "../src/validate/Validation.ts"
import { workloadAt } from "../src/work/Batch.ts"

const dir = new URL("../../../hw-profiles/", import.meta.url).pathname
const read = (file: string) => readFileSync(`${dir}${file}`, "utf8")
const rows = Effect.runSync(parseMeasurements(read("validation/measurements.csv"), "measurements.csv"))
const load = (id: string) => Effect.runSync(Profile.decode(read(`${id}.json`), id))
const workloadOf = (onnx: string, batch: number) =>
  workloadAt(Effect.runSync(Model.read(`${dir}validation/models/${onnx}`)).graph, batch)

describe("validation", () => {
  it.each(["coral-edgetpu-usb", "cortex-m7-stm32h743", "nvidia-t4"])(
    "%s: median error of time within 20 %, ranks nearly right",
    (id) => {
      const { rows: predicted, summary } = run(load(id), rows, workloadOf)
      const time = summary.find(({ metric }) => metric === "latency_ms" || metric === "cycles")!
      expect(predicted.length).toBe(time.n)
      expect(time.missing).toBe(0)
      expect(time.medianApePct!).toBeLessThan(20)
      expect(time.spearman!).toBeGreaterThan(0.85)
    }
  )

  it("a row that cannot be predicted says why and is missing", () => {
    const { rows: predicted, summary } = run(load("tpu-v1"), rows, workloadOf)
    const unnamed = predicted.find(({ network }) => network === "LSTM0")!
    expect(unnamed).toMatchObject({ predicted: null, apePct: null, note: "the row names no model file" })
    expect(summary.find(({ metric }) => metric === "gops")).toMatchObject({ n: 1, missing: 2 })
  })

  it("states the error a profile was fitted with, and none where nothing was measured", () => {
    const tpu = stated(load("coral-edgetpu-usb"))!
    expect(tpu.rows).toBe(6)
    expect(tpu.medianApePct).toBeLessThan(20)
    expect(tpu.leaveOneOutApePct).not.toBeNull()
    expect(stated(load("generic-45nm"))).toBeNull()
    expect(stated(load("coral-edgetpu-usb"), "another software")).toBeNull()
  })

  it("peak rates follow the serial operand's bits", () => {
    const row = rows.find(({ device, metric }) => device === "unpu" && metric === "gops")!
    const at = (precision: string) =>
      run(load("unpu"), [{ ...row, precision }], workloadOf).rows[0]!.predicted
    expect(at("w16a16")).toBeCloseTo(345.6, 1)
    expect(at("w4a16")).toBeCloseTo(4 * 345.6, 1)
  })

  it("finds the layer of a row by number or by its note", () => {
    expect(layerIndex({ ...rows[0]!, layer: "3" })).toBe(3)
    expect(layerIndex({ ...rows[0]!, layer: "Conv1", note: "conv_index=7; clock" })).toBe(7)
    expect(layerIndex({ ...rows[0]!, layer: "" })).toBeUndefined()
  })

  it("lists the faults of a measurements file", () => {
    const titles =
      "device,software,network,onnx,layer,precision,batch,metric,value,unit,confidence,source,note"
    const faultsOf = (...lines: ReadonlyArray<string>) =>
      Effect.runSync(Effect.flip(parseMeasurements([titles, ...lines, ""].join("\r\n"), "bad.csv"))).faults
    const row = (batch: string, metric: string, value: string, unit: string) =>
      `d,s,n,n.onnx,,w8a8,${batch},${metric},${value},${unit},read,"a paper, page 3",`
    expect(
      faultsOf(
        row("1", "latency_ms", "3", "ms"),
        row("1", "latency_ms", "fast", "ms"),
        row("two", "latency_ms", "", "us"),
        row("", "energy_mJ", "0", "mJ"),
        row("1", "dram_MB", "0", "MB"),
        "d,s,n"
      )
    ).toEqual([
      'line 3: value is "fast", expected a positive number',
      'line 4: value is "", expected a positive number',
      'line 4: batch is "two", expected a number of samples',
      "line 4: latency_ms in us: give the value in ms",
      'line 5: value is "0", expected a positive number',
      "line 7: 3 cells under 13 titles: quote what has a comma in it"
    ])
    const error = Effect.runSync(Effect.flip(parseMeasurements("device,value\nx,1\n", "bad.csv")))
    expect(error.message).toContain("bad.csv")
    expect(error.faults).toEqual([expect.stringContaining("line 1: no column software, network, onnx")])
  })

  it("says so where it predicts with the figures of other software, and gives no error on nothing", () => {
    const t4 = load("nvidia-t4")
    const known = rows.find((row) => row.device === "nvidia-t4" && row.metric === "latency_ms")
    const validated = run(
      t4,
      [known!, { ...known!, software: "tensorrt-99" }, { ...known!, metric: "dram_MB", value: 0 }],
      workloadOf
    ).rows
    expect(validated[0]!.note).toBe("")
    expect(validated[1]!.note).toMatch(/^no figures for software "tensorrt-99": predicted as tensorrt/)
    expect(validated[2]).toMatchObject({ apePct: null, predicted: expect.any(Number) })
  })
})

describe("scores and fits", () => {
  it("hand-computed median and rank correlation", () => {
    expect(median([3, 1, 2, 10])).toBe(2.5)
    expect(spearman([1, 2, 3, 4], [10, 20, 40, 30])).toBeCloseTo(0.8, 12)
    expect(spearman([1, 1], [1, 2])).toBeNull()
  })

  it("least squares finds a line in spite of an outlier", () => {
    const x = [0, 1, 2, 3, 4, 5, 6, 7]
    const y = x.map((each) => (each === 5 ? 100 : 2 * each + 1))
    const { parameters } = minimise(
      ([slope, offset]) => Float64Array.from(x, (each, i) => slope! * each + offset! - y[i]!),
      Float64Array.of(0, 0),
      0,
      0.5,
      200
    )
    expect(parameters[0]).toBeCloseTo(2, 0)
    expect(parameters[1]).toBeCloseTo(1, 0)
  })
})

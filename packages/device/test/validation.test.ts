import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { Model } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import * as Profile from "../src/profile/Profile.ts"
import { factorNames } from "../src/cost/Factors.ts"
import { solve, type Problem } from "../src/validate/Posterior.ts"
import { covariances } from "../src/validate/Prior.ts"
import { layerIndex, parseMeasurements } from "../src/validate/Measurement.ts"
import { median, spearman, timeScore } from "../src/validate/Score.ts"
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
      const { rows: predicted } = run(load(id), rows, workloadOf)
      const time = timeScore(id, predicted)
      expect(time.n).toBe(predicted.length)
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
    expect(tpu.rows).toBe(10)
    expect(tpu.medianApePct).toBeLessThan(20)
    expect(tpu.leftOut.networkApePct).not.toBeNull()
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

  it("finds the layer of a row by number or by its index", () => {
    expect(layerIndex({ ...rows[0]!, layer: "3" })).toBe(3)
    expect(layerIndex({ ...rows[0]!, layer: "Conv1", layer_index: "7" })).toBe(7)
    expect(layerIndex({ ...rows[0]!, layer: "Conv1", layer_index: "" })).toBe(-1)
    expect(layerIndex({ ...rows[0]!, layer: "" })).toBeUndefined()
  })

  it("reads older files, whose notes say what columns say now, to the same rows", () => {
    const columns =
      "device,software,network,onnx,layer,precision,batch,metric,value,unit,confidence,source,note"
    const row = (layer: string, note: string) =>
      `d,s,n,n.onnx,${layer},w4a4,1,latency_ms,3,ms,read,a paper,${note}`
    const read = (...lines: ReadonlyArray<string>) =>
      Effect.runSync(parseMeasurements(lines.join("\n"), "file")).map(({ note: _, ...rest }) => rest)
    expect(
      read(
        columns,
        row("Conv1", "conv_index=7; clock 370 MHz; supply 3.0V-smps"),
        row("", "per image"),
        row("", "first and last layer 8 bit"),
        row("", "")
      )
    ).toEqual(
      read(
        `${columns},layer_index,per,share,ends,at`,
        row("Conv1", ',7,,,,"clock=370MHz,vdd=3.0,smps"'),
        row("", ",,image,,,"),
        row("", ",,,1,w8a8,"),
        row("", ",,batch,,,")
      )
    )
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
    expect(validated[1]!.note).toBe('no figures for software "tensorrt-99": predicted as tensorrt')
    expect(validated[2]).toMatchObject({ apePct: null, predicted: expect.any(Number) })
  })
})

describe("scores and fits", () => {
  it("hand-computed median and rank correlation", () => {
    expect(median([3, 1, 2, 10])).toBe(2.5)
    expect(spearman([1, 2, 3, 4], [10, 20, 40, 30])).toBeCloseTo(0.8, 12)
    expect(spearman([1, 1], [1, 2])).toBeNull()
  })

  /** Observations of log(efficiency of dense layers) of stacks of one device. */
  const problem = (
    values: ReadonlyArray<readonly [software: string, log: number, network?: string]>
  ): Problem => {
    const names = [...new Set(values.map(([software]) => software))]
    return {
      stacks: names.map((software) => ({ device: "d", software, native: "w8a8" })),
      usual: names.map(() => new Float64Array(factorNames.length)),
      observations: values.map(([software, log, network], i) => ({
        stack: names.indexOf(software),
        log,
        spread: 0.1,
        subject: network ?? String(i)
      })),
      between: covariances(new Set()),
      model: (_, logs) => {
        const slopes = new Float64Array(factorNames.length)
        slopes[factorNames.indexOf("dense")] = 1
        return { log: logs[factorNames.indexOf("dense")]!, slopes }
      }
    }
  }
  const dense = factorNames.indexOf("dense")
  const usual = new Float64Array(factorNames.length)

  it("the posterior of one observation is the textbook's", () => {
    const own = problem([["a-1", 0.5]])
    const { classes, own: each } = own.between(own.stacks[0]!, own.stacks[0]!)
    const prior = classes + each[dense]!
    const { covariance, mean } = solve(own).at(own.stacks[0]!, usual)
    expect(mean[dense]).toBeCloseTo((0.5 * prior) / (prior + 0.01), 4)
    expect(covariance[dense * factorNames.length + dense]).toBeCloseTo((prior * 0.01) / (prior + 0.01), 4)
  })

  it("hand-computed: two rows of one network tell less than rows of two networks", () => {
    const variance = (...networks: ReadonlyArray<string>): number => {
      const own = problem(networks.map((network) => ["a-1", 0.5, network] as const))
      return solve(own).at(own.stacks[0]!, usual).covariance[dense * factorNames.length + dense]!
    }
    const [key] = problem([["a-1", 0.5]]).stacks
    const { classes, own } = covariances(new Set())(key!, key!)
    const prior = classes + own[dense]!
    // The mean of two errors of 0.1 varies by 0.01 / 2, by 0.01 · (1 + ½) / 2 where half of them is shared.
    const after = (error: number): number => (prior * error) / (prior + error)
    expect(variance("one", "other")).toBeCloseTo(after(0.005), 6)
    expect(variance("one", "one")).toBeCloseTo(after(0.0075), 6)
  })

  it("a stack's only row is doubted as far as its network is out of line elsewhere", () => {
    const sibling = (odd: number): ReadonlyArray<readonly [string, number, string]> => [
      ["a-1", 0.5, "x"],
      ["a-1", 0.51, "y"],
      ["a-1", 0.49, "z"],
      ["a-1", odd, "odd"]
    ]
    const calibrated = (odd: number): number =>
      solve(problem([...sibling(odd), ["b-1", 1.5, "odd"]])).at(
        { device: "d", software: "b-1", native: "w8a8" },
        usual
      ).mean[dense]!
    // The same measurement, of a network that the sibling runs as it runs others, and of one it does not.
    expect(calibrated(0.5)).toBeGreaterThan(1.35)
    expect(calibrated(1.5)).toBeLessThan(1.2)
  })

  it("a version nobody measured lies among its siblings; one measured row calibrates it", () => {
    const siblings: ReadonlyArray<readonly [string, number]> = [
      ["a-1", 0.5],
      ["a-2", 0.7],
      ["a-3", 0.6]
    ]
    const at = (values: ReadonlyArray<readonly [string, number]>) =>
      solve(problem(values)).at({ device: "d", software: "a-4", native: "w8a8" }, usual)
    const [unmeasured, measured] = [at(siblings), at([...siblings, ["a-4", 0.1]])]
    expect(unmeasured.mean[dense]).toBeGreaterThan(0.4)
    expect(unmeasured.mean[dense]).toBeLessThan(0.7)
    expect(measured.mean[dense]).toBeLessThan(0.2)
    const variance = ({ covariance }: typeof measured) => covariance[dense * factorNames.length + dense]!
    expect(variance(measured)).toBeLessThan(variance(unmeasured) / 4)
  })

  it("one wild observation bends the others' stack little", () => {
    const many = [0.5, 0.52, 0.48, 0.51, 0.49].map((log) => ["a-1", log] as const)
    const mean = (values: ReadonlyArray<readonly [string, number]>) =>
      solve(problem(values)).at({ device: "d", software: "a-1", native: "w8a8" }, usual).mean[dense]!
    expect(Math.abs(mean([...many, ["a-1", 5]]) - mean(many))).toBeLessThan(0.1)
  })
})

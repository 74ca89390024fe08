import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { Model, Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { factorNames } from "../src/cost/Factors.ts"
import * as Simulate from "../src/cost/Simulate.ts"
import * as Profile from "../src/profile/Profile.ts"
import { fit } from "../src/validate/Fit.ts"
import { columns, parseMeasurements } from "../src/validate/Measurement.ts"
import { design, measured } from "../src/validate/Probe.ts"
import { probeNetworks } from "../src/validate/ProbeNetworks.ts"
import { workloadAt } from "../src/work/Batch.ts"

const dir = new URL("../../../hw-profiles/", import.meta.url).pathname
const load = (id: string): Profile.Profile =>
  Effect.runSync(Profile.decode(readFileSync(`${dir}${id}.json`, "utf8"), id))

describe("probe design", () => {
  it("hand-computed: a measurement of one factor leaves σ²s²/(σ² + s²), and what covaries with it less open", () => {
    const width = factorNames.length
    const covariance = new Float64Array(width ** 2)
    covariance.set([0.04, 0.02], 0)
    covariance.set([0.02, 0.04], width)
    const slopes = new Float64Array(width)
    slopes[0] = 1
    const after = measured(covariance, slopes, 0.1)
    expect(after[0]).toBeCloseTo((0.04 * 0.01) / 0.05, 12)
    expect(after[width + 1]).toBeCloseTo(0.04 - 0.02 ** 2 / 0.05, 12)
    expect(after[1]).toBeCloseTo(0.02 - (0.04 * 0.02) / 0.05, 12)
  })

  it("every network after the first leaves less open, and none is measured twice", () => {
    const { probes, reachPct } = design(load("jetson-orin-nx"), 6)
    const reaches = [reachPct, ...probes.map((probe) => probe.reachPct)]
    for (const [index, reach] of reaches.entries())
      if (index > 0) expect(reach).toBeLessThan(reaches[index - 1]!)
    expect(new Set(probes.map(({ network }) => network.name)).size).toBe(6)
  })

  it("the networks survive their way through a file", () => {
    for (const { graph, name } of probeNetworks()) {
      const read = Effect.runSync(Model.decode(Model.encode(graph), `${name}.onnx`))
      expect(workloadAt(read.graph, 1).steps.map(({ work }) => work)).toEqual(
        workloadAt(graph, 1).steps.map(({ work }) => work)
      )
    }
  })

  it("five measurements make a board nobody fitted predictable", () => {
    const known = load("rpi5-a76")
    const { fit: _fit, relative: _relative, stacks, ...hardware } = known
    const [truth] = stacks!
    const board: Profile.Profile = { ...hardware, id: "board" }
    const eight = Precision.wa(8, 8)
    const graphs = new Map(probeNetworks().map(({ graph, name }) => [`${name}.onnx`, graph]))
    const workloadOf = (onnx: string, batch: number) => workloadAt(graphs.get(onnx)!, batch)
    const msOf = (onnx: string): number =>
      Simulate.network({ ...known, stacks: [truth!] }, workloadOf(onnx, 1), () => eight).totals.latencyMs
    const lines = design(board, 5, "own").probes.map(
      ({ network: { name } }) =>
        `board,own,${name},${name}.onnx,,w8a8,1,latency_ms,${msOf(`${name}.onnx`)},ms,read,simulated,`
    )
    const rows = Effect.runSync(parseMeasurements([columns.join(), ...lines].join("\n"), "probes.csv"))
    const fitted = fit([board], rows, workloadOf, "probes.csv").profiles[0]!
    const resnet18 = workloadAt(
      Effect.runSync(Model.read(`${dir}validation/models/ncnn-resnet18.onnx`)).graph,
      1
    )
    const [predicted, real] = [fitted, { ...known, stacks: [truth!] }].map(
      (profile) => Simulate.network(profile, resnet18, () => eight).totals
    )
    expect(Math.abs(predicted!.latencyMs / real!.latencyMs - 1)).toBeLessThan(0.5)
    expect(real!.latencyMs).toBeGreaterThan(predicted!.latencyIntervalMs!.low)
    expect(real!.latencyMs).toBeLessThan(predicted!.latencyIntervalMs!.high)
  })
})

import { readFileSync } from "node:fs"
import { parse } from "csv-parse/sync"
import { Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { map } from "../src/compute/Compute.ts"
import { search } from "../src/memory/Tiling.ts"
import { loopsOf } from "../src/work/Loops.ts"
import { bareArray } from "../src/profile/BareArray.ts"
import * as Simulate from "../src/cost/Simulate.ts"
import { conv, single } from "./networks.ts"

interface Golden {
  readonly [column: string]: string
}

const goldens = parse(readFileSync(new URL("./goldens/scalesim.csv", import.meta.url), "utf8"), {
  columns: true
}) as ReadonlyArray<Golden>

const at = (row: Golden, column: string) => Number(row[column])

const workOf = (row: Golden) =>
  conv({
    inChannels: at(row, "channels"),
    outChannels: at(row, "num_filters"),
    kernel: [at(row, "filt_h"), at(row, "filt_w")],
    inSpatial: [at(row, "ifmap_h"), at(row, "ifmap_w")],
    stride: [at(row, "stride_h"), at(row, "stride_w")]
  })

const deviceOf = (row: Golden) =>
  bareArray(`systolic-${row["arr_rows"]}x${row["arr_cols"]}-${row["dataflow"]}`)!

const simulateRow = (row: Golden) =>
  Simulate.network(deviceOf(row), single(workOf(row)), () => Precision.wa(8, 8))

const path = { rate: 1, weightBits: 8, activationBits: 8, nativeBits: 8 }

describe("systolic arrays", () => {
  it("hand-computed: 4 positions, 3 filters, reduction 2 on a 2×2 output-stationary array", () => {
    // F = ceil(4/2)·ceil(3/2) = 4 folds of T + R + C − 2 = 2 + 2 + 2 − 2 = 4 cycles, less SCALE-Sim's one.
    const work = conv({ inChannels: 2, outChannels: 3, kernel: [1, 1], inSpatial: [2, 2], stride: [1, 1] })
    const cost = Simulate.network(bareArray("systolic-2x2-os")!, single(work), () => Precision.wa(8, 8))
    expect(cost.totals.computeCycles).toBe(15)
    expect(cost.totals.utilisation).toBeCloseTo(24 / (15 * 4), 12)
    expect(cost.totals.energyMj).toBeNull()
    expect(cost.totals.dramBytes).toBeNull()
  })

  it("equals SCALE-Sim on every golden row: cycles and utilisation", () => {
    expect(goldens.length).toBeGreaterThan(800)
    for (const row of goldens) {
      const { totals } = simulateRow(row)
      expect(totals.computeCycles, `${row["topology"]} ${row["layer"]} ${row["dataflow"]}`).toBe(
        Number(row["total_cycles"])
      )
      expect(totals.utilisation! * 100).toBeCloseTo(Number(row["overall_util_pct"]), 4)
    }
  })

  it("equals SCALE-Sim's words read and written at the array's edge, but for its extra F·(R + C) outputs", () => {
    for (const row of goldens) {
      const mapped = map(deviceOf(row).compute, loopsOf(workOf(row), 0)!, path)
      const [rows, cols] = [at(row, "arr_rows"), at(row, "arr_cols")]
      const folds = Math.ceil(at(row, "M") / rows) * Math.ceil(at(row, "N") / cols)
      const extra = row["dataflow"] === "os" ? folds * (rows + cols) : 0
      expect(mapped.inputReads).toBe(at(row, "sram_ifmap_reads"))
      expect(mapped.weightReads).toBe(at(row, "sram_filter_reads"))
      expect(mapped.outputWrites).toBe(at(row, "sram_ofmap_writes") - extra)
    }
  })

  it("fetches from DRAM what SCALE-Sim does where its buffers hold an operand: each word once", () => {
    const measured = goldens.filter((row) => row["dram_ifmap_reads"] !== "")
    expect(measured.length).toBeGreaterThan(200)
    const words = (row: Golden, column: string) => 50 * Math.floor((at(row, column) * 1024) / 100)
    let [held, filters] = [0, 0]
    for (const row of measured) {
      const loops = loopsOf(workOf(row), at(row, "N") * at(row, "K"))!
      const [ample, none] = [2 ** 40, { weights: false, inputs: false, outputs: false }]
      const tiling = search(
        loops,
        { weights: 8, inputs: 8, outputs: 8 },
        { weights: ample, inputs: ample, outputs: ample, shared: true },
        { weights: 1, inputs: 1, outputs: 1 },
        none,
        { grain: { filters: 1, channels: 1 }, doubleBuffered: true, accumulatorBits: 32, cuts: new Map() }
      )
      if (at(row, "N") * at(row, "K") <= words(row, "filter_sram_kB")) {
        filters++
        expect(tiling.weightBits / 8).toBe(at(row, "dram_filter_reads"))
      }
      // With a stride or a short last window SCALE-Sim reads a little less, or past the edge.
      if (row["stride_h"] !== "1" || loops.inElements > words(row, "ifmap_sram_kB")) continue
      held++
      expect(tiling.inputBits / 8).toBe(at(row, "dram_ifmap_reads"))
    }
    expect(held).toBeGreaterThan(100)
    expect(filters).toBeGreaterThan(150)
  })
})

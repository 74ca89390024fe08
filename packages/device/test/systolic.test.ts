import { readFileSync } from "node:fs"
import { parse } from "csv-parse/sync"
import { Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { bareArray } from "../src/profile/BareArray.ts"
import * as Simulate from "../src/cost/Simulate.ts"
import { conv, single } from "./networks.ts"

interface Golden {
  readonly [column: string]: string
}

const goldens = parse(readFileSync(new URL("./goldens/scalesim.csv", import.meta.url), "utf8"), {
  columns: true
}) as ReadonlyArray<Golden>

const simulateRow = (row: Golden) => {
  const at = (column: string) => Number(row[column])
  const work = conv({
    inChannels: at("channels"),
    outChannels: at("num_filters"),
    kernel: [at("filt_h"), at("filt_w")],
    inSpatial: [at("ifmap_h"), at("ifmap_w")],
    stride: [at("stride_h"), at("stride_w")]
  })
  const device = bareArray(`systolic-${row["arr_rows"]}x${row["arr_cols"]}-${row["dataflow"]}`)!
  return Simulate.network(device, single(work), () => Precision.wa(8, 8))
}

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
})

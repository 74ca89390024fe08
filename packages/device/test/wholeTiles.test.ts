import { readFileSync } from "node:fs"
import { parse } from "csv-parse/sync"
import { describe, expect, it } from "vitest"
import { wholeTiles } from "../src/memory/WholeTiles.ts"
import { loopsOf } from "../src/work/Loops.ts"
import { conv, gemm } from "./networks.ts"

interface Row {
  readonly [column: string]: string
}
/** Bit Fusion's own simulator at its published configuration, 192 bits a cycle from DRAM. */
const rows = parse(readFileSync(new URL("./goldens/bitfusion.csv", import.meta.url), "utf8"), {
  columns: true
}) as ReadonlyArray<Row>

const at = (row: Row, column: string) => Number(row[column])

const trafficOf = (row: Row): number => {
  const side = [at(row, "out_hw"), at(row, "out_hw")]
  const product = row["layer"]!.includes("MatMul")
    ? gemm(at(row, "batch"), at(row, "out_ch"), at(row, "in_ch"))
    : conv({
        batch: at(row, "batch"),
        inChannels: at(row, "in_ch"),
        outChannels: at(row, "out_ch"),
        kernel: [at(row, "kernel"), at(row, "kernel")],
        inSpatial: [at(row, "in_hw"), at(row, "in_hw")],
        outSpatial: side,
        stride: [at(row, "stride"), at(row, "stride")]
      })
  const loops = loopsOf(product, at(row, "in_ch") * at(row, "out_ch") * at(row, "kernel") ** 2)!
  const tiling = wholeTiles(
    row["im2col"] === "1" ? { ...loops, class: "stem" } : loops,
    { weights: at(row, "w_bits"), inputs: at(row, "a_bits"), outputs: at(row, "a_bits") },
    {
      weights: at(row, "wbuf_bytes") * 8,
      inputs: at(row, "ibuf_bytes") * 8,
      outputs: at(row, "obuf_bytes") * 8,
      shared: false
    },
    { weights: 1, inputs: 1, outputs: 1 },
    { weights: false, inputs: false, outputs: false },
    { grain: { filters: 1, channels: 1 }, doubleBuffered: true, accumulatorBits: 32, cuts: new Map() }
  )
  return tiling.weightBits + tiling.inputBits + tiling.outputBits
}

const measured = (row: Row) => at(row, "dram_read_bits") + at(row, "dram_write_bits")

describe("tiles loaded whole", () => {
  it("hand-computed: a 1×1 layer that fits reads everything once and its zeros too", () => {
    const work = conv({ inChannels: 8, outChannels: 4, kernel: [1, 1], inSpatial: [2, 2], stride: [1, 1] })
    const ample = 1e6
    const tiling = wholeTiles(
      loopsOf(work, 32)!,
      { weights: 4, inputs: 8, outputs: 8 },
      { weights: ample, inputs: ample, outputs: ample, shared: true },
      { weights: 1, inputs: 1, outputs: 1 },
      { weights: false, inputs: false, outputs: false },
      { grain: { filters: 1, channels: 1 }, doubleBuffered: true, accumulatorBits: 32, cuts: new Map() }
    )
    expect(tiling).toMatchObject({ weightBits: 128, inputBits: 256, outputBits: 2 * 16 * 32 })
  })

  it.each([...new Set(rows.map((row) => row["network"]!))])(
    "%s: DRAM traffic within 15 % of Bit Fusion's simulator, half the layers within 10 %",
    (network) => {
      const own = rows.filter((row) => row["network"] === network)
      const total = (value: (row: Row) => number) => own.reduce((sum, row) => sum + value(row), 0)
      expect(Math.abs(total(trafficOf) / total(measured) - 1)).toBeLessThan(0.15)
      const errors = own.map((row) => Math.abs(trafficOf(row) / measured(row) - 1)).toSorted((a, b) => a - b)
      expect(errors[Math.floor(errors.length / 2)]!).toBeLessThan(0.1)
    }
  )
})

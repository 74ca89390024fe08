import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { search, type Capacity, type Tiling } from "../src/memory/Tiling.ts"
import { wholeTiles } from "../src/memory/WholeTiles.ts"
import { loopsOf, type Loops } from "../src/work/Loops.ts"
import { conv, gemm } from "./networks.ts"

const layer = fc.oneof(
  fc
    .record({
      inChannels: fc.integer({ min: 1, max: 300 }),
      outChannels: fc.integer({ min: 1, max: 300 }),
      kernel: fc.integer({ min: 1, max: 7 }),
      side: fc.integer({ min: 7, max: 40 }),
      stride: fc.integer({ min: 1, max: 4 }),
      batch: fc.integer({ min: 1, max: 4 })
    })
    .map(({ kernel, side, stride, ...rest }) =>
      loopsOf(
        conv({ ...rest, kernel: [kernel, kernel], inSpatial: [side, side], stride: [stride, stride] }),
        rest.inChannels * rest.outChannels * kernel * kernel
      )!
    ),
  fc
    .tuple(
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 600 }),
      fc.integer({ min: 1, max: 600 })
    )
    .map(([m, n, k]) => loopsOf(gemm(m, n, k), n * k)!)
)

const capacity = fc
  .tuple(fc.integer({ min: 1000, max: 4_000_000 }), fc.boolean())
  .map(([bits, shared]): Capacity => ({ weights: bits, inputs: bits, outputs: bits, shared }))

const bits = { weights: 8, inputs: 8, outputs: 8 }
const cost = { weights: 1, inputs: 1, outputs: 1 }
const none = { weights: false, inputs: false, outputs: false }
const rules = {
  grain: { filters: 1, channels: 1 },
  doubleBuffered: true,
  accumulatorBits: 32,
  cuts: new Map()
}
const moved = (tiling: Tiling) => tiling.weightBits + tiling.inputBits + tiling.outputBits

/** Bits of weights and inputs one tile takes at least, on its own. */
const need = (loops: Loops, { channels, filters, order, rows }: Tiling["tile"]) => {
  const height = Math.min(loops.inH, (Math.min(rows, loops.P) - 1) * loops.strideH + loops.spanH)
  const weights = loops.R * loops.S * Math.min(filters, loops.M) * Math.min(channels, loops.C) * 8
  return { weights, inputs: order === "weights stay" ? 0 : height * Math.min(channels, loops.C) * 8 }
}

describe("tiles", () => {
  it("a tile always fits its level, or the tiling says that none does", () => {
    fc.assert(
      fc.property(layer, capacity, (loops, room) => {
        const { tile } = search(loops, bits, room, cost, none, rules)
        if (tile.order === "nothing fits") return
        const { inputs, weights } = need(loops, tile)
        expect(room.shared ? weights + inputs : Math.max(weights, inputs)).toBeLessThanOrEqual(room.weights)
      }),
      { numRuns: 400, seed: 9 }
    )
  })

  it.each([
    ["streamed", search],
    ["whole", wholeTiles]
  ] as const)(
    "%s: a larger memory or narrower operands never move more, and all move once at least",
    (_, tile) => {
      fc.assert(
        fc.property(layer, capacity, fc.integer({ min: 2, max: 9 }), (loops, room, times) => {
          const base = tile(loops, bits, room, cost, none, rules)
          const larger = {
            weights: room.weights * times,
            inputs: room.inputs * times,
            outputs: room.outputs * times,
            shared: room.shared
          }
          expect(moved(tile(loops, bits, larger, cost, none, rules))).toBeLessThanOrEqual(moved(base))
          const narrow = { weights: 4, inputs: 8, outputs: 8 }
          expect(moved(tile(loops, narrow, room, cost, none, rules))).toBeLessThanOrEqual(moved(base))
          expect(base.weightBits).toBeGreaterThanOrEqual(loops.weightElements * 8)
          expect(base.outputBits).toBeGreaterThanOrEqual(loops.outElements * 8)
          for (const figure of [base.weightBits, base.inputBits, base.outputBits])
            expect(Number.isFinite(figure) && figure > 0).toBe(true)
        }),
        { numRuns: 300, seed: 10 }
      )
    }
  )
})

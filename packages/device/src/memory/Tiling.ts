/**
 * How a layer is cut to fit a memory, and what it then fetches from the level behind: the least cost over four
 * loop orders and all tile counts from a fixed ladder, in closed form.
 *   all weights, or a slab of filters, stay while inputs stream:   W + I·nM + O
 *   a strip of input rows stays while weights stream:              W·nP + I(halo) + O
 *   a tile of outputs stays while channels stream:                 W·nP + I(halo)·nM + O
 *   a slab of filters and channels stays, partial sums spill:      W + I·nM + O·(2·nC − 1) at accumulator width
 * Tiles are counted, not sized, and the ladder does not depend on the capacity: a larger memory only adds
 * choices and a larger layer only removes some, so the cost can never move the wrong way.
 */
import type { Loops } from "../work/Loops.ts"

export interface Capacity {
  readonly weights: number
  readonly inputs: number
  readonly outputs: number
  /** One memory for all three: the three figures are equal and their sum counts. */
  readonly shared: boolean
}

export interface OperandBits {
  readonly weights: number
  readonly inputs: number
  readonly outputs: number
}

/** Cost of moving one bit of each operand; 0 for what is already there. */
export type OperandCost = OperandBits

export interface Tile {
  /** Filters, input channels and output rows (of all samples) of one tile. */
  readonly filters: number
  readonly channels: number
  readonly rows: number
  readonly order: "weights stay" | "inputs stay" | "outputs stay" | "partial sums spill" | "nothing fits"
}

export interface Tiling {
  readonly weightBits: number
  readonly inputBits: number
  readonly outputBits: number
  readonly tile: Tile
}

const accumulatorBits = 32

const ladder: ReadonlyArray<number> = (() => {
  const counts: Array<number> = []
  for (let n = 1; n < 65536; n = Math.max(n + 1, Math.floor(n * 1.3))) counts.push(n)
  return counts
})()

/** Tile counts to try for a loop of `size`: the ladder up to it, and every element on its own. */
const counts = (size: number): ReadonlyArray<number> => {
  const end = ladder.findIndex((n) => n >= size)
  return [...(end < 0 ? ladder : ladder.slice(0, end)), size]
}

export const search = (
  loops: Loops,
  bits: OperandBits,
  capacity: Capacity,
  cost: OperandCost,
  /** What already sits in the memory, outside `capacity`, and needs no room of its own. */
  resident: { readonly inputs: boolean; readonly outputs: boolean },
  doubleBuffered: boolean
): Tiling => {
  const { batch, groups, M, C, R, S, P, Q, inH, inW } = loops
  const rowsTotal = batch * P
  // Bits of one group.
  const W = (loops.weightElements / groups) * bits.weights
  const I = (loops.inElements / groups) * bits.inputs
  const O = (loops.outElements / groups) * bits.outputs
  const outPerPosition = O / (M * rowsTotal * Q)
  const copies = doubleBuffered ? 2 : 1

  const fits = (w: number, i: number, o: number): boolean => {
    const inputs = resident.inputs ? 0 : i
    const outputs = resident.outputs ? 0 : o
    return capacity.shared
      ? w + inputs + outputs <= capacity.weights
      : w <= capacity.weights && inputs <= capacity.inputs && outputs <= capacity.outputs
  }

  /** Input rows under `rows` consecutive output rows of one sample. */
  const footprint = (rows: number): number => Math.min(inH, (rows - 1) * loops.strideH + loops.spanH)
  const stripBits = (rows: number, channels: number): number =>
    (rows <= P ? footprint(rows) : Math.ceil(rows / P) * inH) * inW * channels * bits.inputs
  /** Inputs of one pass in `strips` strips: rows under two strips are fetched twice. */
  const haloRow = Math.max(0, loops.spanH - loops.strideH) * inW * C * bits.inputs
  const passBits = (strips: number): number => I + Math.max(0, strips - batch) * Math.min(haloRow, I / batch)

  let best: Tiling = {
    weightBits: W * rowsTotal * Q * groups,
    inputBits: Math.max(I, M * R * S * rowsTotal * Q * C * bits.inputs) * groups,
    outputBits: O * groups,
    tile: { filters: 1, channels: 1, rows: 1, order: "nothing fits" }
  }
  const costOf = (w: number, i: number, o: number): number =>
    w * cost.weights + i * cost.inputs + o * cost.outputs
  let bestCost = costOf(best.weightBits, best.inputBits, best.outputBits)
  const offer = (w: number, i: number, o: number, tile: Tile): void => {
    const total = costOf(w * groups, i * groups, o * groups)
    if (total > bestCost || (total === bestCost && best.tile.order !== "nothing fits")) return
    bestCost = total
    best = { weightBits: w * groups, inputBits: i * groups, outputBits: o * groups, tile }
  }

  const filterCounts = counts(M)
  const rowCounts = counts(rowsTotal)
  const window = stripBits(1, C)
  const outRow = Q * outPerPosition

  for (const n of filterCounts) {
    const filters = Math.ceil(M / n)
    const slab = (W / M) * filters * (n === 1 ? 1 : copies)
    if (!fits(slab, window, filters * outRow)) continue
    offer(W, I * n, O, { filters, channels: C, rows: 1, order: "weights stay" })
    break
  }
  for (const n of rowCounts) {
    const rows = Math.ceil(rowsTotal / n)
    const strip = stripBits(rows, C) * (n === 1 ? 1 : copies)
    if (!fits((W / M) * copies, strip, rows * outRow)) continue
    offer(W * n, passBits(n), O, { filters: 1, channels: C, rows, order: "inputs stay" })
    break
  }
  if (bestCost <= costOf(W * groups, I * groups, O * groups)) return best

  let smallest = rowCounts.length - 1
  for (const n of filterCounts) {
    const filters = Math.ceil(M / n)
    const slice = (W / (M * C)) * filters * copies
    // More filters a tile leave room for fewer rows: the first fitting row count only grows as n falls.
    let found = -1
    for (let k = 0; k <= smallest; k++) {
      const rows = Math.ceil(rowsTotal / rowCounts[k]!)
      if (fits(slice, stripBits(rows, 1) * copies, filters * rows * Q * accumulatorBits)) {
        found = k
        break
      }
    }
    if (found < 0) continue
    smallest = found
    const strips = rowCounts[found]!
    offer(W * strips, passBits(strips) * n, O, {
      filters,
      channels: 1,
      rows: Math.ceil(rowsTotal / strips),
      order: "outputs stay"
    })
    if (strips === 1) break
  }
  const outWide = M * rowsTotal * Q * accumulatorBits
  for (const c of counts(C)) {
    const channels = Math.ceil(C / c)
    for (const n of filterCounts) {
      const filters = Math.ceil(M / n)
      if (!fits((W / (M * C)) * filters * channels, stripBits(1, channels), filters * Q * accumulatorBits))
        continue
      offer(W, I * n, c === 1 ? O : O + outWide * (2 * c - 2), {
        filters,
        channels,
        rows: 1,
        order: "partial sums spill"
      })
      break
    }
  }
  return best
}

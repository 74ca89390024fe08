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

/** What already sits in the memory, outside its capacity, and needs no room of its own. */
export interface Resident {
  readonly weights: boolean
  readonly inputs: boolean
  readonly outputs: boolean
}

/** What tiles have to respect besides the capacity. */
export interface TileRules {
  /** Filters and channels the array works on at once. */
  readonly grain: { readonly filters: number; readonly channels: number }
  readonly doubleBuffered: boolean
  readonly accumulatorBits: number
  readonly cuts: Cuts
}

interface Cut {
  readonly tile: number
  readonly n: number
}

/** Cuts already made, by size and grain. */
export type Cuts = Map<string, ReadonlyArray<Cut>>

/** Sizes of a loop cut into n tiles, n from the ladder, rounded up to the grain; with the number of tiles. */
const cutsOf = (size: number, grain: number, known: Cuts): ReadonlyArray<Cut> => {
  const key = `${size}/${grain}`
  const before = known.get(key)
  if (before !== undefined) return before
  const found: Array<Cut> = []
  for (const count of counts(size)) {
    const tile = Math.min(size, Math.ceil(Math.ceil(size / count) / grain) * grain)
    if (tile !== found.at(-1)?.tile) found.push({ tile, n: Math.ceil(size / tile) })
  }
  known.set(key, found)
  return found
}

export const search = (
  loops: Loops,
  bits: OperandBits,
  capacity: Capacity,
  cost: OperandCost,
  resident: Resident,
  { accumulatorBits, cuts, doubleBuffered, grain }: TileRules
): Tiling => {
  const { batch, groups, M, C, R, S, P, Q, inH, inW } = loops
  const rowsTotal = batch * P
  // Bits of one group.
  const W = (loops.weightElements / groups) * bits.weights
  const I = (loops.inElements / groups) * bits.inputs
  const O = (loops.outElements / groups) * bits.outputs
  const perFilter = W / M
  const perSlice = W / (M * C)
  const outRow = O / (M * rowsTotal)
  const copies = doubleBuffered ? 2 : 1

  const fits = (w: number, i: number, o: number): boolean => {
    const weights = resident.weights ? 0 : w
    const inputs = resident.inputs ? 0 : i
    const outputs = resident.outputs ? 0 : o
    return capacity.shared
      ? weights + inputs + outputs <= capacity.weights
      : weights <= capacity.weights && inputs <= capacity.inputs && outputs <= capacity.outputs
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

  const filterCuts = cutsOf(M, grain.filters, cuts)
  const rowCuts = cutsOf(rowsTotal, 1, cuts)
  const window = stripBits(1, C)

  const slab = filterCuts.find(({ n, tile }) =>
    fits(perFilter * tile * (n === 1 ? 1 : copies), window, tile * outRow)
  )
  if (slab !== undefined)
    offer(W, I * slab.n, O, { filters: slab.tile, channels: C, rows: 1, order: "weights stay" })
  const streamed = Math.min(M, grain.filters)
  const strip = rowCuts.find(({ n, tile }) =>
    fits(perFilter * streamed * copies, stripBits(tile, C) * (n === 1 ? 1 : copies), tile * streamed * outRow)
  )
  if (strip !== undefined)
    offer(W * strip.n, passBits(strip.n), O, {
      filters: streamed,
      channels: C,
      rows: strip.tile,
      order: "inputs stay"
    })
  if (bestCost <= costOf(W * groups, I * groups, O * groups)) return best

  const depth = Math.min(C, grain.channels)
  let first = rowCuts.length - 1
  for (const { n, tile } of filterCuts) {
    // Fewer filters a tile leave room for more rows: the first fitting cut only moves forward.
    const fitting = (k: number): boolean => {
      const rows = rowCuts[k]!.tile
      return fits(
        perSlice * depth * tile * copies,
        stripBits(rows, depth) * copies,
        tile * rows * Q * accumulatorBits
      )
    }
    if (!fitting(first)) continue
    while (first > 0 && fitting(first - 1)) first--
    const rows = rowCuts[first]!
    offer(W * rows.n, passBits(rows.n) * n, O, {
      filters: tile,
      channels: depth,
      rows: rows.tile,
      order: "outputs stay"
    })
    if (first === 0) break
  }

  const outWide = M * rowsTotal * Q * accumulatorBits
  for (const { n: c, tile: channels } of cutsOf(C, grain.channels, cuts)) {
    const kept = filterCuts.find(({ tile }) =>
      fits(perSlice * tile * channels, stripBits(1, channels), tile * Q * accumulatorBits)
    )
    if (kept !== undefined)
      offer(W, I * kept.n, c === 1 ? O : O + outWide * (2 * c - 2), {
        filters: kept.tile,
        channels,
        rows: 1,
        order: "partial sums spill"
      })
  }
  return best
}

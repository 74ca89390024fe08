/**
 * Tiling where tiles are loaded and stored whole by instructions, as in Bit Fusion (Sharma et al., ISCA 2018): sides
 * are powers of two, outputs are square, inputs come with their halo again for every tile, and results leave at
 * accumulator width and are read before they are added to. That, not the size of the buffers, is why its simulator
 * moves several times the traffic of a device that streams rows. The least traffic over all tiles and the loop that
 * runs innermost: over positions weights stay, over filters inputs stay, over channels outputs stay.
 */
import type { Loops } from "../work/Loops.ts"
import type { Capacity, OperandBits, OperandCost, Resident, Tile, TileRules, Tiling } from "./Tiling.ts"

/** 1, 2, 4, …, up to the first that covers the loop. */
const sides = (size: number): ReadonlyArray<number> =>
  Array.from({ length: Math.ceil(Math.log2(size)) + 1 }, (_, power) => 2 ** power)

type Stays = "weights" | "inputs" | "outputs"
const stays: ReadonlyArray<Stays> = ["weights", "inputs", "outputs"]

/**
 * How often each operand's tile is loaded when one of them stays, of `p` tiles of positions, `m` of filters and `c`
 * of channels. With a single tile along the innermost loop the next loop decides, so the better of the other two.
 */
const loads = (p: number, m: number, c: number, staying: Stays): Readonly<Record<Stays, number>> => ({
  weights: staying === "weights" || p === 1 ? m * c : p * m * c,
  inputs: staying === "inputs" || m === 1 ? p * c : p * m * c,
  outputs: staying === "outputs" || c === 1 ? p * m : p * m * c
})

/** Traffic of a layer; where not even the least tile fits, of that tile. */
export const wholeTiles = (
  loops: Loops,
  bits: OperandBits,
  capacity: Capacity,
  cost: OperandCost,
  resident: Resident,
  { accumulatorBits, doubleBuffered }: TileRules
): Tiling => {
  // Few input channels are gathered into columns first: a 1×1 layer over all taps.
  const gathered = loops.class === "stem"
  const [channels, taps] = gathered ? [loops.C * loops.R * loops.S, 1] : [loops.C, loops.R * loops.S]
  const span = (side: number, size: number): number =>
    gathered ? side : size === 1 ? 1 : (side - 1) * loops.strideH + loops.spanH
  const copies = doubleBuffered ? 2 : 1
  const fits = (w: number, i: number, o: number): boolean => {
    const [weights, inputs, outputs] = [
      resident.weights ? 0 : w * copies,
      resident.inputs ? 0 : i * copies,
      resident.outputs ? 0 : o * copies
    ]
    return capacity.shared
      ? weights + inputs + outputs <= capacity.weights
      : weights <= capacity.weights && inputs <= capacity.inputs && outputs <= capacity.outputs
  }
  let best: Tiling | undefined
  let bestCost = Infinity
  const offer = (side: number, batch: number, depth: number, filters: number): boolean => {
    const [rows, cols] = [Math.min(side, loops.P), Math.min(side, loops.Q)]
    const tile = {
      weights: depth * filters * taps * bits.weights,
      inputs:
        batch *
        depth *
        span(loops.P === 1 ? 1 : side, loops.P) *
        span(loops.Q === 1 ? 1 : side, loops.Q) *
        bits.inputs,
      outputs: batch * filters * (loops.P === 1 ? 1 : side) * (loops.Q === 1 ? 1 : side) * accumulatorBits
    }
    const least = side * batch * depth * filters === 1
    if (!least && !fits(tile.weights, tile.inputs, tile.outputs)) return false
    const positions = Math.ceil(loops.P / rows) * Math.ceil(loops.Q / cols) * Math.ceil(loops.batch / batch)
    for (const staying of stays) {
      const times = loads(positions, Math.ceil(loops.M / filters), Math.ceil(channels / depth), staying)
      const moved = {
        weightBits: tile.weights * times.weights * loops.groups,
        inputBits: tile.inputs * times.inputs * loops.groups,
        // Read, added to and written.
        outputBits: 2 * tile.outputs * times.outputs * loops.groups
      }
      const total =
        moved.weightBits * cost.weights + moved.inputBits * cost.inputs + moved.outputBits * cost.outputs
      if (total >= bestCost) continue
      bestCost = total
      const order: Tile["order"] = `${staying} stay`
      best = { ...moved, tile: { filters, channels: depth, rows, order } }
    }
    return true
  }
  for (const batch of sides(loops.batch))
    for (const side of sides(Math.max(loops.P, loops.Q)))
      for (const depth of sides(channels)) {
        let any = false
        for (const filters of sides(loops.M)) {
          if (!offer(side, batch, depth, filters)) break
          any = true
        }
        if (!any) break
      }
  if (best === undefined) throw new Error("the least tile was offered")
  return best
}

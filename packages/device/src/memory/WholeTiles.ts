/**
 * Tiling where tiles are loaded and stored whole by instructions, as in Bit Fusion (Sharma et al., ISCA 2018): sides
 * are powers of two, outputs are square, inputs come with their halo again for every tile, and results leave at
 * accumulator width and are read before they are added to. That, not the size of the buffers, is why its simulator
 * moves several times the traffic of a device that streams rows. The least traffic over all tiles and the loop that
 * runs innermost: over positions weights stay, over filters inputs stay, over channels outputs stay.
 */
import type { Loops } from "../work/Loops.ts"
import type { Capacity, OperandBits, OperandCost, Resident, TileRules, Tiling } from "./Tiling.ts"

/** 1, 2, 4, …, up to the first that covers the loop. */
const sides = (size: number): ReadonlyArray<number> =>
  Array.from({ length: Math.ceil(Math.log2(size)) + 1 }, (_, power) => 2 ** power)

type Stays = "weights" | "inputs" | "outputs"
const stays: ReadonlyArray<Stays> = ["weights", "inputs", "outputs"]

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
  // Weights and results move once at least.
  const floor =
    loops.weightElements * bits.weights * cost.weights +
    2 * loops.outElements * accumulatorBits * cost.outputs
  const [batches, depths, filterCounts] = [sides(loops.batch), sides(channels), sides(loops.M)]
  // Large tiles first: what they cost rules most small ones out, whose halos alone cost more.
  for (const side of sides(Math.max(loops.P, loops.Q)).toReversed()) {
    const [rows, cols] = [loops.P === 1 ? 1 : side, loops.Q === 1 ? 1 : side]
    const halo = span(rows, loops.P) * span(cols, loops.Q)
    for (const batch of batches) {
      const p = Math.ceil(loops.P / rows) * Math.ceil(loops.Q / cols) * Math.ceil(loops.batch / batch)
      const inputsOnce = batch * halo * channels * p * bits.inputs * loops.groups * cost.inputs
      if (inputsOnce + floor >= bestCost) continue
      for (const depth of depths) {
        const c = Math.ceil(channels / depth)
        const inputs = batch * depth * halo * bits.inputs
        if (inputs * p * c * loops.groups * cost.inputs + floor >= bestCost) continue
        for (const filters of filterCounts) {
          const weights = depth * filters * taps * bits.weights
          const outputs = batch * filters * rows * cols * accumulatorBits
          const least = rows * cols * batch * depth * filters === 1
          if (!least && !fits(weights, inputs, outputs)) break
          const m = Math.ceil(loops.M / filters)
          for (const staying of stays) {
            // A single tile along the innermost loop stays whatever else does.
            const weightBits = weights * (staying === "weights" || p === 1 ? m * c : p * m * c) * loops.groups
            const inputBits = inputs * (staying === "inputs" || m === 1 ? p * c : p * m * c) * loops.groups
            // Read, added to and written.
            const outputBits =
              2 * outputs * (staying === "outputs" || c === 1 ? p * m : p * m * c) * loops.groups
            const total = weightBits * cost.weights + inputBits * cost.inputs + outputBits * cost.outputs
            if (total >= bestCost) continue
            bestCost = total
            const tile = { filters, channels: depth, rows, order: `${staying} stay` } as const
            best = { weightBits, inputBits, outputBits, tile }
          }
        }
      }
    }
  }
  if (best === undefined) throw new Error("the least tile was offered")
  return best
}

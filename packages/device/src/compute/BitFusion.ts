/**
 * Bit Fusion (Sharma et al., ISCA 2018): each unit is a grid of small multipliers that fuse into one wide product
 * or work on several narrow ones, p = floor(max/a)·floor(max/w) at once, taken along the reduction:
 *   cycles = positions · ceil(M / cols) · R·S · ceil(C / (rows·p)),
 * and with im2col (few input channels) ceil(R·S·C / (rows·p)). Widths below the smallest brick gain nothing; wider
 * ones than the unit take several passes.
 */
import type { ComputeOf } from "../profile/ComputeSchema.ts"
import type { Loops } from "../work/Loops.ts"
import { ceilDiv, type Datapath, type Mapped } from "./Mapping.ts"

/** Products one unit makes in a cycle, below 1 when an operand is wider than the unit. */
const fused = (unit: ComputeOf<"bitFusion">, bits: number): number => {
  const [max, min] = [unit.maxBits.value, unit.minBits.value]
  const width = min * 2 ** Math.ceil(Math.log2(Math.max(bits, min) / min))
  return width <= max ? Math.floor(max / width) : 1 / ceilDiv(width, max)
}

export const bitFusion = (array: ComputeOf<"bitFusion">, loops: Loops, path: Datapath): Mapped => {
  const p = fused(array, path.weightBits) * fused(array, path.activationBits)
  const parallel = array.rows.value * Math.max(1, p)
  const passes = p < 1 ? 1 / p : 1
  const positions = loops.batch * loops.P * loops.Q
  const taps = loops.R * loops.S
  const reduction =
    loops.class === "stem" ? ceilDiv(taps * loops.C, parallel) : taps * ceilDiv(loops.C, parallel)
  return {
    cycles: Math.ceil(positions * loops.groups * ceilDiv(loops.M, array.cols.value) * reduction * passes),
    inputReads: Math.max(loops.inElements, loops.macs / Math.min(loops.M, array.cols.value)),
    weightReads: Math.max(loops.weightElements, loops.macs),
    outputWrites: loops.outElements,
    grain: { filters: array.cols.value, channels: Math.ceil(parallel) },
    peakMacsPerCycle: array.rows.value * array.cols.value * p
  }
}

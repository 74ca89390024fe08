/**
 * Where a step stands under the roofline (Williams, Waterman and Patterson, CACM 2009). A device with several
 * memories has one roof for each; the lowest over this step is the one that counts, so the position is given
 * against the memory the step keeps busy longest, and its ridge is where that memory stops being the limit.
 * A multiply-accumulate is two operations. Roofs are the hardware's: what software loses is the gap below them, and
 * kernels that save multiplications (Winograd) may stand above the roof of the arithmetic.
 */
import { levelMs } from "./FlowCost.ts"
import type { Machine } from "./Machine.ts"
import type { Physical } from "./Physical.ts"

export interface RooflinePosition {
  /** The memory whose roof is lowest over this step; null where nothing is moved. */
  readonly level: string | null
  /** Operations a byte through that memory; null where nothing is moved. */
  readonly intensityOpsPerByte: number | null
  /** Intensity above which that memory no longer limits. */
  readonly ridgeOpsPerByte: number | null
  readonly peakOpsPerS: number
  /** The lowest roof over this step. */
  readonly attainableOpsPerS: number
  /** In the predicted time, software and mapping losses included. */
  readonly attainedOpsPerS: number
}

/** Position of a flow that takes `latencyMs`; null for one without operations. */
export const rooflinePosition = (
  machine: Machine,
  physical: Physical,
  latencyMs: number,
  vectorOps: number
): RooflinePosition | null => {
  const ops = 2 * physical.macs + vectorOps
  if (ops === 0) return null
  const peakOpsPerMs = physical.peakOpsPerCycle * machine.cyclesPerMs
  let [longestMs, busiest] = [0, -1]
  machine.levels.forEach((_, index) => {
    const ms = levelMs(machine, physical.traffic, index)
    if (ms > longestMs) [longestMs, busiest] = [ms, index]
  })
  const level = machine.levels[busiest]
  const roofs = { peakOpsPerS: peakOpsPerMs * 1000, attainedOpsPerS: (ops / latencyMs) * 1000 }
  return level === undefined
    ? {
        ...roofs,
        level: null,
        intensityOpsPerByte: null,
        ridgeOpsPerByte: null,
        attainableOpsPerS: roofs.peakOpsPerS
      }
    : {
        ...roofs,
        level: level.id,
        intensityOpsPerByte: ops / (longestMs * level.bytesPerMs),
        ridgeOpsPerByte: peakOpsPerMs / level.bytesPerMs,
        attainableOpsPerS: Math.min(peakOpsPerMs, ops / longestMs) * 1000
      }
}

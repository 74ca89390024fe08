/**
 * Row-stationary arrays (Eyeriss: Chen et al., ISCA 2016 and JSSC 2017). A logical set is R kernel rows high and as
 * wide as the output rows it computes; sets are folded to the array's width and replicated over what is left.
 * A set wider than the array is cut into strips; the number of active elements is therefore set by R and P alone.
 */
import type { ComputeOf } from "../profile/ComputeSchema.ts"
import type { Loops } from "../work/Loops.ts"
import { ceilDiv, type Datapath, type Mapped } from "./Mapping.ts"

export const rowStationary = (array: ComputeOf<"rowStationary">, loops: Loops, path: Datapath): Mapped => {
  const [rows, cols] = [array.rows.value, array.cols.value]
  const setHeight = Math.min(loops.R, rows)
  const kernelStrips = ceilDiv(loops.R, rows)
  const widest = Math.min(loops.P, cols)
  const strips = ceilDiv(loops.P, widest)
  const setWidth = ceilDiv(loops.P, strips)
  // Sets side by side compute other filters or channels.
  const sets = Math.floor(rows / setHeight) * Math.floor(cols / setWidth)
  const work = loops.batch * loops.groups * loops.M * loops.C * kernelStrips * strips
  const passes = ceilDiv(work, sets)
  const cyclesPerPass = loops.S * loops.Q
  return {
    cycles: Math.ceil((passes * cyclesPerPass * (1 + (array.passOverhead?.value ?? 0))) / path.rate),
    inputReads: Math.max(
      loops.inElements,
      loops.macs / (loops.S * setHeight * setWidth * Math.min(sets, loops.M))
    ),
    weightReads: Math.max(loops.weightElements, loops.macs / (setWidth * loops.Q)),
    outputWrites: loops.outElements,
    grain: { filters: 1, channels: 1 },
    peakMacsPerCycle: rows * cols * path.rate
  }
}

/**
 * Processors: vector CPUs and microcontrollers. Their kernels keep a block of outputs in registers, so a channel
 * count that does not fill the block wastes lanes, and each operand is read once per block from the cache.
 * A microcontroller running CMSIS-NN-like kernels (Lai et al., 2018) also widens every patch into a column buffer
 * and requantises every output; both are cycles of the same core, so they add up.
 */
import type { ComputeOf } from "../profile/ComputeSchema.ts"
import type { Loops } from "../work/Loops.ts"
import { ceilDiv, type Datapath, type Mapped } from "./Mapping.ts"

export const simd = (cpu: ComputeOf<"simd">, loops: Loops, path: Datapath): Mapped => {
  const [rows, cols] = [cpu.blockRows.value, cpu.blockCols.value]
  const positions = loops.batch * loops.P * loops.Q
  // A depthwise kernel runs its lanes along the channels, any other along filters and positions.
  const blocks =
    loops.class === "depthwise"
      ? ceilDiv(loops.groups, cols) * cols * loops.M * positions
      : loops.groups * (ceilDiv(positions, rows) * rows) * (ceilDiv(loops.M, cols) * cols)
  const cores = 1 + (cpu.cores.value - 1) * (cpu.furtherCore?.value ?? 1)
  const cycles = (blocks * loops.C * loops.R * loops.S) / (path.rate * cores)
  return {
    cycles: Math.ceil(cycles),
    inputReads: Math.max(loops.inElements, loops.macs / Math.min(cols, loops.M)),
    weightReads: Math.max(loops.weightElements, loops.macs / Math.min(rows, positions)),
    outputWrites: loops.outElements,
    grain: { filters: cols, channels: 1 },
    peakMacsPerCycle: path.rate * cpu.cores.value
  }
}

export const scalar = (core: ComputeOf<"scalar">, loops: Loops, path: Datapath): Mapped => {
  // A fully connected layer and a 1×1 convolution read their input in place.
  const patches =
    loops.R * loops.S > 1
      ? loops.batch * loops.groups * loops.C * loops.R * loops.S * loops.P * loops.Q
      : loops.inElements
  const cycles =
    loops.macs / path.rate +
    patches * core.cyclesPerCopy.value +
    loops.outElements * core.cyclesPerOutput.value
  return {
    cycles: Math.ceil(cycles),
    inputReads: Math.max(loops.inElements, loops.macs / 2),
    weightReads: Math.max(loops.weightElements, loops.macs / 2),
    outputWrites: loops.outElements,
    grain: { filters: 1, channels: 1 },
    peakMacsPerCycle: path.rate
  }
}

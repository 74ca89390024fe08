/**
 * GPUs with matrix units: a layer is cut into tiles of outputs, one thread block each, and the blocks run in waves
 * over the multiprocessors. The last, partly filled wave and the padded edge tiles are where small layers lose.
 * A tuned library picks the tile, so the fastest of the halvings is taken, and splits a long reduction over
 * multiprocessors that would idle (split-K, as in CUTLASS): every part then adds its sums to the others'.
 *
 * A matrix unit wants sixteen positions and sixteen filters that share their operands. Where a layer has one position
 * (decoding) or one filter a group (depthwise), libraries use the ordinary lanes instead, one product each, two at
 * 16 bits (HFMA2) and four at 8 (DP4A).
 */
import type { ComputeOf } from "../profile/ComputeSchema.ts"
import type { Loops } from "../work/Loops.ts"
import { ceilDiv, type Datapath, type Mapped } from "./Mapping.ts"

/** Smallest side of a tile that still feeds the matrix unit. */
const smallestTile = 16

/** Parts a reduction may be split into. */
const splits = [1, 2, 4, 8, 16]

/** Outputs a multiprocessor requantises and stores, or adds to another part's, in a cycle. */
const outputsPerCycle = 64

/** What a multiprocessor gets from the cache behind it in a cycle. */
const bytesPerCycle = 64

/** Outputs a thread block of a kernel on the lanes computes. */
const outputsPerBlock = 64

/** Widest operand that shares a 32-bit lane four to one. */
const packedBits = 8

const onLanes = (gpu: ComputeOf<"tensorCore">, loops: Loops, path: Datapath): Mapped => {
  const processors = gpu.multiprocessors.value
  const outputs = loops.groups * loops.M * loops.batch * loops.P * loops.Q
  const rate = gpu.lanes.value * Math.max(1, Math.floor(32 / Math.max(packedBits, path.nativeBits)))
  const reduction = loops.C * loops.R * loops.S
  const block = outputsPerBlock * (reduction / rate + 1 / outputsPerCycle)
  return {
    cycles: Math.ceil(ceilDiv(ceilDiv(outputs, outputsPerBlock), processors) * block),
    inputReads: Math.max(loops.inElements, loops.macs / outputsPerBlock),
    weightReads: Math.max(loops.weightElements, loops.macs / outputsPerBlock),
    outputWrites: loops.outElements,
    grain: { filters: 1, channels: 1 },
    peakMacsPerCycle: path.rate * processors
  }
}

/** The faster of the two ways. */
export const tensorCore = (gpu: ComputeOf<"tensorCore">, loops: Loops, path: Datapath): Mapped => {
  const [tiled, lanes] = [onMatrixUnits(gpu, loops, path), onLanes(gpu, loops, path)]
  return lanes.cycles < tiled.cycles ? lanes : tiled
}

const onMatrixUnits = (gpu: ComputeOf<"tensorCore">, loops: Loops, path: Datapath): Mapped => {
  const processors = gpu.multiprocessors.value
  const positions = loops.batch * loops.P * loops.Q
  const depth = (gpu.tileDepthBytes.value * 8) / path.nativeBits
  const steps = ceilDiv(loops.C * loops.R * loops.S, depth)
  let best = { cycles: Infinity, rows: 1, cols: 1 }
  for (let rows = gpu.tileRows.value; rows >= smallestTile; rows /= 2)
    for (let cols = gpu.tileCols.value; cols >= smallestTile; cols /= 2) {
      const tiles = loops.groups * ceilDiv(positions, rows) * ceilDiv(loops.M, cols)
      // Operands are loaded once per tile: a small tile waits for them, a large one hides most of it.
      const operandBytes = ((rows + cols) * path.nativeBits) / 8
      const feed = Math.hypot(1, (operandBytes * path.rate) / (bytesPerCycle * rows * cols))
      for (const parts of splits) {
        const multiply = (rows * cols * ceilDiv(steps, parts) * depth * feed) / path.rate
        const store = ((parts === 1 ? 1 : 2) * rows * cols) / outputsPerCycle
        const cycles = ceilDiv(tiles * parts, processors) * (multiply + store)
        if (cycles < best.cycles) best = { cycles, rows, cols }
      }
    }
  return {
    cycles: Math.ceil(best.cycles),
    inputReads: Math.max(loops.inElements, loops.macs / best.cols),
    weightReads: Math.max(loops.weightElements, loops.macs / best.rows),
    outputWrites: loops.outElements,
    grain: { filters: smallestTile, channels: 1 },
    peakMacsPerCycle: path.rate * processors
  }
}

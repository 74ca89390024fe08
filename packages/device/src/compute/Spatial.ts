/**
 * Arrays that unroll named loops in space and run the rest in time (NVDLA, Ethos-U, ZigZag's and Timeloop's
 * templates): cycles = Π ceil(loop / unroll), so every loop that does not divide evenly loses its remainder.
 * A device may offer several unrollings and takes the fastest. Bit-serial arrays are the same, each step taking
 * as many cycles as the serial operand has bits (UNPU, Lee et al., JSSC 2019; Stripes, Judd et al., MICRO 2016).
 */
import type { ComputeOf } from "../profile/ComputeSchema.ts"
import type { Loops } from "../work/Loops.ts"
import { ceilDiv, type Datapath, type Mapped } from "./Mapping.ts"

type Unrolling = ComputeOf<"spatial">["unrollings"][number]

const loopSize = (loops: Loops, name: keyof Unrolling): number => loops[name]

const names = ["batch", "M", "C", "R", "S", "P", "Q", "groups"] as const

/** Steps of the temporal loops, the size of the array, and its share along output channels and positions. */
const unroll = (unrolling: Unrolling, loops: Loops) => {
  let [steps, size] = [1, 1]
  for (const name of names) {
    const factor = unrolling[name]?.value ?? 1
    steps *= ceilDiv(loopSize(loops, name), factor)
    size *= factor
  }
  const used = (name: keyof Unrolling) => Math.min(unrolling[name]?.value ?? 1, loopSize(loops, name))
  const grain = { filters: used("M"), channels: used("C") }
  return { steps, size, grain, channels: used("M"), positions: used("P") * used("Q") * used("batch") }
}

/** Consecutive positions a weight held in the array serves before it is fetched again (NVDLA's stripe). */
const stripe = 16

const fastest = (unrollings: ReadonlyArray<Unrolling>, loops: Loops) =>
  unrollings
    .map((each) => unroll(each, loops))
    .reduce((best, each) => (each.steps < best.steps ? each : best))

const mapped = (
  best: ReturnType<typeof unroll>,
  loops: Loops,
  arrays: number,
  cyclesPerStep: number,
  peakMacsPerCycle: number
): Mapped => ({
  cycles: Math.ceil(ceilDiv(best.steps, arrays) * cyclesPerStep),
  inputReads: Math.max(loops.inElements, loops.macs / best.channels),
  weightReads: Math.max(
    loops.weightElements,
    loops.macs / (best.positions * Math.min(stripe, loops.batch * loops.P * loops.Q))
  ),
  outputWrites: loops.outElements,
  grain: best.grain,
  peakMacsPerCycle
})

export const spatial = (array: ComputeOf<"spatial">, loops: Loops, path: Datapath): Mapped => {
  const arrays = array.arrays?.value ?? 1
  const best = fastest(array.unrollings, loops)
  return mapped(best, loops, arrays, 1 / path.rate, best.size * arrays * path.rate)
}

export const bitSerial = (array: ComputeOf<"bitSerial">, loops: Loops, path: Datapath): Mapped => {
  const best = fastest(array.unrollings, loops)
  const atOnce = array.bitsPerCycle?.value ?? 1
  const serialBits = {
    weights: ceilDiv(path.weightBits, atOnce),
    activations: ceilDiv(path.activationBits, atOnce),
    both: ceilDiv(path.weightBits, atOnce) * ceilDiv(path.activationBits, atOnce)
  }[array.serial]
  return mapped(best, loops, 1, serialBits / path.rate, (best.size * path.rate) / serialBits)
}

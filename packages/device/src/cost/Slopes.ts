/**
 * How a time answers to each factor of its software stack: ∂ms/∂log factor, in one pass over the steps. Fits
 * linearise with it, and intervals carry the factors' covariance through it.
 */
import { leastMs, levelMs } from "./FlowCost.ts"
import { factorNames } from "./Factors.ts"
import type { Machine } from "./Machine.ts"
import type { Physical } from "./Physical.ts"

const at = Object.fromEntries(factorNames.map((name, index) => [name, index])) as {
  readonly [K in (typeof factorNames)[number]]: number
}

export interface SlopedMs {
  readonly ms: number
  /** In the order of `factorNames`. */
  readonly slopes: Float64Array
}

/**
 * Milliseconds of steps that all run on one machine, `parts` times, with or without the overhead per inference.
 * `counts`: how often each step comes, once by default.
 */
export const slopedMs = (
  machine: Machine,
  flows: ReadonlyArray<Physical>,
  whole: boolean,
  parts = 1,
  counts?: ReadonlyArray<number>
): SlopedMs => {
  const slopes = new Float64Array(factorNames.length)
  const { cyclesPerMs, efficiency, levels, overlap, perInferenceMs, perStepMs } = machine
  let ms = 0
  for (const [index, flow] of flows.entries()) {
    const { class: name, cycles, traffic } = flow
    const count = counts?.[index] ?? 1
    const free = cycles / cyclesPerMs / efficiency[name]
    const least = leastMs(machine, flow)
    const busy = Math.max(free, least)
    let [longest, level, sum, backing] = [busy, -1, busy, 0]
    levels.forEach((each, place) => {
      const own = levelMs(machine, traffic, place)
      sum += own
      if (each.backing) backing += own
      if (own > longest) [longest, level] = [own, place]
    })
    ms += count * (overlap * longest + (1 - overlap) * sum + perStepMs)
    if (free >= least) slopes[at[name]]! -= count * busy * (1 - overlap + (level < 0 ? overlap : 0))
    slopes[at.bandwidth]! -=
      count * ((1 - overlap) * backing + (level >= 0 && levels[level]!.backing ? overlap * longest : 0))
    slopes[at.perStepUs]! += count * perStepMs
  }
  if (parts > 1) {
    ms *= parts
    slopes.forEach((slope, f) => (slopes[f] = slope * parts))
  }
  if (whole) {
    ms += perInferenceMs
    slopes[at.perInferenceUs]! += perInferenceMs
    return { ms, slopes }
  }
  const alone = slopes.map((value) => value * machine.alone)
  ms *= machine.alone
  alone[at.alone] = ms
  return { ms, slopes: alone }
}

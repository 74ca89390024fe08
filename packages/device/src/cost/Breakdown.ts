/**
 * Where the time and the energy of a network go. Each step's time is given to the resource that took longest in it
 * (the others are hidden behind it, or add to it where nothing overlaps), its overhead apart; each step's energy is
 * already in parts. Both add up to the network's totals.
 */
import { time } from "./FlowCost.ts"
import type { PreparedNetwork } from "./Prepare.ts"
import type { StepCost } from "./StepCost.ts"

export interface Breakdown {
  /** Milliseconds by what bounds them: "compute", each memory level's id, "overhead". */
  readonly latencyMs: { readonly [resource: string]: number }
  /** Milliseconds by class of step: "dense", "depthwise", "vector", …, "inference" for what is spent once. */
  readonly latencyMsByClass: { readonly [stepClass: string]: number }
  /** Millijoules; null where the profile has no figure for a part. */
  readonly energyMj: {
    readonly mac: number | null
    readonly register: number | null
    readonly sram: number | null
    readonly dram: number | null
    readonly static: number | null
  }
}

const partMj = (layers: ReadonlyArray<StepCost>, part: keyof Breakdown["energyMj"]): number | null =>
  layers.reduce<number | null>((sum, { energyPj }) => {
    const own = energyPj[part]
    return sum === null || own === null ? null : sum + own / 1e9
  }, 0)

export const breakdownOf = (network: PreparedNetwork, layers: ReadonlyArray<StepCost>): Breakdown => {
  const latencyMs: Record<string, number> = { compute: 0, overhead: network.perInferenceMs }
  const latencyMsByClass: Record<string, number> = { inference: network.perInferenceMs }
  for (const { inFlight, machine, parts, physical } of network.flows) {
    const timed = time(machine, physical)
    const times = inFlight * parts
    const [ms, overheadMs] = [timed.latencyMs * times, timed.overheadMs * times]
    const { busiest } = timed
    latencyMs[busiest] = (latencyMs[busiest] ?? 0) + ms - overheadMs
    latencyMs["overhead"]! += overheadMs
    latencyMsByClass[physical.class] = (latencyMsByClass[physical.class] ?? 0) + ms
  }
  const energyMj = {
    mac: partMj(layers, "mac"),
    register: partMj(layers, "register"),
    sram: partMj(layers, "sram"),
    dram: partMj(layers, "dram"),
    static: partMj(layers, "static")
  }
  return { latencyMs, latencyMsByClass, energyMj }
}

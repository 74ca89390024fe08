/**
 * How far a predicted time or energy can be trusted: a 90 % interval from the posterior of the software factors it
 * was made with, and the spread of rows about fitted times. Steps at several arithmetics have factors of their own,
 * taken as wholly correlated, so that their uncertainties add up.
 */
import { factorNames } from "./Factors.ts"
import type { Machine } from "./Machine.ts"
import type { Physical } from "./Physical.ts"
import type { Prepared, PreparedNetwork } from "./Prepare.ts"
import { slopedMs } from "./Slopes.ts"
import { deviationsAt90, reachOf, uncertain, type Reach, type Uncertain } from "./Uncertainty.ts"

/** Nine in ten lie between, in the unit of what it is about. */
export interface Interval {
  readonly low: number
  readonly high: number
}

const width = factorNames.length
const power = factorNames.indexOf("activeMw")

/** Covariance of two factors of a stack's posterior; undefined where it has none. */
const covarianceOf = (machine: Machine): ((f: number, g: number) => number) | undefined => {
  const lower = machine.stack?.posterior?.covariance
  return lower === undefined || lower.length !== (width * (width + 1)) / 2
    ? undefined
    : (f, g) => lower[(f * (f + 1)) / 2 + g]!
}

/** Reach of the logarithms of time and of energy; null where nothing was fitted. */
const reaches = (network: PreparedNetwork): { readonly time: Reach; readonly energy: Reach } | null => {
  const { flows, main } = network
  const residual = main?.stack?.posterior?.residual
  if (main === undefined || residual === undefined) return null
  const byMachine = Map.groupBy(flows, ({ machine }: Prepared) => machine)
  const parts = [...byMachine].map(([machine, own]) => {
    const physicals = own.map(({ physical }): Physical => physical)
    return { machine, sloped: slopedMs(machine, physicals, machine === main, flows[0]?.parts) }
  })
  const total = parts.reduce((sum, { sloped }) => sum + sloped.ms, 0)
  const [times, energies]: [Array<Uncertain>, Array<Uncertain>] = [[], []]
  for (const { machine, sloped } of parts) {
    const covariance = covarianceOf(machine)
    if (covariance === undefined) return null
    const relative = sloped.slopes.map((slope) => slope / total)
    times.push(uncertain(relative, covariance, 0))
    relative[power] = sloped.ms / total
    energies.push(uncertain(relative, covariance, 0))
  }
  const together = (each: ReadonlyArray<Uncertain>): Reach =>
    reachOf({
      factors: each.reduce((sum, { factors }) => sum + Math.sqrt(factors), 0) ** 2,
      overheads: each.flatMap(({ overheads }) => overheads),
      row: residual ** 2
    })
  return { time: together(times), energy: together(energies) }
}

const around = (value: number, { down, up }: Reach): Interval => ({
  low: value * Math.exp(-down),
  high: value * Math.exp(up)
})

/** Intervals of a network's latency and, where energy is power × time, of its energy; null where nothing was fitted. */
export const intervalsOf = (
  network: PreparedNetwork,
  latencyMs: number,
  energyMj: number | null
): { readonly latencyMs: Interval | null; readonly energyMj: Interval | null } => {
  const found = reaches(network)
  if (found === null) return { latencyMs: null, energyMj: null }
  const byPower = network.main?.profile.energy?.kind === "power"
  return {
    latencyMs: around(latencyMs, found.time),
    energyMj: energyMj === null || !byPower ? null : around(energyMj, found.energy)
  }
}

/** Probability that the second of two predictions is really the smaller, their errors being independent. */
export const swaps = (
  a: { readonly value: number; readonly interval: Interval },
  b: { readonly value: number; readonly interval: Interval }
): number => {
  const spread = ({ interval: { high, low } }: typeof a): number =>
    Math.log(high / low) / (2 * deviationsAt90)
  const between = Math.hypot(spread(a), spread(b))
  if (between === 0) return a.value <= b.value ? 0 : 1
  return normal((Math.log(a.value) - Math.log(b.value)) / between)
}

/** Φ(x), by Abramowitz and Stegun 26.2.17: absolute error below 7.5e-8. */
const normal = (x: number): number => {
  const t = 1 / (1 + 0.2316419 * Math.abs(x))
  const tail =
    (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) *
    (t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))))
  return x > 0 ? 1 - tail : tail
}

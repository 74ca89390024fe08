/**
 * Which few networks to measure next on a device: those after which predictions of all the others are least open. In a
 * Gaussian posterior that follows before anything is measured (Chaloner and Verdinelli, Bayesian Experimental Design:
 * A Review, 1995): a measurement of slopes g and spread s takes Σgg'Σ / (g'Σg + s²) from the covariance Σ, whatever
 * it shows. One network after the other is chosen, the best each time.
 */
import { Precision } from "@bitbudget/graph"
import { factorNames } from "../cost/Factors.ts"
import { machineFor } from "../cost/Machine.ts"
import { prepare } from "../cost/Prepare.ts"
import { slopedMs } from "../cost/Slopes.ts"
import { deviationsAt90 } from "../cost/Uncertainty.ts"
import type { Profile } from "../profile/ProfileSchema.ts"
import { workloadAt } from "../work/Batch.ts"
import { rowSpread } from "./Fit.ts"
import { areClasses, covariances } from "./Prior.ts"
import { probeNetworks, type ProbeNetwork } from "./ProbeNetworks.ts"

export interface Probe {
  readonly network: ProbeNetwork
  /** How far a 90 % interval of one of the networks reaches once this and those before it are measured, %. */
  readonly reachPct: number
}

export interface ProbeDesign {
  readonly software: string
  readonly precision: string
  /** Before anything more is measured. */
  readonly reachPct: number
  /** In the order to measure them. */
  readonly probes: ReadonlyArray<Probe>
}

const width = factorNames.length

/** What is known of a stack's factors: its posterior, or what is believed before any measurement. */
const covarianceOf = (profile: Profile, software: string, native: string): Float64Array => {
  const lower = machineFor(profile, software, native, new WeakMap()).stack?.posterior?.covariance
  if (lower?.length === (width * (width + 1)) / 2)
    return Float64Array.from({ length: width ** 2 }, (_, at) => {
      const [a, b] = [Math.floor(at / width), at % width]
      return lower[(Math.max(a, b) * (Math.max(a, b) + 1)) / 2 + Math.min(a, b)]!
    })
  const key = { device: profile.id, software, native }
  const { classes, own } = covariances(new Set())(key, key)
  return Float64Array.from({ length: width ** 2 }, (_, at) => {
    const [a, b] = [Math.floor(at / width), at % width]
    return (areClasses[a] && areClasses[b] ? classes : 0) + (a === b ? own[a]! : 0)
  })
}

/** Σ·g. */
const times = (covariance: Float64Array, slopes: Float64Array): Float64Array =>
  slopes.map((_, f) => slopes.reduce((sum, slope, g) => sum + covariance[f * width + g]! * slope, 0))

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, f) => sum + value * b[f]!, 0)

/** The covariance after a measurement of these slopes. */
export const measured = (covariance: Float64Array, slopes: Float64Array, spread: number): Float64Array => {
  const moved = times(covariance, slopes)
  const whole = dot(moved, slopes) + spread ** 2
  return covariance.map((value, at) => value - (moved[Math.floor(at / width)]! * moved[at % width]!) / whole)
}

/**
 * The `count` networks to measure next with a software (default: the profile's first), at 8 bits where they are native
 * and else at the first native precision.
 */
export const design = (
  profile: Profile,
  count: number,
  software = profile.stacks?.[0]?.software ?? "*"
): ProbeDesign => {
  const { precision: native } =
    profile.native.find(({ precision }) => precision === "w8a8") ?? profile.native[0]
  const precision = Precision.parsePrecision(native)!
  const candidates = probeNetworks().map((network) => {
    const { flows, main } = prepare(profile, workloadAt(network.graph, 1), () => precision, {
      software,
      nominal: true
    })
    const { ms, slopes } = slopedMs(
      main!,
      flows.map(({ physical }) => physical),
      true
    )
    return { network, slopes: slopes.map((slope) => slope / ms) }
  })
  /** Mean variance of the logarithm of a candidate's time. */
  const open = (covariance: Float64Array): number =>
    candidates.reduce((sum, { slopes }) => sum + dot(times(covariance, slopes), slopes), 0) /
    candidates.length
  const reach = (covariance: Float64Array): number =>
    100 * Math.expm1(deviationsAt90 * Math.sqrt(Math.max(0, open(covariance)) + rowSpread.time ** 2))
  let covariance = covarianceOf(profile, software, native)
  const before = reach(covariance)
  const left = new Set(candidates)
  const probes: Array<Probe> = []
  while (probes.length < count && left.size > 0) {
    const [best] = [...left]
      .map((candidate) => ({ candidate, after: measured(covariance, candidate.slopes, rowSpread.time) }))
      .toSorted((a, b) => open(a.after) - open(b.after))
    left.delete(best!.candidate)
    covariance = best!.after
    probes.push({ network: best!.candidate.network, reachPct: reach(covariance) })
  }
  return { software, precision: native, reachPct: before, probes }
}

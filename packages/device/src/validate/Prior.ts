/**
 * What is believed of factors before anything is measured, and how much one stack says of another. A stack's log
 * factor is a sum of effects: of its related devices, device, precision, software family, version, operating point,
 * and what is left; every effect is Gaussian about zero (Gelman and Hill, Data Analysis Using Regression and
 * Multilevel Models, 2007, ch. 12-13). Two stacks covary by the effects they share, so a version with one measured
 * network is calibrated by it and takes the rest from its siblings, and one with none is as uncertain as siblings
 * differ.
 */
import { parseSoftware } from "../profile/Software.ts"
import { stepClasses, type StepClass } from "../profile/ProfileSchema.ts"
import { factorNames, isClass, type FactorName } from "../cost/Factors.ts"

/** A software stack computing at a native precision on a device. */
export interface StackKey {
  readonly device: string
  readonly software: string
  readonly native: string
}

interface Spread {
  /** Of all classes of step alike, and of each on its own. */
  readonly efficiency: number
  readonly class: number
  readonly bandwidth: number
  readonly perStepUs: number
  readonly perInferenceUs: number
  readonly activeMw: number
}

/**
 * Standard deviations of log factors by what stacks share. Chosen once for all devices, as those under which what was
 * left out of fits (networks, stacks, classes of step) was foretold best, a device counting like any other.
 */
const spreads = {
  group: { efficiency: 0.8, class: 0, bandwidth: 0.4, perStepUs: 0.9, perInferenceUs: 1.8, activeMw: 0.5 },
  device: {
    efficiency: 0.25,
    class: 0.15,
    bandwidth: 0.2,
    perStepUs: 0.3,
    perInferenceUs: 0.5,
    activeMw: 0.4
  },
  precision: {
    efficiency: 0.3,
    class: 0.2,
    bandwidth: 0.1,
    perStepUs: 0.4,
    perInferenceUs: 0.5,
    activeMw: 0.1
  },
  family: {
    efficiency: 0.75,
    class: 0.2,
    bandwidth: 0.2,
    perStepUs: 0.4,
    perInferenceUs: 0.4,
    activeMw: 0.1
  },
  version: {
    efficiency: 0.25,
    class: 0.12,
    bandwidth: 0.1,
    perStepUs: 0.25,
    perInferenceUs: 0.3,
    activeMw: 0.1
  },
  point: { efficiency: 0.12, class: 0, bandwidth: 0.15, perStepUs: 0.2, perInferenceUs: 0.6, activeMw: 0.2 },
  stack: { efficiency: 0.12, class: 0.1, bandwidth: 0.1, perStepUs: 0.2, perInferenceUs: 0.2, activeMw: 0.1 }
} as const satisfies Record<string, Spread>

/** How much better or worse one class of step does than the others: kernels differ, arrays fill differently. */
const classSpread: { readonly [K in StepClass]: number } = {
  stem: 0.3,
  dense: 0.2,
  pointwise: 0.2,
  depthwise: 0.35,
  grouped: 0.3,
  gemm: 0.25,
  attention: 0.3,
  pool: 0.4,
  vector: 0.4
}

/** How single layers were timed is a matter of the software and its tools. */
const aloneSpread = 0.3

export type Level = keyof typeof spreads

/** The effects two stacks share. */
export const sharedLevels = (a: StackKey, b: StackKey): ReadonlyArray<Level> => {
  const [x, y] = [parseSoftware(a.software), parseSoftware(b.software)]
  const device = a.device === b.device
  const native = a.native === b.native
  const name = a.software === b.software
  return [
    "group",
    ...(device ? (["device"] as const) : []),
    ...(native ? (["precision"] as const) : []),
    ...(x.family === y.family ? (["family"] as const) : []),
    // A family's own stack stands for a version nobody measured.
    ...(x.base === y.base && x.base !== x.family ? (["version"] as const) : []),
    ...(device && name ? (["point"] as const) : []),
    ...(device && name && native ? (["stack"] as const) : [])
  ]
}

/** Covariance of two stacks: between any two classes of step, and of each factor with itself beyond that. */
export interface Covariance {
  readonly classes: number
  readonly own: Float64Array
}

const classNames: ReadonlyArray<string> = stepClasses

const covarianceOf = (a: StackKey, b: StackKey, timedBothWays: ReadonlySet<string>): Covariance => {
  const levels = sharedLevels(a, b).map((level): Spread => spreads[level])
  const sum = (of: (spread: Spread) => number): number =>
    levels.reduce((total, spread) => total + of(spread) ** 2, 0)
  const own = (name: FactorName): number => {
    if (isClass(name)) return classSpread[name] ** 2 + sum((spread) => spread.class)
    if (name === "alone")
      return timedBothWays.has(a.software) && a.software === b.software ? aloneSpread ** 2 : 0
    return sum((spread) => spread[name])
  }
  return { classes: sum(({ efficiency }) => efficiency), own: Float64Array.from(factorNames, own) }
}

export const keyText = ({ device, native, software }: StackKey): string => `${device}|${software}|${native}`

/**
 * The covariance of any two stacks, remembered. `timedBothWays`: software whose layers were measured on their own
 * and inside networks.
 */
export const covariances = (
  timedBothWays: ReadonlySet<string>
): ((a: StackKey, b: StackKey) => Covariance) => {
  const known = new Map<string, Map<string, Covariance>>()
  return (a, b) => {
    const row = known.get(keyText(a)) ?? new Map<string, Covariance>()
    known.set(keyText(a), row)
    const before = row.get(keyText(b))
    if (before !== undefined) return before
    const made = covarianceOf(a, b, timedBothWays)
    row.set(keyText(b), made)
    return made
  }
}

/** Whether a factor is a class of step, in the order of `factorNames`. */
export const areClasses: ReadonlyArray<boolean> = factorNames.map((name) => classNames.includes(name))

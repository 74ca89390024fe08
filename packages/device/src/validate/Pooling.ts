/**
 * Partial pooling: the factors of all software stacks of a device are fitted together, each as the sum of effects
 * in log space (usual value + device + precision + software + class of step + what is left), and every effect is
 * held near zero by a Gaussian prior. A stack with two rows so takes its values from its siblings, one with twenty
 * moves away as far as twenty rows can tell (Gelman and Hill, Data Analysis Using Regression and Multilevel
 * Models, 2007, ch. 12).
 */
import type { Factors } from "../cost/Machine.ts"
import { stepClasses, type StepClass } from "../profile/Profile.ts"

export type FactorName = StepClass | "bandwidth" | "perStepUs" | "perInferenceUs" | "alone"

export const factorNames: ReadonlyArray<FactorName> = [
  ...stepClasses,
  "bandwidth",
  "perStepUs",
  "perInferenceUs",
  "alone"
]

export const isClass = (name: FactorName): name is StepClass => stepClasses.some((each) => each === name)

/** A software stack computing at a native precision. */
export interface StackKey {
  readonly software: string
  readonly native: string
}

/** What is usual before anything was measured. */
export type Usual = { readonly [K in FactorName]: number }

/** How far an effect may stray, as a standard deviation of the logarithm. */
const spread = {
  device: { efficiency: 0.8, bandwidth: 0.4, perStepUs: 1.5, perInferenceUs: 2.5 },
  /** How much better or worse one class of step does than the others: kernels differ, arrays fill differently. */
  class: {
    stem: 0.5,
    dense: 0.3,
    pointwise: 0.3,
    depthwise: 0.6,
    grouped: 0.5,
    gemm: 0.4,
    attention: 0.5,
    pool: 0.7,
    vector: 0.7
  },
  precision: { efficiency: 0.3, bandwidth: 0.1, perStepUs: 0.7, perInferenceUs: 0.7 },
  software: { efficiency: 0.4, bandwidth: 0.2, perStepUs: 0.7, perInferenceUs: 0.7 },
  /** How single layers were timed is a matter of the software and its tools. */
  alone: 0.3,
  classAtPrecision: 0.2,
  stack: { efficiency: 0.2, bandwidth: 0.1, perStepUs: 0.4, perInferenceUs: 0.4 },
  classInStack: 0.12
} as const

/** One effect: the local values it adds to, and its prior. */
interface Effect {
  readonly spread: number
  /** Index stack × factor. */
  readonly targets: ReadonlyArray<number>
}

export interface Design {
  readonly stacks: ReadonlyArray<StackKey>
  readonly usual: Usual
  readonly effects: ReadonlyArray<Effect>
}

/**
 * The effects that the measured stacks can tell apart. `timedBothWays`: software whose layers were measured on
 * their own and inside networks.
 */
export const design = (
  stacks: ReadonlyArray<StackKey>,
  usual: Usual,
  timedBothWays: ReadonlySet<string>
): Design => {
  const width = factorNames.length
  const effects: Array<Effect> = []
  const add = (spreadOf: number, wanted: (stack: StackKey, factor: FactorName) => boolean): void => {
    const targets = stacks.flatMap((stack, s) =>
      factorNames.flatMap((factor, f) => (wanted(stack, factor) ? [s * width + f] : []))
    )
    effects.push({ spread: spreadOf, targets })
  }
  const softwares = [...new Set(stacks.map((stack) => stack.software))]
  const natives = [...new Set(stacks.map((stack) => stack.native))]
  const others = ["bandwidth", "perStepUs", "perInferenceUs"] as const
  add(spread.device.efficiency, (_, factor) => isClass(factor))
  for (const name of stepClasses) add(spread.class[name], (_, factor) => factor === name)
  for (const name of others) add(spread.device[name], (_, factor) => factor === name)
  for (const software of timedBothWays)
    add(spread.alone, (stack, factor) => stack.software === software && factor === "alone")
  if (natives.length > 1)
    for (const native of natives) {
      add(spread.precision.efficiency, (stack, factor) => stack.native === native && isClass(factor))
      for (const name of stepClasses)
        add(spread.classAtPrecision, (stack, factor) => stack.native === native && factor === name)
      for (const name of others)
        add(spread.precision[name], (stack, factor) => stack.native === native && factor === name)
    }
  if (softwares.length > 1)
    for (const software of softwares) {
      add(spread.software.efficiency, (stack, factor) => stack.software === software && isClass(factor))
      for (const name of others)
        add(spread.software[name], (stack, factor) => stack.software === software && factor === name)
    }
  if (softwares.length > 1 || natives.length > 1)
    for (const own of stacks) {
      add(spread.stack.efficiency, (stack, factor) => stack === own && isClass(factor))
      for (const name of stepClasses)
        add(spread.classInStack, (stack, factor) => stack === own && factor === name)
      for (const name of others) add(spread.stack[name], (stack, factor) => stack === own && factor === name)
    }
  return { stacks, usual, effects }
}

/** Log factors of every stack (stack × factor) from the effects. */
export const locals = ({ effects, stacks, usual }: Design, values: Float64Array): Float64Array => {
  const width = factorNames.length
  const result = new Float64Array(stacks.length * width)
  for (let s = 0; s < stacks.length; s++)
    factorNames.forEach((factor, f) => (result[s * width + f] = Math.log(usual[factor])))
  effects.forEach((effect, e) => {
    for (const target of effect.targets) result[target]! += values[e]!
  })
  return result
}

/** The factors of one stack as the machine takes them. */
export const factorsAt = (local: Float64Array, stack: number): Factors => {
  const value = (name: FactorName): number =>
    Math.exp(local[stack * factorNames.length + factorNames.indexOf(name)]!)
  return {
    efficiency: Object.fromEntries(stepClasses.map((name) => [name, value(name)])),
    bandwidthEfficiency: value("bandwidth"),
    perStepUs: value("perStepUs"),
    perInferenceUs: value("perInferenceUs"),
    alone: value("alone")
  }
}

/**
 * The factors of a software stack that measurements tell: the share of the mapped peak each class of step sustains,
 * the share of the bandwidth, overheads, and the power of devices whose energy is power × time. All are positive, so
 * fits work on their logarithms.
 */
import type { Factors } from "./Machine.ts"
import type { ComputeKind } from "../profile/ComputeSchema.ts"
import { parseSoftware } from "../profile/Software.ts"
import { stepClasses, type Profile, type StepClass } from "../profile/ProfileSchema.ts"

export const factorNames = [
  ...stepClasses,
  "bandwidth",
  "perStepUs",
  "perInferenceUs",
  "alone",
  "activeMw"
] as const
export type FactorName = (typeof factorNames)[number]

export const isClass = (name: FactorName): name is StepClass => stepClasses.some((each) => each === name)

interface UsualOfKind {
  readonly efficiency: number
  /** Where a class of step is known to do worse than the others, its share of that efficiency. */
  readonly shares?: Partial<Record<StepClass, number>>
  readonly perStepUs: number
  readonly perInferenceUs: number
}

/**
 * What is usual for a kind of arithmetic, whatever was fitted before: a fit does not depend on the last one.
 * A step costs a command (arrays), a function call (microcontrollers), waking the threads (CPUs) or a kernel
 * launch (GPUs: a few microseconds).
 */
const usual: { readonly [K in ComputeKind]: UsualOfKind } = {
  systolic: { efficiency: 0.5, perStepUs: 1, perInferenceUs: 50 },
  // Unrolled for convolutions: a product's rows come in fewer dimensions than the array was laid out for.
  spatial: { efficiency: 0.5, shares: { gemm: 0.5 }, perStepUs: 1, perInferenceUs: 50 },
  rowStationary: { efficiency: 0.8, perStepUs: 1, perInferenceUs: 10 },
  // A depthwise kernel loads an operand for every product; a stem's three channels fill no register.
  simd: { efficiency: 0.5, shares: { stem: 0.6, depthwise: 0.15 }, perStepUs: 10, perInferenceUs: 50 },
  // CMSIS-NN's 1×1 kernel shares every load between two rows and two filters; the others copy patches, or share less.
  scalar: {
    efficiency: 0.45,
    shares: { stem: 0.5, dense: 0.7, depthwise: 0.5, gemm: 0.45 },
    perStepUs: 5,
    perInferenceUs: 20
  },
  // Waves, edges and the feed of operands are mapped; tuned kernels come to most of what is left (CUTLASS, performance).
  tensorCore: { efficiency: 0.7, perStepUs: 3, perInferenceUs: 200 },
  bitSerial: { efficiency: 0.5, perStepUs: 1, perInferenceUs: 50 },
  bitFusion: { efficiency: 0.8, perStepUs: 1, perInferenceUs: 10 }
}

/**
 * How many times faster kernels written for a microcontroller are than portable loops, which compute the address of
 * every operand anew: 4.6 for convolutions, 4.8 for pools (Lai et al., CMSIS-NN, 2018, table 5). A matrix product's
 * loop has nothing to save there.
 */
const overReference: Partial<Record<StepClass, number>> = {
  stem: 4.6,
  dense: 4.6,
  pointwise: 4.6,
  depthwise: 4.6,
  grouped: 4.6,
  pool: 4.8
}

/** A token's sampling and scheduling on a host, µs: milliseconds, where the runtime is driven from a scripting language. */
const perTokenUs = 5000

/** Logarithms of what is usual of a software on a device, in the order of `factorNames`. */
export const usualOf = ({ compute, energy }: Profile, software: string): Float64Array => {
  const { efficiency, perInferenceUs, perStepUs, shares = {} } = usual[compute.kind]
  const { decodes, reference } = parseSoftware(software)
  const slower = compute.kind === "scalar" && reference ? overReference : {}
  const value = (name: FactorName): number => {
    if (isClass(name)) return (efficiency * (shares[name] ?? 1)) / (slower[name] ?? 1)
    switch (name) {
      case "bandwidth":
        return 0.8
      case "perStepUs":
        return perStepUs
      case "perInferenceUs":
        return decodes ? perTokenUs : perInferenceUs
      case "alone":
        return 1
      case "activeMw":
        return energy?.kind === "power" ? energy.activeMw.value : 1
    }
  }
  return Float64Array.from(factorNames, (name) => Math.log(value(name)))
}

/** Factors as a machine takes them, from their logarithms. */
export const factorsOf = (logs: Float64Array): Factors => {
  const value = (name: FactorName): number => Math.exp(logs[factorNames.indexOf(name)]!)
  return {
    efficiency: Object.fromEntries(stepClasses.map((name) => [name, value(name)])),
    bandwidthEfficiency: value("bandwidth"),
    perStepUs: value("perStepUs"),
    perInferenceUs: value("perInferenceUs"),
    alone: value("alone"),
    activeMw: value("activeMw")
  }
}

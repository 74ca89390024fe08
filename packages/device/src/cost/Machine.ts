/**
 * A profile under one software stack, as plain numbers a millisecond at a time: what the inner loops of the model
 * work on, and what is already known of shapes on it.
 */
import type { Profile, Stack, StepClass, Level } from "../profile/Profile.ts"
import type { Capacity, Cuts, Tiling } from "../memory/Tiling.ts"
import type { Physical } from "./Physical.ts"

export interface MachineLevel {
  readonly id: string
  readonly kind: Level["kind"]
  readonly holdsWeights: boolean
  readonly holdsInputs: boolean
  readonly holdsOutputs: boolean
  /** Bytes; undefined for a backing level without limit. */
  readonly capacity: Capacity | undefined
  readonly backing: boolean
  readonly keepsWeights: boolean
  readonly keepsWholeNetworks: boolean
  readonly keepsActivations: boolean
  readonly doubleBuffered: boolean
  readonly wholeTiles: boolean
  readonly writesThrough: boolean
  readonly duplex: boolean
  readonly bytesPerMs: number
  readonly readPjPerBit: number | null
  readonly writePjPerBit: number | null
}

export interface Machine {
  readonly profile: Profile
  readonly stack: Stack | undefined
  readonly cyclesPerMs: number
  readonly compute: Profile["compute"]
  /** From far to near. */
  readonly levels: ReadonlyArray<MachineLevel>
  readonly efficiency: { readonly [K in StepClass]: number }
  readonly vectorOpsPerCycle: number
  readonly accumulatorBits: number
  readonly overlap: number
  readonly perStepMs: number
  readonly perInferenceMs: number
  /** Only measurements of single layers ask for it. */
  readonly alone: number
  /** What is already known of shapes on this machine, by key. */
  readonly products: Map<string, Physical>
  readonly tilings: Map<string, Tiling>
  readonly cuts: Cuts
  /** Energy of a MAC by native precision and widths, pJ. */
  readonly macPj: Map<string, number | null>
}

/** Factors of a stack that `devices fit` may set, in place of the profile's own. */
export interface Factors {
  readonly efficiency?: Partial<Record<StepClass, number>>
  readonly bandwidthEfficiency?: number
  readonly perStepUs?: number
  readonly perInferenceUs?: number
  readonly alone?: number
  readonly overlap?: number
}

const capacityOf = (bytes: Level["bytes"]): Capacity | undefined => {
  if (bytes === null) return undefined
  if ("value" in bytes)
    return { weights: bytes.value, inputs: bytes.value, outputs: bytes.value, shared: true }
  return {
    weights: bytes.weights.value,
    inputs: bytes.inputs.value,
    outputs: bytes.outputs.value,
    shared: false
  }
}

const commonPrefix = (a: string, b: string): number => {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return length
}

/**
 * The stack that speaks for a software and a native precision: the named one, else the one with the longest common
 * beginning (another version of it), else the default; within it, the one for the precision, else for the same
 * activation width, else for the same kind of number.
 */
export const stackFor = (
  profile: Profile,
  software: string | undefined,
  precision: string
): Stack | undefined => {
  const stacks = profile.stacks ?? []
  const first = stacks[0]
  if (first === undefined) return undefined
  const wanted = software ?? first.software
  const closeness = (stack: Stack): number =>
    stack.software === wanted ? Infinity : commonPrefix(stack.software, wanted)
  const closest = stacks.reduce((best, stack) => (closeness(stack) > closeness(best) ? stack : best)).software
  const candidates = stacks.filter((stack) => stack.software === (closest === "" ? first.software : closest))
  const speaks = (like: (each: string) => boolean): Stack | undefined =>
    candidates.find((stack) => stack.precisions?.some(like))
  const activations = /a\d+$/.exec(precision)?.[0]
  return (
    speaks((each) => each === precision) ??
    candidates.find((stack) => stack.precisions === undefined) ??
    speaks((each) => activations !== undefined && each.endsWith(activations)) ??
    speaks((each) => each[0] === precision[0]) ??
    candidates[0]
  )
}

const efficiencyOf = (stack: Stack | undefined, factors: Factors | undefined): Machine["efficiency"] => {
  const given = (name: StepClass): number | undefined =>
    factors?.efficiency?.[name] ?? stack?.efficiency?.[name]?.value
  const dense = given("dense") ?? 1
  const vector = given("vector") ?? 1
  return {
    stem: given("stem") ?? dense,
    dense,
    pointwise: given("pointwise") ?? dense,
    depthwise: given("depthwise") ?? dense,
    grouped: given("grouped") ?? dense,
    gemm: given("gemm") ?? dense,
    attention: given("attention") ?? dense,
    pool: given("pool") ?? vector,
    vector
  }
}

/** A machine from a profile, a stack and, while fitting, other factors. */
export const build = (profile: Profile, stack: Stack | undefined, factors?: Factors): Machine => {
  const bandwidth = factors?.bandwidthEfficiency ?? stack?.bandwidthEfficiency?.value ?? 1
  const without = new Set(stack?.without)
  const cores = stack?.cores
  return {
    profile,
    stack,
    cyclesPerMs: (stack?.clockMhz ?? profile.clockMhz).value * 1000,
    compute:
      cores !== undefined && profile.compute.kind === "simd"
        ? { ...profile.compute, cores }
        : profile.compute,
    levels: profile.memory
      .filter((level) => !without.has(level.id))
      .map((level) => {
        const holds = (operand: "weights" | "inputs" | "outputs") => level.holds?.includes(operand) ?? true
        const capacity = capacityOf(level.bytes)
        return {
          id: level.id,
          kind: level.kind,
          holdsWeights: holds("weights"),
          holdsInputs: holds("inputs"),
          holdsOutputs: holds("outputs"),
          capacity,
          backing: level.backing === true,
          keepsWeights: level.keepsWeights === true,
          keepsWholeNetworks: level.keepsWholeNetworks === true,
          keepsActivations: level.keepsActivations === true,
          doubleBuffered: level.doubleBuffered === true,
          wholeTiles: level.wholeTiles === true,
          writesThrough: level.writesThrough === true,
          duplex: level.duplex === true,
          bytesPerMs:
            (stack?.gbPerS?.[level.id] ?? level.gbPerS).value *
            1e6 *
            (level.backing === true ? bandwidth : 1),
          readPjPerBit: level.readPjPerBit?.value ?? null,
          writePjPerBit: (level.writePjPerBit ?? level.readPjPerBit)?.value ?? null
        }
      }),
    efficiency: efficiencyOf(stack, factors),
    vectorOpsPerCycle: profile.vector.opsPerCycle.value,
    accumulatorBits: profile.accumulatorBits?.value ?? 32,
    overlap: factors?.overlap ?? stack?.overlap?.value ?? 1,
    perStepMs: (factors?.perStepUs ?? stack?.perStepUs?.value ?? 0) / 1000,
    perInferenceMs: (factors?.perInferenceUs ?? stack?.perInferenceUs?.value ?? 0) / 1000,
    alone: factors?.alone ?? stack?.alone?.value ?? 1,
    products: new Map(),
    tilings: new Map(),
    cuts: new Map(),
    macPj: new Map()
  }
}

/** Machines already built, by profile and stack. */
export type Machines = WeakMap<Profile, Map<Stack | undefined, Machine>>

/** The machine for a software (default: the profile's first stack) computing at a native precision. */
export const machineFor = (
  profile: Profile,
  software: string | undefined,
  precision: string,
  built: Machines
): Machine => {
  const stack = stackFor(profile, software, precision)
  const machines = built.get(profile) ?? new Map<Stack | undefined, Machine>()
  built.set(profile, machines)
  const machine = machines.get(stack) ?? build(profile, stack)
  machines.set(stack, machine)
  return machine
}

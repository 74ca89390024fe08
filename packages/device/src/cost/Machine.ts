/**
 * A profile under one software stack, as plain numbers a millisecond at a time: what the inner loops of the model
 * work on, and what is already known of shapes on it.
 */
import { conditions, fromSettings, nominal, type OperatingPoint } from "../profile/OperatingPoint.ts"
import type { Level, Profile, Stack, StepClass } from "../profile/ProfileSchema.ts"
import { anySoftware, parseSoftware, type Software } from "../profile/Software.ts"
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
  readonly mostLayers: number
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
  /** Of a device whose energy is power × time; 0 for others. */
  readonly activeMw: number
  /** Energy of an event on the chip against that at its nominal supply. */
  readonly eventScale: number
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
  readonly activeMw?: number
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

/**
 * The stack that speaks for a software and a native precision: the named one, else the same software at another
 * operating point or without its version, else what is known of its family, else of any software of this device; a name without any of
 * these is the default's. Within it, the one for the precision, else for the same activation width.
 */
export const stackFor = (
  profile: Profile,
  software: string | undefined,
  precision: string
): Stack | undefined => {
  const stacks = profile.stacks ?? []
  const first = stacks[0]
  if (first === undefined) return undefined
  const wanted = parseSoftware(software ?? first.software)
  const by = (like: (each: Software) => boolean): ReadonlyArray<Stack> | undefined => {
    const found = stacks.filter((stack) => like(parseSoftware(stack.software)))
    // Where several match, the first named speaks for them.
    return found.length === 0 ? undefined : found.filter((stack) => stack.software === found[0]!.software)
  }
  const candidates =
    by(({ name }) => name === wanted.name) ??
    by(({ base }) => base === wanted.base) ??
    by(({ base }) => base === wanted.product) ??
    by(({ base }) => base === wanted.family) ??
    by(({ family }) => family === wanted.family) ??
    by(({ name }) => name === anySoftware) ??
    by(({ name }) => name === first.software)!
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

/** A machine from a profile, a stack, an operating point and, while fitting, other factors. */
export const build = (
  profile: Profile,
  stack: Stack | undefined,
  point: OperatingPoint = nominal,
  factors?: Factors
): Machine => {
  const bandwidth = factors?.bandwidthEfficiency ?? stack?.bandwidthEfficiency?.value ?? 1
  const at = conditions(profile, stack, point)
  // On-chip memories run at the array's clock.
  const onChip = at.clockMhz / profile.clockMhz.value
  const { cores } = at
  const watts = profile.energy?.kind === "power" ? profile.energy.activeMw.value : 0
  const volts = profile.supply === undefined ? 1 : (point.volts ?? profile.supply.volts.value)
  return {
    profile,
    stack,
    cyclesPerMs: at.clockMhz * 1000,
    compute:
      cores !== undefined && profile.compute.kind === "simd"
        ? { ...profile.compute, cores: { ...profile.compute.cores, value: cores } }
        : profile.compute,
    levels: profile.memory
      .filter((level) => !at.without.includes(level.id))
      .map((level) => {
        const holds = (operand: "weights" | "inputs" | "outputs") => level.holds?.includes(operand) ?? true
        const capacity = capacityOf(level.bytes)
        const scales =
          ["sram", "cache"].includes(level.kind) ||
          (level.kind === "flash" && profile.compute.kind === "scalar")
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
          mostLayers: level.mostLayers?.value ?? Infinity,
          keepsActivations: level.keepsActivations === true,
          doubleBuffered: level.doubleBuffered === true,
          wholeTiles: level.wholeTiles === true,
          writesThrough: level.writesThrough === true,
          duplex: level.duplex === true,
          bytesPerMs:
            (at.gbPerS[level.id] ?? level.gbPerS.value * (scales ? onChip : 1)) *
            1e6 *
            (level.backing === true ? bandwidth : 1),
          readPjPerBit: level.readPjPerBit?.value ?? null,
          writePjPerBit: (level.writePjPerBit ?? level.readPjPerBit)?.value ?? null
        }
      }),
    efficiency: efficiencyOf(stack, factors),
    vectorOpsPerCycle: profile.vector.opsPerCycle.value,
    accumulatorBits: profile.accumulatorBits?.value ?? 32,
    overlap: stack?.overlap?.value ?? 1,
    perStepMs: ((factors?.perStepUs ?? stack?.perStepUs?.value ?? 0) / 1000) * at.overheadFactor,
    perInferenceMs:
      ((factors?.perInferenceUs ?? stack?.perInferenceUs?.value ?? 0) / 1000) * at.overheadFactor,
    activeMw: (factors?.activeMw ?? stack?.activeMw?.value ?? watts) * at.powerFactor,
    eventScale: profile.supply === undefined ? 1 : (volts / profile.supply.volts.value) ** 2,
    alone: factors?.alone ?? stack?.alone?.value ?? 1,
    products: new Map(),
    tilings: new Map(),
    cuts: new Map(),
    macPj: new Map()
  }
}

/** Machines already built, by profile, then by stack and operating point. */
export type Machines = WeakMap<Profile, Map<string, Machine>>

/** The machine for a software (default: the profile's first stack) computing at a native precision. */
export const machineFor = (
  profile: Profile,
  software: string | undefined,
  precision: string,
  built: Machines,
  at: OperatingPoint = nominal
): Machine => {
  const machines = built.get(profile) ?? new Map<string, Machine>()
  built.set(profile, machines)
  const key = `${software}|${precision}|${JSON.stringify(at)}`
  const known = machines.get(key)
  if (known !== undefined) return known
  const stack = stackFor(profile, software, precision)
  // Settings in a software's name are a point too; what was asked for goes before them.
  const named = software ?? stack?.software ?? ""
  const { point } = fromSettings(profile, parseSoftware(named).settings)
  const full = { ...point, ...at, named: [...point.named, ...at.named] }
  const same = `${(profile.stacks ?? []).indexOf(stack!)}|${JSON.stringify(full)}`
  const machine = machines.get(same) ?? build(profile, stack, full)
  machines.set(same, machine)
  machines.set(key, machine)
  return machine
}

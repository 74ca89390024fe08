/**
 * A network made ready for a device: fused, every step given its arithmetic, its place for operands and what the
 * machine does for it, before software factors and time. Tables and fits start from here; `Simulate` adds up.
 */
import { Precision, Work } from "@bitbudget/graph"
import { layoutOf, type Layout } from "../memory/Layout.ts"
import { ofOneSample } from "../memory/Liveness.ts"
import { residency } from "../memory/Residency.ts"
import { canHold, UnsupportedPrecision, type NativePair } from "../profile/Holding.ts"
import { ruleFor } from "../profile/KernelRules.ts"
import type { OperatingPoint } from "../profile/OperatingPoint.ts"
import type { Profile } from "../profile/Profile.ts"
import type { Flow } from "../work/Fusion.ts"
import {
  alsoMoving,
  arithmeticMs,
  energyOf,
  product,
  time,
  vector,
  type Bound,
  type EnergyPj
} from "./FlowCost.ts"
import { machineFor, type Machine } from "./Machine.ts"
import { make as makeMemo, partOf, type Memo } from "./Memo.ts"
import { streamedBits, weightStorageBytes } from "./ModelSize.ts"
import { offChipBits } from "./OffChip.ts"
import type { Physical } from "./Physical.ts"

export type PrecisionOf = (step: Work.Step) => Precision.Precision

export interface Options {
  /** Software stack of the profile; its first by default. */
  readonly software?: string
  /** Clock, supply, link…; as the software's name says, else nominal, by default. */
  readonly at?: OperatingPoint
  /** Every format at its nominal native pair only: what fits attribute measurements to. */
  readonly nominal?: boolean
  /** What earlier simulations learnt; a caller's own, for calls that repeat networks or devices. */
  readonly memo?: Memo
  /** Machines to use instead of the profile's stacks (fitting). */
  readonly machineFor?: (nativePrecision: string) => Machine
}

/** A flow and all that is known of it before time: what fitting and tables reuse. */
export interface Prepared {
  readonly flow: Flow
  readonly machine: Machine
  readonly physical: Physical
  readonly precision: Precision.Precision
  /** Whether the format is native arithmetic itself, not computed at a wider one. */
  readonly exact: boolean
  readonly vectorOps: number
  /** Bytes of all activations alive during this flow. */
  readonly liveBytes: number
  /** Latency over the interval between results: above 1 where samples overlap in a pipeline. */
  readonly inFlight: number
  /** Parts the batch runs in, one after the other; every figure here is of one part. */
  readonly parts: number
}

export interface PreparedNetwork {
  readonly flows: ReadonlyArray<Prepared>
  readonly layout: Layout
  /** The machine of the first layer, which the network's overheads are those of; undefined for an empty network. */
  readonly main: Machine | undefined
  readonly perInferenceMs: number
  /** Energy of that overhead, where energy is power × time; else 0. */
  readonly perInferencePj: number
  readonly inFlight: number
}

/** Native pairs that may compute a step, the nominal one first, and how much slower a rule makes them. */
export interface Arithmetic {
  readonly natives: ReadonlyArray<NativePair>
  readonly exact: boolean
  readonly slower: number
}

/** The arithmetic of a step; without weights, only the activation width matters. */
export const arithmeticOf = (
  profile: Profile,
  step: Work.Step,
  precision: Precision.Precision,
  software = profile.stacks?.[0]?.software ?? ""
): Arithmetic => {
  const { activations } = precision
  const layer = Work.isLayer(step)
  const own = canHold(profile, layer ? precision : { weights: activations, activations }, software)
  const holding = own.held || layer ? own : canHold(profile, precision, software)
  if (!holding.held) {
    if (layer)
      throw new UnsupportedPrecision({
        device: profile.id,
        layer: step.id,
        precision: Precision.showPrecision(precision),
        why: holding.why
      })
    // Any native pair can carry a step that multiplies nothing.
    const { precision: name, rate } = profile.native[0]
    const first = { precision: Precision.parsePrecision(name)!, name, rate: rate.value }
    return { natives: [first], exact: false, slower: 1 }
  }
  const { exact, native, wide } = holding
  const rule =
    profile.kernels === undefined || !layer
      ? undefined
      : ruleFor(profile.kernels, software, step, precision)?.does
  switch (rule?.kind) {
    case "native":
      return { natives: [native], exact, slower: 1 }
    case "slow":
      return { natives: [native], exact, slower: rule.factor.value }
    case "emulated":
      return { natives: wide.filter(({ name }) => name === rule.at), exact: false, slower: 1 }
    default:
      return { natives: wide, exact, slower: 1 }
  }
}

/** Where a flow finds its operands, and how wide they are there. */
export interface Surroundings {
  readonly place: (tensor: string) => number
  readonly bitsOf: (tensor: string) => number
  readonly streamedWeights: number
  readonly taken: ReadonlyArray<number>
}

/** What a machine does for a flow, given where its operands are. */
export const physicalOf = (
  machine: Machine,
  flow: Flow,
  native: NativePair,
  precision: Precision.Precision,
  { bitsOf, place, streamedWeights, taken }: Surroundings,
  bound: Bound = "mapped"
): Physical => {
  const { inputs, loops, outputs, piped, step } = flow
  const { activations } = precision
  const placed = (tensor: string | undefined): number => (tensor === undefined ? -1 : place(tensor))
  if (loops === undefined) {
    const moves = (["inputs", "outputs"] as const).flatMap((operand) =>
      flow[operand].map((tensor) => ({ operand, bits: bitsOf(tensor), place: place(tensor) }))
    )
    const kind = step.work.kind === "pool" ? "pool" : "vector"
    return vector(machine, kind, vectorOpsOf(step), activations.bits, native, moves)
  }
  const constant = Work.isLayer(step)
  const [first, second] = piped ? [undefined, ...inputs] : inputs
  const weights = constant ? precision.weights : activations
  const stored = {
    weights: streamedBits(weights) + (constant ? blockScaleBits(machine, weights) : 0),
    // What comes from the product before never was in memory; nor is what goes to the next one.
    inputs: piped ? 0 : Precision.storedBits(activations),
    // A result pooled in the pipeline is smaller than the product's own.
    outputs: bitsOf(outputs[0] ?? "") / Math.max(1, loops.outElements)
  }
  const operands = { weights: weights.bits, activations: activations.bits }
  const placement = {
    weights: constant ? -1 : placed(second),
    inputs: placed(first),
    outputs: placed(outputs[0]),
    streamedWeights,
    taken
  }
  let physical = product(machine, loops, native, operands, stored, placement, bound)
  for (const tensor of inputs.slice((constant ? 1 : 2) - (piped ? 1 : 0)))
    physical = alsoMoving(machine, physical, "inputs", bitsOf(tensor), place(tensor))
  return physical
}

/**
 * What a machine does for a flow with what is kept on chip left there or, where that leaves too little room for tiles,
 * moved out for the length of the flow and back: the faster, or with less traffic where both are as fast.
 */
const placedOf = (
  machine: Machine,
  flow: Flow,
  native: NativePair,
  precision: Precision.Precision,
  surroundings: Surroundings
): Physical => {
  const placed = physicalOf(machine, flow, native, precision, surroundings)
  if (!keeps(surroundings) || placed.traffic.tile === null) return placed
  const before = time(machine, placed)
  if (before.busiest === "compute" && placed.traffic.tile.order !== "nothing fits") return placed
  const spilled = spilledOf(machine, flow, native, precision, surroundings)
  const saved = before.latencyMs - time(machine, spilled).latencyMs
  const less = offChipBits(machine, spilled) < offChipBits(machine, placed)
  return saved > 0 || (saved === 0 && less) ? spilled : placed
}

const keptBytes = ({ taken }: Surroundings): number => taken.reduce((sum, bytes) => sum + bytes, 0)

/** Whether anything stays on chip during a flow. */
export const keeps = (surroundings: Surroundings): boolean => keptBytes(surroundings) > 0

/** The same flow with all memories to itself: what is kept there goes out before it and comes back after it. */
export const spilledOf = (
  machine: Machine,
  flow: Flow,
  native: NativePair,
  precision: Precision.Precision,
  surroundings: Surroundings,
  bound: Bound = "mapped"
): Physical => {
  const emptied = { ...surroundings, place: () => -1, taken: machine.levels.map(() => 0) }
  const alone = physicalOf(machine, flow, native, precision, emptied, bound)
  const bits = 8 * keptBytes(surroundings)
  return alsoMoving(machine, alsoMoving(machine, alone, "outputs", bits), "inputs", bits)
}

/** A stack's own format scales blocks of narrow weights, where the plan does not say how they are scaled. */
const blockScaleBits = ({ stack }: Machine, { bits, kind, storage }: Precision.Format): number =>
  kind === "int" && bits < 8 && storage === undefined ? (stack?.blockScaleBits?.value ?? 0) : 0

const vectorOpsOf = ({ work }: Work.Step): number => ("ops" in work ? work.ops : 0)

/** Numbers of equal parts a batch can run in. */
export const partings = (batch: number): ReadonlyArray<number> =>
  Array.from({ length: batch }, (_, index) => index + 1).filter((count) => batch % count === 0)

/** Milliseconds of the whole batch, as far as its parting changes them. */
const partedMs = ({ flows, perInferenceMs }: PreparedNetwork): number =>
  flows.reduce((sum, each) => sum + flowFigures(each).latencyMs, perInferenceMs)

/**
 * A network ready for a device. A batch whose activations are too much for the chip at once may run in equal parts,
 * down to single samples, so that more samples a batch never mean fewer a second.
 */
export const prepare = (
  profile: Profile,
  workload: Work.Workload,
  precisionOf: PrecisionOf,
  options: Options = {}
): PreparedNetwork => {
  const shared = { ...options, memo: options.memo ?? makeMemo() }
  const counts = options.nominal === true ? [1] : partings(workload.batch)
  let best = prepareParts(profile, workload, precisionOf, shared, 1)
  let least = counts.length === 1 ? 0 : partedMs(best)
  for (const count of counts.slice(1)) {
    const parted = prepareParts(profile, workload, precisionOf, shared, count)
    const ms = partedMs(parted)
    if (ms < least) [best, least] = [parted, ms]
  }
  return best
}

const prepareParts = (
  profile: Profile,
  batched: Work.Workload,
  precisionOf: PrecisionOf,
  options: Options & { readonly memo: Memo },
  parts: number
): PreparedNetwork => {
  const { memo } = options
  const workload = partOf(memo, batched, parts)
  const machineOf = (native: string): Machine =>
    options.machineFor?.(native) ?? machineFor(profile, options.software, native, memo.machines, options.at)
  const layout = layoutOf(
    workload,
    profile.fuses ?? [],
    (step) => Precision.storedBits(precisionOf(step).activations),
    memo.layouts
  )
  const { bitsOf, flows } = layout
  // In a dataflow chip the samples of a batch follow one another; they never stand in memory together.
  const live = profile.framesInFlight === undefined ? layout.live : ofOneSample(layout.live, workload.batch)
  // Most steps share their format, and without rules about shapes all arithmetic that follows from it.
  type Candidates = Omit<Arithmetic, "natives"> & {
    readonly natives: ReadonlyArray<{ readonly native: NativePair; readonly machine: Machine }>
  }
  type Known = Map<Precision.Precision, Candidates>
  const [layers, others]: [Known, Known] = [new Map(), new Map()]
  const software = options.software ?? profile.stacks?.[0]?.software ?? ""
  const candidates = flows.map(({ step }): Candidates => {
    const precision = precisionOf(step)
    const known = Work.isLayer(step) ? layers : others
    const before = profile.kernels === undefined ? known.get(precision) : undefined
    if (before !== undefined) return before
    const { exact, natives, slower } = arithmeticOf(profile, step, precision, software)
    const allowed = options.nominal === true ? natives.slice(0, 1) : natives
    const found = {
      exact,
      slower,
      natives: allowed.map((native) => ({ native, machine: machineOf(native.name) }))
    }
    known.set(precision, found)
    return found
  })
  // A batch of N fills the pipeline once and then leaves it at the pace of its slowest stage.
  const inFlight = 1 + ((profile.framesInFlight?.value ?? 1) - 1) / batched.batch
  const leading = (candidates[flows.findIndex(({ step }) => Work.isLayer(step))] ?? candidates[0])?.natives
  const main = leading?.reduce((least, each) =>
    each.machine.perInferenceMs < least.machine.perInferenceMs ? each : least
  ).machine
  if (main === undefined) return { flows: [], layout, main, perInferenceMs: 0, perInferencePj: 0, inFlight }
  const stays = residency(
    main,
    flows,
    live,
    layout.outside,
    flows.map(({ step }) => weightStorageBytes(step, precisionOf(step)))
  )
  const prepared = flows.map((flow, index): Prepared => {
    const precision = precisionOf(flow.step)
    const { exact, natives, slower } = candidates[index]!
    const surroundings = {
      place: stays.place,
      bitsOf,
      streamedWeights: stays.streamed[index]!,
      taken: stays.taken(index)
    }
    // A library takes the fastest of the kernels that can do it.
    let best: { readonly machine: Machine; readonly physical: Physical; readonly ms: number } | undefined
    for (const { machine, native } of natives) {
      if (best !== undefined && cannotWin(machine, flow, native, precision, best)) continue
      const physical = slowed(placedOf(machine, flow, native, precision, surroundings), slower)
      const ms = natives.length === 1 ? 0 : time(machine, physical).latencyMs
      if (best === undefined || ms < best.ms) best = { machine, physical, ms }
    }
    const { machine, physical } = best!
    const vectorOps = vectorOpsOf(flow.step)
    const liveBytes = layout.live.liveBytes[index]!
    return { flow, machine, physical, precision, exact, vectorOps, liveBytes, inFlight, parts }
  })
  return {
    flows: prepared,
    layout,
    main,
    perInferenceMs: main.perInferenceMs * inFlight,
    perInferencePj: main.activeMw * main.perInferenceMs * 1e6,
    inFlight
  }
}

/** Whether a machine is surely no faster at a product than one already looked at, without tiling for it. */
const cannotWin = (
  machine: Machine,
  { loops, step }: Flow,
  native: NativePair,
  { activations, weights }: Precision.Precision,
  best: { readonly machine: Machine; readonly physical: Physical; readonly ms: number }
): boolean => {
  if (loops === undefined) return false
  const operands = {
    weights: (Work.isLayer(step) ? weights : activations).bits,
    activations: activations.bits
  }
  const busy = arithmeticMs(machine, loops, native, operands)
  if (busy + machine.perStepMs >= best.ms) return true
  return (
    machine.perStepMs >= best.machine.perStepMs &&
    machine.levels.every(
      ({ bytesPerMs }, index) => bytesPerMs <= (best.machine.levels[index]?.bytesPerMs ?? 0)
    ) &&
    busy >= best.physical.cycles / best.machine.cyclesPerMs / best.machine.efficiency[best.physical.class]
  )
}

/** A step whose arithmetic takes a slow path. */
export const slowed = (physical: Physical, factor: number): Physical =>
  factor === 1 ? physical : { ...physical, cycles: physical.cycles * factor }

const repeated = (energy: EnergyPj, times: number): EnergyPj => {
  if (times === 1) return energy
  const of = (pj: number | null): number | null => (pj === null ? null : pj * times)
  const { dram, mac, register, sram, total } = energy
  return {
    mac: of(mac),
    register: of(register),
    sram: of(sram),
    dram: of(dram),
    static: of(energy.static),
    total: of(total)
  }
}

/** Latency and energy of a prepared flow: what tables need of it. */
export const flowFigures = ({ flow, inFlight, machine, parts, physical, precision, vectorOps }: Prepared) => {
  const timed = time(machine, physical)
  const constant = Work.isLayer(flow.step)
  const widths = {
    weights: (constant ? precision.weights : precision.activations).bits,
    activations: precision.activations.bits
  }
  return {
    timed,
    latencyMs: timed.latencyMs * inFlight * parts,
    energyPj: repeated(energyOf(machine, physical, widths, timed.latencyMs, vectorOps), parts)
  }
}

/** Bytes a flow moves at levels that are off chip or flash. */
export const dramBytesOf = ({ machine, parts, physical }: Prepared): number =>
  (parts * offChipBits(machine, physical)) / 8

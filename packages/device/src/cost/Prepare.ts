/**
 * A network made ready for a device: fused, every step given its arithmetic, its place for operands and what the
 * machine does for it, before software factors and time. Tables and fits start from here; `Simulate` adds up.
 */
import { Precision, Work } from "@bitbudget/graph"
import { layoutOf, type Layout } from "../memory/Layout.ts"
import { residency } from "../memory/Residency.ts"
import { canHold, UnsupportedPrecision, type NativePair } from "../profile/Holding.ts"
import type { OperatingPoint } from "../profile/OperatingPoint.ts"
import type { Profile } from "../profile/Profile.ts"
import type { Flow } from "../work/Fusion.ts"
import { alsoReading, energyOf, product, time, vector, type Bound } from "./FlowCost.ts"
import { machineFor, type Machine } from "./Machine.ts"
import { make as makeMemo, type Memo } from "./Memo.ts"
import { streamedBits, weightStorageBytes } from "./ModelSize.ts"
import type { Physical } from "./Physical.ts"

export type PrecisionOf = (step: Work.Step) => Precision.Precision

export interface Options {
  /** Software stack of the profile; its first by default. */
  readonly software?: string
  /** Clock, supply, link…; as the software's name says, else nominal, by default. */
  readonly at?: OperatingPoint
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

type Arithmetic = { readonly native: NativePair; readonly exact: boolean }

/** The arithmetic of a step; without weights, only the activation width matters. */
export const arithmeticOf = (
  profile: Profile,
  step: Work.Step,
  precision: Precision.Precision
): Arithmetic => {
  const { activations } = precision
  const own = Work.isLayer(step) ? precision : { weights: activations, activations }
  const holding = canHold(profile, own)
  if (holding.held) return holding
  if (Work.isLayer(step))
    throw new UnsupportedPrecision({
      device: profile.id,
      layer: step.id,
      precision: Precision.showPrecision(precision),
      why: holding.why
    })
  const asLayer = canHold(profile, precision)
  if (asLayer.held) return asLayer
  // Any native pair can carry a step that multiplies nothing.
  const { precision: name, rate } = profile.native[0]
  return { native: { precision: Precision.parsePrecision(name)!, name, rate: rate.value }, exact: false }
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
  const { inputs, loops, outputs, step } = flow
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
  const [first, second] = inputs
  const weights = constant ? precision.weights : activations
  const stored = {
    weights: streamedBits(weights),
    inputs: Precision.storedBits(activations),
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
  for (const tensor of inputs.slice(constant ? 1 : 2))
    physical = alsoReading(machine, physical, bitsOf(tensor), place(tensor))
  return physical
}

const vectorOpsOf = ({ work }: Work.Step): number => ("ops" in work ? work.ops : 0)

export const prepare = (
  profile: Profile,
  workload: Work.Workload,
  precisionOf: PrecisionOf,
  options: Options = {}
): PreparedNetwork => {
  const memo = options.memo ?? makeMemo()
  const machineOf = (native: string): Machine =>
    options.machineFor?.(native) ?? machineFor(profile, options.software, native, memo.machines, options.at)
  const layout = layoutOf(
    workload,
    profile.fuses ?? [],
    (step) => Precision.storedBits(precisionOf(step).activations),
    memo.layouts
  )
  const { bitsOf, flows, live } = layout
  // Most steps share their format, and all arithmetic that follows from it.
  type Known = Map<Precision.Precision, Arithmetic & { readonly machine: Machine }>
  const [layers, others]: [Known, Known] = [new Map(), new Map()]
  const arithmetic = flows.map(({ step }) => {
    const precision = precisionOf(step)
    const known = Work.isLayer(step) ? layers : others
    const before = known.get(precision)
    if (before !== undefined) return before
    const { exact, native } = arithmeticOf(profile, step, precision)
    const found = { exact, native, machine: machineOf(native.name) }
    known.set(precision, found)
    return found
  })
  // A batch of N fills the pipeline once and then leaves it at the pace of its slowest stage.
  const inFlight = 1 + ((profile.framesInFlight?.value ?? 1) - 1) / workload.batch
  const main = (arithmetic[flows.findIndex(({ step }) => Work.isLayer(step))] ?? arithmetic[0])?.machine
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
    const { exact, machine, native } = arithmetic[index]!
    const physical = physicalOf(machine, flow, native, precision, {
      place: stays.place,
      bitsOf,
      streamedWeights: stays.streamed[index]!,
      taken: stays.taken(index)
    })
    const vectorOps = vectorOpsOf(flow.step)
    const liveBytes = live.liveBytes[index]!
    return { flow, machine, physical, precision, exact, vectorOps, liveBytes, inFlight }
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

/** Latency and energy of a prepared flow: what tables need of it. */
export const flowFigures = ({ flow, inFlight, machine, physical, precision, vectorOps }: Prepared) => {
  const timed = time(machine, physical)
  const constant = Work.isLayer(flow.step)
  const widths = {
    weights: (constant ? precision.weights : precision.activations).bits,
    activations: precision.activations.bits
  }
  return {
    timed,
    latencyMs: timed.latencyMs * inFlight,
    energyPj: energyOf(machine, physical, widths, timed.latencyMs, vectorOps)
  }
}

const offChip = new Set(["dram", "link", "flash"])

/** Bytes a flow moves at levels that are off chip or flash. */
export const dramBytesOf = ({ machine, physical }: Prepared): number => {
  const { readBits, writtenBits } = physical.traffic
  return machine.levels.reduce(
    (bytes, { kind }, index) =>
      offChip.has(kind) ? bytes + (readBits[index]! + writtenBits[index]!) / 8 : bytes,
    0
  )
}

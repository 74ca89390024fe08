/**
 * The cost of a network on a device: fuse, place, map, time and add up. Synchronous and plain, so that a search
 * can call it in its inner loop; the result renders directly as the JSON of `bitbudget simulate`.
 *
 * Formats come per step (`precisionOf`); steps without weights take part with their activation width. A tensor is
 * stored as wide as the widest of its readers wants it.
 */
import { Precision, Work } from "@bitbudget/graph"
import { areaOf, type Area } from "../energy/Area.ts"
import { liveness } from "../memory/Liveness.ts"
import { residency } from "../memory/Residency.ts"
import type { Tile } from "../memory/Tiling.ts"
import { canHold, UnsupportedPrecision, type NativePair } from "../profile/Holding.ts"
import type { Profile } from "../profile/Profile.ts"
import { flowsOf, storedNames, type Flow } from "../work/Fusion.ts"
import { loopsOf } from "../work/Loops.ts"
import { alsoRead, energyOf, product, time, vector, type EnergyPj, type Physical } from "./FlowCost.ts"
import { machineFor, type Machine } from "./Machine.ts"
import { modelBytes, weightStorageBytes } from "./ModelSize.ts"
import { breakdownOf, type Breakdown } from "./Breakdown.ts"
import { rooflinePosition, type RooflinePosition } from "./RooflinePosition.ts"

export type { Breakdown, RooflinePosition }

export type PrecisionOf = (step: Work.Step) => Precision.Precision

export interface Options {
  /** Software stack of the profile; its first by default. */
  readonly software?: string
  /** Machines to use instead of the profile's stacks (fitting). */
  readonly machineFor?: (nativePrecision: string) => Machine
}

export interface StepCost {
  readonly id: string
  readonly op: string
  readonly weightBits: number | null
  readonly activationBits: number
  readonly macs: number
  readonly computeCycles: number
  readonly stallCycles: number
  readonly latencyMs: number
  /** MACs done over MACs the array could have done in that time; null for steps without MACs. */
  readonly utilisation: number | null
  /** "compute", a memory level, "overhead", or "fused into …". */
  readonly boundBy: string
  /** Null for steps without operations of their own. */
  readonly roofline: RooflinePosition | null
  readonly energyPj: EnergyPj
  /** Bytes moved at each level, in and out. */
  readonly trafficBytes: { readonly [level: string]: number }
  readonly tile: Tile | null
}

export interface Totals {
  readonly latencyMs: number
  readonly throughputPerS: number
  readonly energyMj: number | null
  /** Off-chip and flash traffic; null where the profile has no memory. */
  readonly dramBytes: number | null
  readonly modelBytes: number
  readonly peakActivationBytes: number
  readonly macs: number
  readonly bops: number
  readonly computeCycles: number
  readonly utilisation: number | null
  /** Where time and energy go. */
  readonly breakdown: Breakdown
}

export interface NetworkCost {
  readonly device: string
  readonly batch: number
  /** Of the software stack used; cycles count at this clock. */
  readonly clockMhz: number
  readonly totals: Totals
  readonly area: Area
  readonly layers: ReadonlyArray<StepCost>
  readonly notes: ReadonlyArray<string>
}

/** A flow and all that is known of it before time: what fitting and tables reuse. */
export interface Prepared {
  readonly flow: Flow
  readonly machine: Machine
  readonly physical: Physical
  readonly precision: Precision.Precision
  readonly vectorOps: number
  /** Bytes of all activations alive during this flow. */
  readonly liveBytes: number
  /** Latency over the interval between results: above 1 where samples overlap in a pipeline. */
  readonly inFlight: number
}

export interface PreparedNetwork {
  readonly flows: ReadonlyArray<Prepared>
  readonly peakActivationBytes: number
  readonly perInferenceMs: number
  readonly inFlight: number
}

const nativeOf = (profile: Profile, step: Work.Step, precision: Precision.Precision): NativePair => {
  const holding = canHold(profile, precision)
  if (holding.held) return holding.native
  if (!Work.isLayer(step)) {
    // Without weights only the activation width matters, and any native pair can carry it.
    const first = profile.native[0]
    return { precision: Precision.parsePrecision(first.precision)!, rate: first.rate.value }
  }
  throw new UnsupportedPrecision({
    device: profile.id,
    layer: step.id,
    precision: Precision.showPrecision(precision),
    why: holding.why
  })
}

/** Width of every stored tensor: the widest any reader wants; a result no step reads keeps its maker's width. */
const tensorWidths = (flows: ReadonlyArray<Flow>, precisionOf: PrecisionOf): ReadonlyMap<string, number> => {
  const widths = new Map<string, number>()
  for (const flow of flows)
    for (const tensor of flow.inputs)
      widths.set(tensor, Math.max(widths.get(tensor) ?? 0, precisionOf(flow.step).activations.bits))
  for (const flow of flows)
    for (const tensor of flow.outputs)
      if (!widths.has(tensor)) widths.set(tensor, precisionOf(flow.step).activations.bits)
  return widths
}

export const prepare = (
  profile: Profile,
  workload: Work.Workload,
  precisionOf: PrecisionOf,
  options: Options = {}
): PreparedNetwork => {
  const machine = (native: string): Machine =>
    options.machineFor?.(native) ?? machineFor(profile, options.software, native)
  const flows = flowsOf(workload, profile.fuses ?? [])
  const widths = tensorWidths(flows, precisionOf)
  const elements = (tensor: string): number => workload.tensorElements.get(tensor) ?? 0
  const bitsOf = (tensor: string): number => elements(tensor) * (widths.get(tensor) ?? 8)
  const names = storedNames(workload, flows)
  const outside = new Set([
    ...workload.inputs,
    ...workload.outputs.map((tensor) => names.get(tensor) ?? tensor)
  ])
  const live = liveness(workload.inputs, [...outside], flows, (tensor) => Math.ceil(bitsOf(tensor) / 8))

  const natives = flows.map(({ step }) => nativeOf(profile, step, precisionOf(step)))
  const machines = natives.map((native) => machine(Precision.showPrecision(native.precision)))
  const main = machines[flows.findIndex(({ step }) => Work.isLayer(step))] ?? machines[0]
  if (main === undefined) return { flows: [], peakActivationBytes: 0, perInferenceMs: 0, inFlight: 1 }
  // A batch of N fills the pipeline once and then leaves it at the pace of its slowest stage.
  const inFlight = 1 + ((profile.framesInFlight?.value ?? 1) - 1) / workload.batch
  const stays = residency(
    main,
    flows,
    live,
    outside,
    flows.map(({ step }) => weightStorageBytes(step, precisionOf(step)))
  )

  const prepared = flows.map((flow, index): Prepared => {
    const { step } = flow
    const precision = precisionOf(step)
    const on = machines[index]!
    const liveBytes = live.liveBytes[index]!
    const loops = loopsOf(step.work, step.weightElements)
    const placed = (tensor: string | undefined): number => (tensor === undefined ? -1 : stays.place(tensor))
    const outputWidth = widths.get(flow.outputs[0] ?? "") ?? precision.activations.bits
    if (loops === undefined) {
      const ops = "ops" in step.work ? step.work.ops : 0
      const moves = [
        ...flow.inputs.map((tensor) => ({
          operand: "inputs" as const,
          bits: bitsOf(tensor),
          place: placed(tensor)
        })),
        ...flow.outputs.map((tensor) => ({
          operand: "outputs" as const,
          bits: bitsOf(tensor),
          place: placed(tensor)
        }))
      ]
      const physical = vector(on, ops, precision.activations.bits, natives[index]!, moves)
      return { flow, machine: on, physical, precision, vectorOps: ops, liveBytes, inFlight }
    }
    const constant = Work.isLayer(step)
    const [first, second] = flow.inputs
    const bits = {
      weights: constant ? precision.weights.bits : precision.activations.bits,
      inputs: precision.activations.bits,
      // A result pooled in the pipeline is smaller than the product's own.
      outputs: (outputWidth * elements(flow.outputs[0] ?? "")) / Math.max(1, loops.outElements)
    }
    const physical = product(on, loops, natives[index]!, bits, {
      weights: constant ? -1 : placed(second),
      inputs: placed(first),
      outputs: placed(flow.outputs[0]),
      streamedWeights: stays.streamed[index]!,
      taken: stays.taken(index)
    })
    for (const tensor of flow.inputs.slice(constant ? 1 : 2))
      alsoRead(on, physical, bitsOf(tensor), placed(tensor))
    return { flow, machine: on, physical, precision, vectorOps: 0, liveBytes, inFlight }
  })
  return {
    flows: prepared,
    peakActivationBytes: live.peakBytes,
    perInferenceMs: main.perInferenceMs * inFlight,
    inFlight
  }
}

/** Latency of a prepared network, ms: what fitting evaluates. */
export const latencyMs = (network: PreparedNetwork): number =>
  network.flows.reduce(
    (sum, { inFlight, machine, physical }) => sum + time(machine, physical).latencyMs * inFlight,
    network.perInferenceMs
  )

const noEnergy: EnergyPj = { mac: 0, register: 0, sram: 0, dram: 0, static: 0, total: 0 }

export const stepCost = ({ flow, inFlight, machine, physical, precision, vectorOps }: Prepared): StepCost => {
  const { step } = flow
  const timed = time(machine, physical)
  const cycles = timed.latencyMs * machine.cyclesPerMs
  const bits = {
    weights: precision.weights.bits,
    inputs: precision.activations.bits,
    outputs: precision.activations.bits
  }
  return {
    id: step.id,
    op: step.op,
    weightBits: Work.isLayer(step) ? precision.weights.bits : null,
    activationBits: precision.activations.bits,
    macs: physical.macs,
    computeCycles: physical.cycles,
    stallCycles: timed.stallCycles,
    latencyMs: timed.latencyMs * inFlight,
    utilisation: physical.macs === 0 ? null : physical.macs / (cycles * physical.peakMacsPerCycle),
    boundBy: timed.boundBy,
    roofline: rooflinePosition(machine, physical, timed.latencyMs, vectorOps),
    energyPj: energyOf(machine, physical, bits, timed.latencyMs, vectorOps),
    trafficBytes: Object.fromEntries(
      machine.levels.map((level, index) => [
        level.id,
        (physical.traffic.readBits[index]! + physical.traffic.writtenBits[index]!) / 8
      ])
    ),
    tile: physical.traffic.tile
  }
}

const fusedCost = (step: Work.Step, into: Work.Step, precision: Precision.Precision): StepCost => ({
  id: step.id,
  op: step.op,
  weightBits: null,
  activationBits: precision.activations.bits,
  macs: 0,
  computeCycles: 0,
  stallCycles: 0,
  latencyMs: 0,
  utilisation: null,
  boundBy: `fused into ${into.id}`,
  roofline: null,
  energyPj: noEnergy,
  trafficBytes: {},
  tile: null
})

const offChip = new Set(["dram", "link", "flash"])

/** Bytes a step moves at the levels of one machine that are off chip or flash. */
export const dramBytesOf = (machine: Machine, cost: StepCost): number =>
  machine.levels.reduce(
    (bytes, level) => bytes + (offChip.has(level.kind) ? (cost.trafficBytes[level.id] ?? 0) : 0),
    0
  )

const notesOf = (profile: Profile, layers: ReadonlyArray<Prepared>): ReadonlyArray<string> => {
  const wider = layers.filter(
    ({ flow, precision }) =>
      Work.isLayer(flow.step) && !(canHold(profile, precision) as { exact?: boolean }).exact
  )
  const narrow =
    wider.length > 0 &&
    layers.every(({ machine }) => !["bitSerial", "bitFusion"].includes(machine.compute.kind))
      ? [
          `${wider.length} layers are stored narrower than the arithmetic and computed at the next wider native width`
        ]
      : []
  const stack = layers[0]?.machine.stack
  const fitted =
    stack?.fit === undefined
      ? [
          "no software factors are fitted for this device: times are what the hardware allows, not what was measured"
        ]
      : [
          `fitted on ${stack.fit.rows} measurements of ${stack.software}: median error ${stack.fit.medianApePct.toFixed(1)} %`
        ]
  return [
    ...narrow,
    ...(profile.compute.kind === "systolic" && profile.memory.length === 0 ? [] : fitted),
    ...(profile.notes ?? [])
  ]
}

/** The cost of a network. Throws `UnsupportedPrecision` where a layer's format cannot be held: ask `canHold` first. */
export const network = (
  profile: Profile,
  workload: Work.Workload,
  precisionOf: PrecisionOf,
  options: Options = {}
): NetworkCost => {
  const prepared = prepare(profile, workload, precisionOf, options)
  const costs = new Map<string, StepCost>()
  for (const each of prepared.flows) {
    costs.set(each.flow.step.id, stepCost(each))
    for (const step of each.flow.fused) costs.set(step.id, fusedCost(step, each.flow.step, precisionOf(step)))
  }
  const layers = workload.steps.flatMap((step) => costs.get(step.id) ?? [])
  const sum = (value: (cost: StepCost) => number): number =>
    layers.reduce((total, cost) => total + value(cost), 0)
  const main = prepared.flows[0]?.machine
  const latency = sum((cost) => cost.latencyMs) + prepared.perInferenceMs
  const energies = layers.map((cost) => cost.energyPj.total)
  const activeMw =
    profile.energy?.kind === "power" ? (main?.stack?.activeMw ?? profile.energy.activeMw).value : 0
  const overheadPj = (activeMw * prepared.perInferenceMs * 1e6) / prepared.inFlight
  const energyPj = energies.reduce<number | null>(
    (a, b) => (a === null || b === null ? null : a + b),
    overheadPj
  )
  const macs = sum((cost) => cost.macs)
  const peakMacs = prepared.flows.reduce((most, { physical }) => Math.max(most, physical.peakMacsPerCycle), 0)
  return {
    device: profile.id,
    batch: workload.batch,
    clockMhz: main === undefined ? profile.clockMhz.value : main.cyclesPerMs / 1000,
    totals: {
      latencyMs: latency,
      throughputPerS: (workload.batch * prepared.inFlight * 1000) / latency,
      energyMj: profile.energy === undefined || energyPj === null ? null : energyPj / 1e9,
      dramBytes:
        profile.memory.length === 0 || main === undefined ? null : sum((cost) => dramBytesOf(main, cost)),
      modelBytes: modelBytes(workload, precisionOf),
      peakActivationBytes: prepared.peakActivationBytes,
      macs,
      bops: sum((cost) => cost.macs * (cost.weightBits ?? cost.activationBits) * cost.activationBits),
      computeCycles: sum((cost) => cost.computeCycles),
      utilisation:
        macs === 0 || main === undefined
          ? null
          : (macs * prepared.inFlight) / (latency * main.cyclesPerMs * peakMacs),
      breakdown: breakdownOf(prepared, layers)
    },
    area: areaOf(profile),
    layers,
    notes: notesOf(profile, prepared.flows)
  }
}

/** The cost of one step on its own: everything it reads and writes is off chip. */
export const step = (
  profile: Profile,
  single: Work.Step,
  precision: Precision.Precision,
  tensorElements: ReadonlyMap<string, number>,
  options: Options = {}
): StepCost => {
  const alone: Work.Workload = {
    name: single.id,
    batch: single.work.batch,
    steps: [single],
    tensorElements,
    inputs: single.inputs,
    outputs: single.outputs
  }
  const [cost] = network(profile, alone, () => precision, options).layers
  if (cost === undefined) throw new Error(`${single.id} is a reshape: it costs nothing on its own`)
  return cost
}

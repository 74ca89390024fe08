/**
 * The cost of a network on a device: fuse, place, map, time and add up. Synchronous and plain, so that a search
 * can call it in its inner loop; the result renders directly as the JSON of `bitbudget simulate`.
 *
 * Formats come per step (`precisionOf`); steps without weights take part with their activation width. A tensor is
 * stored as wide as the widest of its readers wants it.
 */
import { Precision, Work } from "@bitbudget/graph"
import { areaOf, type Area } from "../energy/Area.ts"
import type { Profile } from "../profile/Profile.ts"
import { explain, overflowsOf, type Overflow } from "./Capacity.ts"
import { breakdownOf, type Breakdown } from "./Breakdown.ts"
import { factorsNote } from "./FactorsNote.ts"
import { intervalsOf, type Interval } from "./Interval.ts"
import { modelBytes } from "./ModelSize.ts"
import { dramBytesOf, prepare, type Options, type PrecisionOf, type PreparedNetwork } from "./Prepare.ts"
import type { RooflinePosition } from "./RooflinePosition.ts"
import { fusedCost, stepCost, type StepCost } from "./StepCost.ts"

export type { Breakdown, Options, PrecisionOf, RooflinePosition, StepCost }

export interface Totals {
  readonly latencyMs: number
  /** 90 % interval; null where no measurement stands behind the software factors. */
  readonly latencyIntervalMs: Interval | null
  readonly throughputPerS: number
  readonly energyMj: number | null
  /** 90 % interval of an energy that is power × time; null for others. */
  readonly energyIntervalMj: Interval | null
  /** Off-chip and flash traffic; null where the profile has no memory. */
  readonly dramBytes: number | null
  readonly modelBytes: number
  /** All activations alive at once at most, in the given order of steps. */
  readonly peakActivationBytes: number
  /** In the order that needs least (where a note says so, the best found). */
  readonly peakActivationBytesBestOrder: number
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
  /** What of the network does not fit the device; empty where all does. */
  readonly overflows: ReadonlyArray<Overflow>
  readonly notes: ReadonlyArray<string>
}

const notesOf = (profile: Profile, { flows: layers, main }: PreparedNetwork): ReadonlyArray<string> => {
  const wider = layers.filter(({ exact, flow }) => Work.isLayer(flow.step) && !exact)
  const narrow =
    wider.length > 0 &&
    layers.every(({ machine }) => !["bitSerial", "bitFusion"].includes(machine.compute.kind))
      ? [
          `${wider.length} layers are stored narrower than the arithmetic and computed at the next wider native width`
        ]
      : []
  return [
    ...narrow,
    ...(profile.compute.kind === "systolic" && profile.memory.length === 0
      ? []
      : [factorsNote(profile, main?.stack)]),
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
  const { main } = prepared
  const latency = sum((cost) => cost.latencyMs) + prepared.perInferenceMs
  const energies = layers.map((cost) => cost.energyPj.total)
  const energyPj = energies.reduce<number | null>(
    (a, b) => (a === null || b === null ? null : a + b),
    prepared.perInferencePj
  )
  const macs = sum((cost) => cost.macs)
  const energyMj = profile.energy === undefined || energyPj === null ? null : energyPj / 1e9
  const bytes = modelBytes(workload, precisionOf)
  const overflows = overflowsOf(profile, prepared, bytes)
  const intervals = intervalsOf(prepared, latency, energyMj)
  const peakMacs = prepared.flows.reduce((most, { physical }) => Math.max(most, physical.peakMacsPerCycle), 0)
  return {
    device: profile.id,
    batch: workload.batch,
    clockMhz: main === undefined ? profile.clockMhz.value : main.cyclesPerMs / 1000,
    totals: {
      latencyMs: latency,
      latencyIntervalMs: intervals.latencyMs,
      throughputPerS: (workload.batch * prepared.inFlight * 1000) / latency,
      energyMj,
      energyIntervalMj: intervals.energyMj,
      dramBytes:
        profile.memory.length === 0 || main === undefined
          ? null
          : prepared.flows.reduce((bytes, flow) => bytes + dramBytesOf(flow), 0),
      modelBytes: bytes,
      peakActivationBytes: prepared.layout.live.peakBytes,
      peakActivationBytesBestOrder: prepared.layout.best().peakBytes,
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
    overflows,
    notes: [
      ...overflows.map((each) => `${workload.name} ${explain(each)}`),
      ...notesOf(profile, prepared),
      ...(prepared.layout.best().optimal
        ? []
        : ["the order of least activation memory was not proved: the network has too many branches"])
    ]
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

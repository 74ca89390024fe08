/**
 * A network made ready for a device: fused, every step given its arithmetic, its place for operands and what the
 * machine does for it, before software factors and time. Tables and fits start from here; `Simulate` adds up.
 */
import { Precision, Work } from "@bitbudget/graph"
import { layoutOf, type Layout } from "../memory/Layout.ts"
import { residency } from "../memory/Residency.ts"
import { canHold, UnsupportedPrecision, type NativePair } from "../profile/Holding.ts"
import type { Profile } from "../profile/Profile.ts"
import type { Flow } from "../work/Fusion.ts"
import { loopsOf } from "../work/Loops.ts"
import { alsoReading, energyOf, product, time, vector, type Physical } from "./FlowCost.ts"
import { machineFor, type Machine } from "./Machine.ts"
import { weightStorageBytes } from "./ModelSize.ts"

export type PrecisionOf = (step: Work.Step) => Precision.Precision

export interface Options {
  /** Software stack of the profile; its first by default. */
  readonly software?: string
  /** Machines to use instead of the profile's stacks (fitting). */
  readonly machineFor?: (nativePrecision: string) => Machine
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
  readonly layout: Layout
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

export const prepare = (
  profile: Profile,
  workload: Work.Workload,
  precisionOf: PrecisionOf,
  options: Options = {}
): PreparedNetwork => {
  const machine = (native: string): Machine =>
    options.machineFor?.(native) ?? machineFor(profile, options.software, native)
  const layout = layoutOf(workload, profile.fuses ?? [], (step) => precisionOf(step).activations.bits)
  const { bitsOf, elementsOf, flows, live } = layout
  // Most steps share their format, and all arithmetic that follows from it.
  type Arithmetic = { readonly native: NativePair; readonly on: Machine }
  const [layers, others] = [
    new Map<Precision.Precision, Arithmetic>(),
    new Map<Precision.Precision, Arithmetic>()
  ]
  const arithmetic = flows.map(({ step }) => {
    const precision = precisionOf(step)
    const known = Work.isLayer(step) ? layers : others
    const before = known.get(precision)
    if (before !== undefined) return before
    const native = nativeOf(profile, step, precision)
    const found = { native, on: machine(Precision.showPrecision(native.precision)) }
    known.set(precision, found)
    return found
  })
  const main = (arithmetic[flows.findIndex(({ step }) => Work.isLayer(step))] ?? arithmetic[0])?.on
  if (main === undefined) return { flows: [], layout, perInferenceMs: 0, inFlight: 1 }
  // A batch of N fills the pipeline once and then leaves it at the pace of its slowest stage.
  const inFlight = 1 + ((profile.framesInFlight?.value ?? 1) - 1) / workload.batch
  const stays = residency(
    main,
    flows,
    live,
    layout.outside,
    flows.map(({ step }) => weightStorageBytes(step, precisionOf(step)))
  )

  const prepared = flows.map((flow, index): Prepared => {
    const { step } = flow
    const precision = precisionOf(step)
    const { native, on } = arithmetic[index]!
    const liveBytes = live.liveBytes[index]!
    const loops = loopsOf(step.work, step.weightElements)
    const placed = (tensor: string | undefined): number => (tensor === undefined ? -1 : stays.place(tensor))
    const outputWidth = layout.widthOf(flow.outputs[0] ?? "") ?? precision.activations.bits
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
      const kind = step.work.kind === "pool" ? "pool" : "vector"
      const physical = vector(on, kind, ops, precision.activations.bits, native, moves)
      return { flow, machine: on, physical, precision, vectorOps: ops, liveBytes, inFlight }
    }
    const constant = Work.isLayer(step)
    const [first, second] = flow.inputs
    const bits = {
      weights: constant ? precision.weights.bits : precision.activations.bits,
      inputs: precision.activations.bits,
      // A result pooled in the pipeline is smaller than the product's own.
      outputs: (outputWidth * elementsOf(flow.outputs[0] ?? "")) / Math.max(1, loops.outElements)
    }
    let physical = product(on, loops, native, bits, {
      weights: constant ? -1 : placed(second),
      inputs: placed(first),
      outputs: placed(flow.outputs[0]),
      streamedWeights: stays.streamed[index]!,
      taken: stays.taken(index)
    })
    for (const tensor of flow.inputs.slice(constant ? 1 : 2))
      physical = alsoReading(on, physical, bitsOf(tensor), placed(tensor))
    return { flow, machine: on, physical, precision, vectorOps: 0, liveBytes, inFlight }
  })
  return {
    flows: prepared,
    layout,
    perInferenceMs: main.perInferenceMs * inFlight,
    inFlight
  }
}

/** Latency and energy of a prepared flow: what tables need of it. */
export const flowFigures = ({ inFlight, machine, physical, precision, vectorOps }: Prepared) => {
  const timed = time(machine, physical)
  const bits = {
    weights: precision.weights.bits,
    inputs: precision.activations.bits,
    outputs: precision.activations.bits
  }
  return {
    timed,
    latencyMs: timed.latencyMs * inFlight,
    energyPj: energyOf(machine, physical, bits, timed.latencyMs, vectorOps)
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

/**
 * A measured time, energy or power as a fit sees it: what the hardware does for every step (cycles, traffic), before
 * any software factor, and what somebody measured. Rates and cycle counts become times of the whole batch.
 */
import { Precision, Work } from "@bitbudget/graph"
import type { Machine } from "../cost/Machine.ts"
import type { Memo } from "../cost/Memo.ts"
import type { Physical } from "../cost/Physical.ts"
import { prepare } from "../cost/Prepare.ts"
import { canHold } from "../profile/Holding.ts"
import type { OperatingPoint } from "../profile/OperatingPoint.ts"
import type { Profile } from "../profile/ProfileSchema.ts"
import {
  batchOf,
  isPerImage,
  layerIndex,
  pointOf,
  precisionsOf,
  workloadOfRow,
  type Measurement,
  type WorkloadOf
} from "./Measurement.ts"

export interface Case {
  readonly profile: Profile
  readonly software: string
  readonly at: OperatingPoint
  /** The native precision the stack computes at. */
  readonly native: string
  /** What is left out together: a network's file, or a layer's shape. */
  readonly unit: string
  readonly onnx: string
  /** As the source calls it: two networks may be taken for one file. */
  readonly network: string
  readonly kind: "time" | "energy" | "power"
  /** Milliseconds, microjoules or milliwatts. */
  readonly measured: number
  /** Steps that differ, and how often each comes: networks repeat their layers. */
  readonly flows: ReadonlyArray<Physical>
  readonly counts: ReadonlyArray<number>
  /** A network, not one of its layers: it pays the overhead per inference. */
  readonly whole: boolean
}

/** Steps that ask the same of a machine, counted. */
const counted = (flows: ReadonlyArray<Physical>): Pick<Case, "flows" | "counts"> => {
  const alike = [
    ...Map.groupBy(flows, ({ class: name, cycles, macs, peakMacsPerCycle, traffic }) =>
      [name, cycles, macs, peakMacsPerCycle, traffic.readBits, traffic.writtenBits].join()
    ).values()
  ]
  return { flows: alike.map(([first]) => first!), counts: alike.map(({ length }) => length) }
}

/** Time between batches a row measured, energy of a batch, or power; undefined for other metrics. */
const measured = (
  row: Measurement,
  machine: Machine,
  macs: number,
  inFlight: number
): Pick<Case, "kind" | "measured"> | undefined => {
  const batch = batchOf(row)
  const samples = isPerImage(row) ? batch : 1
  const timed = (ms: number) => ({ kind: "time" as const, measured: ms })
  switch (row.metric) {
    case "latency_ms":
      return timed((row.value * samples) / inFlight)
    case "cycles":
      return timed((row.value * samples) / machine.cyclesPerMs / inFlight)
    case "throughput_per_s":
      return timed((batch / row.value) * 1000)
    case "gops":
      return timed((2 * macs) / row.value / 1e6)
    case "energy_mJ":
      return { kind: "energy", measured: row.value * samples * 1000 }
    case "power_mW":
      return { kind: "power", measured: row.value }
    default:
      return undefined
  }
}

/** The case of a row, or undefined where it measures something else or cannot be predicted (`Validation` says why). */
export const caseOf = (
  profile: Profile,
  row: Measurement,
  workloadOf: WorkloadOf,
  memo: Memo
): Case | undefined => {
  const precision = Precision.parsePrecision(row.precision)
  if (row.onnx === "" || precision === undefined) return undefined
  const holding = canHold(profile, precision)
  if (!holding.held) return undefined
  const workload = workloadOfRow(row, workloadOf)
  if (typeof workload === "string") return undefined
  const at = pointOf(profile, row).point
  const network = prepare(profile, workload, precisionsOf(row, precision, workload), {
    software: row.software,
    at,
    nominal: true,
    memo
  })
  const index = layerIndex(row)
  const layer = index === undefined ? undefined : workload.steps.filter(Work.isLayer)[index]
  const chosen =
    index === undefined ? network.flows : network.flows.filter(({ flow }) => flow.step.id === layer?.id)
  if (chosen.length === 0 || network.main === undefined || index === -1) return undefined
  const flows = chosen.map((each) => each.physical)
  const macs = flows.reduce((sum, flow) => sum + flow.macs, 0)
  const found = measured(row, network.main, macs, network.inFlight)
  if (found === undefined || !(found.measured > 0 && found.measured < Infinity)) return undefined
  if (found.kind !== "time" && profile.energy?.kind !== "power") return undefined
  return {
    profile,
    software: row.software,
    at,
    native: holding.native.name,
    unit: layer === undefined ? row.onnx : JSON.stringify(layer.work),
    onnx: row.onnx,
    network: row.network,
    ...found,
    ...counted(flows),
    whole: index === undefined
  }
}

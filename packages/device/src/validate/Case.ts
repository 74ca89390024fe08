/**
 * A measured time as a fit sees it: what the hardware does for every step (cycles, traffic), before any software
 * factor, and the milliseconds somebody measured. Rates and cycle counts become times of the whole batch.
 */
import { Precision, Work } from "@bitbudget/graph"
import { time } from "../cost/FlowCost.ts"
import type { Machine } from "../cost/Machine.ts"
import type { Physical } from "../cost/Physical.ts"
import { prepare } from "../cost/Prepare.ts"
import { canHold } from "../profile/Holding.ts"
import type { Profile } from "../profile/Profile.ts"
import {
  batchOf,
  isPerImage,
  layerIndex,
  precisionsOf,
  workloadOfRow,
  type Measurement,
  type WorkloadOf
} from "./Measurement.ts"

export interface Case {
  readonly software: string
  /** The native precision the stack computes at. */
  readonly native: string
  /** What is left out together: a network's file, or a layer's shape. */
  readonly unit: string
  readonly onnx: string
  readonly measuredMs: number
  readonly flows: ReadonlyArray<Physical>
  /** A network, not one of its layers: it pays the overhead per inference. */
  readonly whole: boolean
}

/** Time between batches a row measured; undefined for other metrics. */
const measuredMs = (
  row: Measurement,
  machine: Machine,
  macs: number,
  inFlight: number
): number | undefined => {
  const batch = batchOf(row)
  const samples = isPerImage(row) ? batch : 1
  switch (row.metric) {
    case "latency_ms":
      return (row.value * samples) / inFlight
    case "cycles":
      return (row.value * samples) / machine.cyclesPerMs / inFlight
    case "throughput_per_s":
      return (batch / row.value) * 1000
    case "gops":
      return (2 * macs) / row.value / 1e6
    default:
      return undefined
  }
}

/** The case of a row, or undefined where the row is no time or cannot be predicted (`Validation` says why). */
export const caseOf = (profile: Profile, row: Measurement, workloadOf: WorkloadOf): Case | undefined => {
  const precision = Precision.parsePrecision(row.precision)
  if (row.onnx === "" || precision === undefined) return undefined
  const holding = canHold(profile, precision)
  if (!holding.held) return undefined
  const workload = workloadOfRow(row, workloadOf)
  if (typeof workload === "string") return undefined
  const network = prepare(profile, workload, precisionsOf(row, precision, workload), {
    software: row.software
  })
  const index = layerIndex(row)
  const layer = index === undefined ? undefined : workload.steps.filter(Work.isLayer)[index]
  const chosen =
    index === undefined ? network.flows : network.flows.filter(({ flow }) => flow.step.id === layer?.id)
  const machine = network.flows[0]?.machine
  if (chosen.length === 0 || machine === undefined || index === -1) return undefined
  const flows = chosen.map((each) => each.physical)
  const ms = measuredMs(
    row,
    machine,
    flows.reduce((sum, flow) => sum + flow.macs, 0),
    network.inFlight
  )
  if (ms === undefined || !(ms > 0 && ms < Infinity)) return undefined
  return {
    software: row.software,
    native: Precision.showPrecision(holding.native.precision),
    unit: layer === undefined ? row.onnx : JSON.stringify(layer.work),
    onnx: row.onnx,
    measuredMs: ms,
    flows,
    whole: index === undefined
  }
}

/** Milliseconds a machine takes for a case. */
export const predictMs = (machine: Machine, each: Case): number => {
  const steps = each.flows.reduce((sum, flow) => sum + time(machine, flow).latencyMs, 0)
  return each.whole ? steps + machine.perInferenceMs : steps * machine.alone
}

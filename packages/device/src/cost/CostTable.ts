/**
 * What each layer costs at each choice of format: the table the integer program sums up. Steps without weights ride
 * with the layer whose result they read, because they are as wide as it is.
 *
 * Each column is taken from the network with that choice everywhere, so fixed + Σ of one column is exactly that
 * network. A mixture differs from its own simulation only where layers touch: a tensor between two activation
 * widths is charged at its maker's choice, and weights kept on chip are shared out as if all layers had that width.
 * With one activation width and no partial residency there is no difference; otherwise simulate the chosen plan.
 */
import { Precision, Work } from "@bitbudget/graph"
import { canHold } from "../profile/Holding.ts"
import type { Profile } from "../profile/Profile.ts"
import { stepBytes } from "./ModelSize.ts"
import { dramBytesOf, flowFigures, prepare, type Options } from "./Prepare.ts"

export interface LayerCost {
  readonly latencyMs: number
  readonly energyMj: number | null
  readonly sizeBytes: number
  readonly dramBytes: number | null
  readonly bops: number
  /** All activations alive while the layer (or a step riding with it) runs: a maximum, not a sum. */
  readonly peakActivationBytes: number
}

export interface CostTable {
  readonly choices: ReadonlyArray<string>
  readonly layers: ReadonlyArray<{
    readonly id: string
    /** In the order of `choices`; null where the device cannot hold the format. */
    readonly costs: ReadonlyArray<LayerCost | null>
  }>
  /** Per-inference overhead and steps that read no layer's result. */
  readonly fixed: LayerCost
}

const nothing: LayerCost = {
  latencyMs: 0,
  energyMj: 0,
  sizeBytes: 0,
  dramBytes: 0,
  bops: 0,
  peakActivationBytes: 0
}

const plus = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a + b)

const sum = (a: LayerCost, b: LayerCost): LayerCost => ({
  latencyMs: a.latencyMs + b.latencyMs,
  energyMj: plus(a.energyMj, b.energyMj),
  sizeBytes: a.sizeBytes + b.sizeBytes,
  dramBytes: plus(a.dramBytes, b.dramBytes),
  bops: a.bops + b.bops,
  peakActivationBytes: Math.max(a.peakActivationBytes, b.peakActivationBytes)
})

const known = new WeakMap<Work.Workload, Map<string, ReadonlyMap<string, number>>>()

/** Bytes of every step's constants; those stored once although several layers read them are charged to the first. */
const sizes = (workload: Work.Workload, precision: Precision.Precision): ReadonlyMap<string, number> => {
  const byFormat = known.get(workload) ?? new Map<string, ReadonlyMap<string, number>>()
  known.set(workload, byFormat)
  const format = `${precision.weights.kind}${precision.weights.bits}`
  const before = byFormat.get(format)
  if (before !== undefined) return before
  const seen = new Set<string>()
  const made = new Map(
    workload.steps.map((step) => {
      const shared = step.weightName !== "" && seen.has(step.weightName)
      seen.add(step.weightName)
      return [step.id, shared ? 4 * step.biasElements : stepBytes(step, precision)]
    })
  )
  byFormat.set(format, made)
  return made
}

/** One column: the cost of every layer when the whole network has this format. */
const column = (
  profile: Profile,
  workload: Work.Workload,
  precision: Precision.Precision,
  options: Options
) => {
  const network = prepare(profile, workload, () => precision, options)
  const size = sizes(workload, precision)
  const owner = new Map<string, string>()
  const costs = new Map<string, LayerCost>()
  let fixed: LayerCost = { ...nothing, latencyMs: network.perInferenceMs }
  for (const prepared of network.flows) {
    const { flow, machine, physical } = prepared
    const { energyPj, latencyMs } = flowFigures(prepared)
    const layer = Work.isLayer(flow.step)
      ? flow.step.id
      : flow.inputs.map((tensor) => owner.get(tensor)).findLast((id) => id !== undefined)
    for (const tensor of flow.outputs) if (layer !== undefined) owner.set(tensor, layer)
    const weightBits = (Work.isLayer(flow.step) ? precision.weights : precision.activations).bits
    const own: LayerCost = {
      latencyMs,
      energyMj: energyPj.total === null ? null : energyPj.total / 1e9,
      sizeBytes: flow.fused.reduce(
        (bytes, step) => bytes + (size.get(step.id) ?? 0),
        size.get(flow.step.id) ?? 0
      ),
      dramBytes: machine.levels.length === 0 ? null : dramBytesOf(prepared),
      bops: physical.macs * weightBits * precision.activations.bits,
      peakActivationBytes: prepared.liveBytes
    }
    if (layer === undefined) fixed = sum(fixed, own)
    else costs.set(layer, sum(costs.get(layer) ?? nothing, own))
  }
  return { costs, fixed }
}

export const costTable = (
  profile: Profile,
  workload: Work.Workload,
  choices: ReadonlyArray<Precision.Precision>,
  options: Options = {}
): CostTable => {
  const columns = choices.map((choice) =>
    canHold(profile, choice).held ? column(profile, workload, choice, options) : undefined
  )
  const held = columns.filter((each) => each !== undefined)
  // Steps no layer feeds are as wide as the widest choice makes them.
  const fixed = held.reduce<LayerCost>(
    (most, each) => (each.fixed.latencyMs > most.latencyMs ? each.fixed : most),
    held[0]?.fixed ?? nothing
  )
  return {
    choices: choices.map(Precision.showPrecision),
    layers: workload.steps
      .filter(Work.isLayer)
      .map((step) => ({ id: step.id, costs: columns.map((each) => each?.costs.get(step.id) ?? null) })),
    fixed
  }
}

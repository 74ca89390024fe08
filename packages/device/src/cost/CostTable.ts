/**
 * What each layer costs at each choice of formats: the table the integer program sums up. Steps without weights ride
 * with a layer (`Riders`), because they are as wide as it is.
 *
 * Each column is taken from the network with that choice everywhere, so fixed + Σ of one column is exactly that
 * network, in every quantity. A mixture differs from its own simulation where layers touch: a tensor between two
 * activation widths, what stays on chip beside what. `lower` has columns that never overestimate a mixture, and
 * `moments` the peak memory of every mixture, row by row; between them and the simulation of a whole plan a search
 * can prove what it found.
 */
import { Precision, Work } from "@bitbudget/graph"
import { canHold } from "../profile/Holding.ts"
import type { Profile } from "../profile/Profile.ts"
import { activationsOf, ridersOf } from "../work/Riders.ts"
import { least, nothing, sum, type LayerCost } from "./LayerCost.ts"
import { lowerBounds, type LowerBounds } from "./LowerBounds.ts"
import { make as makeMemo, partOf } from "./Memo.ts"
import { momentsOf, type Moment } from "./MemoryMoments.ts"
import { stepBytes } from "./ModelSize.ts"
import { dramBytesOf, flowFigures, prepare, type Options, type PreparedNetwork } from "./Prepare.ts"

export { least, nothing }
export type { LayerCost, LowerBounds, Moment }

/** Costs of one layer in the order of `choices`; null where the device cannot hold the formats. */
export type Row<T = LayerCost> = ReadonlyArray<T | null>

export interface CostTable {
  readonly choices: ReadonlyArray<string>
  readonly layers: ReadonlyArray<{ readonly id: string; readonly costs: Row }>
  /** What does not depend on the choice: the least overhead per inference. */
  readonly fixed: LayerCost
  /** Columns that never overestimate a mixed plan. Computed when first asked for. */
  readonly lower: () => LowerBounds
  /** Activation memory of a mixed plan, by moment of the schedule. Computed when first asked for. */
  readonly moments: () => ReadonlyArray<Moment>
}

/** Bytes of every step's constants; those stored once although several layers read them are charged to the first. */
const sizesOf = (
  workload: Work.Workload,
  precision: Precision.Precision
): ReadonlyArray<readonly [step: string, bytes: number]> => {
  const seen = new Set<string>()
  return workload.steps.map((step) => {
    const shared = step.weightName !== "" && seen.has(step.weightName)
    seen.add(step.weightName)
    return [step.id, shared ? 4 * step.biasElements : stepBytes(step, precision)]
  })
}

/** Overhead per inference of a network: a matter of its first layer's choice. */
const overhead = ({ perInferenceMs, perInferencePj }: PreparedNetwork): LayerCost => ({
  ...nothing,
  latencyMs: perInferenceMs,
  energyMj: perInferencePj / 1e9
})

const minus = (a: LayerCost, b: LayerCost): LayerCost => ({
  ...nothing,
  latencyMs: a.latencyMs - b.latencyMs,
  energyMj: (a.energyMj ?? 0) - (b.energyMj ?? 0)
})

/** Cost of every layer, by id ("" for a network without layers), when the whole network has this format. */
const column = (
  network: PreparedNetwork,
  sizes: ReadonlyArray<readonly [step: string, bytes: number]>,
  riders: ReadonlyMap<string, string>
): ReadonlyMap<string, LayerCost> => {
  const costs = new Map<string, LayerCost>()
  const charge = (step: string, cost: LayerCost): void => {
    const layer = riders.get(step) ?? ""
    costs.set(layer, sum(costs.get(layer) ?? nothing, cost))
  }
  for (const prepared of network.flows) {
    const { flow, machine, parts, physical, precision } = prepared
    const { energyPj, latencyMs } = flowFigures(prepared)
    const weights = Work.isLayer(flow.step) ? precision.weights : precision.activations
    charge(flow.step.id, {
      latencyMs,
      energyMj: energyPj.total === null ? null : energyPj.total / 1e9,
      sizeBytes: 0,
      dramBytes: machine.levels.length === 0 ? null : dramBytesOf(prepared),
      bops: parts * physical.macs * weights.bits * precision.activations.bits,
      peakActivationBytes: prepared.liveBytes
    })
  }
  for (const [step, sizeBytes] of sizes) charge(step, { ...nothing, sizeBytes })
  return costs
}

/** The layer whose machine the overheads of a network are those of. */
const leading = ({ flows }: PreparedNetwork): string | undefined =>
  flows.find(({ flow }) => Work.isLayer(flow.step))?.flow.step.id

export const costTable = (
  profile: Profile,
  workload: Work.Workload,
  choices: ReadonlyArray<Precision.Precision>,
  options: Options = {}
): CostTable => {
  const shared = { ...options, memo: options.memo ?? makeMemo() }
  const riders = ridersOf(workload)
  const sizes = new Map<string, ReturnType<typeof sizesOf>>()
  const columns = choices.map((choice) => {
    if (!canHold(profile, choice, options.software).held) return null
    const network = prepare(profile, workload, () => choice, shared)
    const { weights } = choice
    const format = JSON.stringify(weights)
    const own = sizes.get(format) ?? sizesOf(workload, choice)
    sizes.set(format, own)
    return { network, costs: column(network, own, riders) }
  })
  const held = columns.filter((each) => each !== null)
  const lowest = held.reduce<LayerCost | undefined>((a, { network }) => {
    const b = overhead(network)
    return a === undefined || b.latencyMs < a.latencyMs ? b : a
  }, undefined)
  const leastEnergy = Math.min(...held.map(({ network }) => network.perInferencePj / 1e9))
  const standing: LayerCost = lowest === undefined ? nothing : { ...lowest, energyMj: leastEnergy }
  const first = held[0] === undefined ? undefined : leading(held[0].network)
  const layers = workload.steps.filter(Work.isLayer).map(({ id }) => ({
    id,
    costs: columns.map((each) => {
      if (each === null) return null
      const own = each.costs.get(id) ?? nothing
      return id === first ? sum(own, minus(overhead(each.network), standing)) : own
    })
  }))
  // Without layers nothing is chosen: all is as the first choice makes it.
  const fixed = layers.length === 0 ? sum(standing, held[0]?.costs.get("") ?? nothing) : standing
  let [lower, moments]: [LowerBounds | undefined, ReadonlyArray<Moment> | undefined] = [undefined, undefined]
  return {
    choices: choices.map(Precision.showPrecision),
    layers,
    fixed,
    lower: () => (lower ??= lowerBounds(profile, workload, choices, layers, fixed, riders, shared)),
    moments: () =>
      (moments ??= momentsOf(
        profile,
        partOf(shared.memo, workload, workload.batch),
        activationsOf(workload),
        shared.memo
      ))
  }
}

/** The cost table of a search: every layer at every width on the device, whole networks, and the budgets' limits. */
import { CostTable, type Profile, Simulate } from "@bitbudget/device"
import { type Graph, Layer, Precision, Workload } from "@bitbudget/graph"
import { BitPlan, FileBytes, LayerFormat } from "@bitbudget/quant"
import { Effect } from "effect"
import type { Budget, Quantity } from "../Budget.ts"
import { UnusableRequest } from "../errors.ts"

/** ms, mJ, bytes and operations; null where the device has no figure. */
export type Quantities<T = number> = { readonly [Q in Quantity]: T }

export interface Limit {
  readonly budget: Budget
  readonly limit: number
}

export interface Costs {
  readonly layers: ReadonlyArray<Layer.Layer>
  readonly choices: ReadonlyArray<Precision.Precision>
  /** By layer and choice; null where the device cannot hold it. */
  readonly table: ReadonlyArray<ReadonlyArray<Quantities | null>>
  /** What a network costs besides its layers. */
  readonly fixed: Quantities
  readonly fileBytes: (formats: LayerFormat.Formats) => number
  /** A whole network; throws where the device cannot hold it. */
  readonly predict: (formats: LayerFormat.Formats) => Simulate.NetworkCost
  readonly tryPredict: (formats: LayerFormat.Formats) => Effect.Effect<Simulate.NetworkCost, UnusableRequest>
}

export const quantitiesOf = (totals: Simulate.Totals): Quantities<number | null> => ({
  latency: totals.latencyMs,
  energy: totals.energyMj,
  size: totals.modelBytes,
  peakMemory: totals.peakActivationBytes,
  bops: totals.bops,
  dram: totals.dramBytes
})

export const costsOn = Effect.fn(function* (
  profile: Profile.Profile,
  graph: Graph.Graph,
  choices: ReadonlyArray<Precision.Precision>
) {
  const layers = Layer.layersOf(graph)
  const workload = Workload.workloadOf(graph, 1)
  const costs = CostTable.costTable(profile, workload, choices)
  const structure = FileBytes.structureOf(graph)
  const unsupported = choices.find((_, c) => costs.layers.every((layer) => layer.costs[c] === null))
  if (unsupported !== undefined) {
    return yield* new UnusableRequest({
      why: `${profile.id} cannot hold ${Precision.showPrecision(unsupported)}; leave that width out of --bits`
    })
  }
  const fileBytes = (formats: LayerFormat.Formats) => FileBytes.predict(structure, layers, formats)
  const predict = (formats: LayerFormat.Formats): Simulate.NetworkCost => {
    const cost = Simulate.network(profile, workload, (step) => formats.get(step.id)?.precision ?? choices[0]!)
    return { ...cost, totals: { ...cost.totals, modelBytes: fileBytes(formats) } }
  }
  const result: Costs = {
    layers,
    choices,
    table: layers.map((layer, l) =>
      choices.map((precision, c): Quantities | null => {
        const cost = costs.layers[l]!.costs[c]
        return cost === null || cost === undefined
          ? null
          : {
              latency: cost.latencyMs,
              energy: cost.energyMj ?? 0,
              size: FileBytes.layerBytes(structure, layer, LayerFormat.layerFormat(precision)),
              peakMemory: cost.peakActivationBytes,
              bops: cost.bops,
              dram: cost.dramBytes ?? 0
            }
      })
    ),
    fixed: {
      latency: costs.fixed.latencyMs,
      energy: costs.fixed.energyMj ?? 0,
      size: structure.otherBytes,
      peakMemory: 0,
      bops: costs.fixed.bops,
      dram: costs.fixed.dramBytes ?? 0
    },
    fileBytes,
    predict,
    tryPredict: (formats) =>
      Effect.try({
        try: () => predict(formats),
        catch: (cause) => new UnusableRequest({ why: cause instanceof Error ? cause.message : String(cause) })
      })
  }
  return result
})

/** The budgets in figures: percentages are of the 8-bit or float network on the same device. */
export const limitsOf = Effect.fn(function* (
  profile: Profile.Profile,
  graph: Graph.Graph,
  costs: Costs,
  budgets: ReadonlyArray<Budget>
) {
  const widest = quantitiesOf(costs.predict(BitPlan.uniform(graph, costs.choices.at(-1)!)).totals)
  const limits: Array<Limit> = []
  for (const budget of budgets) {
    if (widest[budget.quantity] === null) {
      return yield* new UnusableRequest({ why: `${profile.id} has no figure for ${budget.quantity}` })
    }
    if (typeof budget.limit === "number") {
      limits.push({ budget, limit: budget.limit })
      continue
    }
    const { fraction, of } = budget.limit
    const { totals } = yield* costs.tryPredict(BitPlan.fromShorthand(graph, of)!)
    const reference = quantitiesOf(totals)[budget.quantity]
    if (reference === null) {
      return yield* new UnusableRequest({
        why: `${profile.id} has no figure for ${budget.quantity} at ${of}`
      })
    }
    limits.push({ budget, limit: reference * fraction })
  }
  return limits
})

/** Whether a network keeps every budget. */
export const keeps = (limits: ReadonlyArray<Limit>, totals: Simulate.Totals): boolean => {
  const values = quantitiesOf(totals)
  return limits.every(({ budget, limit }) => (values[budget.quantity] ?? 0) <= limit)
}

/**
 * What every layer costs on the device at every choice, and what a whole plan really costs there.
 *
 * A sum over layers cannot see what they share (memories, neighbouring widths), so there are two tables: `lower` never
 * overestimates a plan and gives bounds; `estimate` is exact for uniform plans and steers. The truth of a plan is its
 * simulation, `simulate`, whose size is that of the file to be written.
 */
import { CostTable, type Profile, Simulate } from "@bitbudget/device"
import { Riders } from "@bitbudget/device"
import { Layer, Precision } from "@bitbudget/graph"
import { ActivationFormat, Choice, FileBytes } from "@bitbudget/quant"
import { Effect } from "effect"
import type { Quantity } from "../Budget.ts"
import { UnusableRequest } from "../errors.ts"
import { inOrder, type Opened } from "./open.ts"

/** ms, mJ, bytes, operations, mm², bits; null where the device has no figure. */
export type Quantities = { readonly [Q in Quantity]: number | null }

/** Costs of a layer at each of its choices, by id. */
export type CostRow = ReadonlyMap<string, Quantities>

export interface Costs {
  /** By layer, in order: never more than the layer adds to any plan. */
  readonly lower: ReadonlyArray<CostRow>
  readonly fixedLower: Quantities
  /** By layer, in order: what the layer adds to the uniform plan. */
  readonly estimate: ReadonlyArray<CostRow>
  readonly fixed: Quantities
  /** Activation memory by moment of the schedule. */
  readonly moments: () => ReadonlyArray<CostTable.Moment>
  /** A whole plan; fails where the device cannot hold it. Layers without a choice stay float. */
  readonly simulate: (choices: Choice.Choices) => Effect.Effect<Simulate.NetworkCost, UnusableRequest>
  /** The same but for the size of the file, which takes longer to count than all the rest. */
  readonly simulated: Costs["simulate"]
  readonly fileBytes: (choices: Choice.Choices) => number
  /** Average stored bits a weight, scales and zero points counted. */
  readonly averageBits: (choices: Choice.Choices) => number
}

export const quantitiesOf = (cost: Simulate.NetworkCost, averageBits: number): Quantities => ({
  latency: cost.totals.latencyMs,
  energy: cost.totals.energyMj,
  size: cost.totals.modelBytes,
  peakMemory: cost.totals.peakActivationBytes,
  bops: cost.totals.bops,
  dram: cost.totals.dramBytes,
  area: cost.area.mm2,
  bits: averageBits
})

/**
 * The formats of activations that take the fewest bytes of any plan's, by layer; undefined where that depends on the plan.
 * Integers of 8 bits and fewer quantize the same values, and those narrower than 8 clip their codes besides.
 */
const leastActivations = ({
  layers,
  choices
}: Opened): ReadonlyMap<string, ActivationFormat.ActivationFormat> | undefined => {
  const least = new Map<string, ActivationFormat.ActivationFormat>()
  for (const { id } of layers.filter(Layer.isProduct)) {
    const offered = choices.get(id)!.map(({ activations }) => activations)
    const isOne = new Set(offered.map(ActivationFormat.show)).size === 1
    const widest = offered.toSorted((a, b) => b.bits - a.bits)[0]!
    // Two widths below 8 clip at two bounds, which files may hold once where they are one: only 8 bits are surely least.
    if (!isOne && (widest.bits !== 8 || offered.some(({ kind }) => kind !== "int"))) return undefined
    least.set(id, widest)
  }
  // Two widths of one value are two quantizations, which some plans have and others have not.
  const products = layers.filter(Layer.isProduct)
  const isFree = products.some(({ id, input }) => {
    const width = (reader: string) => ActivationFormat.show(least.get(reader)!)
    const hasChoice = new Set(choices.get(id)!.map(({ activations }) => activations.bits)).size > 1
    return hasChoice && products.some((other) => other.input === input && width(other.id) !== width(id))
  })
  return isFree ? undefined : least
}

export const costsOn = (profile: Profile.Profile, opened: Opened): Costs => {
  const { layers, choices, offered, metAs, workload, memo } = opened
  const columns = inOrder(
    layers.flatMap((layer) => choices.get(layer.id)!.flatMap((choice) => metAs(layer, choice)))
  )
  const ids = columns.map(Choice.show)
  const table = CostTable.costTable(profile, workload, columns.map(Choice.precision), { memo })
  const lower = table.lower()
  const rowOf = new Map(table.layers.map(({ id }, row) => [id, row]))
  const structure = FileBytes.structureOf(opened.form.graph, leastActivations(opened))
  const weights = layers.reduce((sum, { weightElements }) => sum + weightElements, 0)
  const fileBytes = (plan: Choice.Choices): number => FileBytes.predict(structure, layers, plan)
  const leastSize = (layer: Layer.Layer, choice: Choice.Choice) =>
    FileBytes.layerBytes(structure, layer, choice)
  /** What a uniform plan's file has beyond the layers' least sizes, a layer. */
  const shared = new Map(
    offered.map((choice) => {
      const least = layers.reduce(
        (sum, layer) => sum + leastSize(layer, Choice.forLayer(layer, choice)),
        structure.otherBytes
      )
      const whole = fileBytes(new Map(layers.map((layer) => [layer.id, Choice.forLayer(layer, choice)])))
      return [Choice.show(choice), (whole - least) / layers.length]
    })
  )

  const rows = (
    found: ReadonlyArray<ReadonlyArray<CostTable.LayerCost | null>>,
    among: (costs: ReadonlyArray<CostTable.LayerCost>) => CostTable.LayerCost,
    sizeOf: (layer: number, choice: Choice.Choice) => number
  ): ReadonlyArray<CostRow> =>
    layers.map((layer, l) => {
      const own = rowOf.get(layer.id)
      const row = choices.get(layer.id)!.flatMap((choice): ReadonlyArray<[string, Quantities]> => {
        const id = Choice.show(choice)
        // A table multiplies nothing: what reads it costs time, its rows cost room.
        const costs =
          own === undefined
            ? [CostTable.nothing]
            : metAs(layer, choice).flatMap((each) => found[own]![ids.indexOf(Choice.show(each))] ?? [])
        if (costs.length === 0) return []
        const cost = among(costs)
        return [
          [
            id,
            {
              latency: cost.latencyMs,
              energy: cost.energyMj,
              size: sizeOf(l, choice),
              peakMemory: cost.peakActivationBytes,
              bops: cost.bops,
              dram: cost.dramBytes,
              area: 0,
              bits: (8 * FileBytes.weightBytes(layer, choice)) / weights
            }
          ]
        ]
      })
      return new Map(row)
    })

  const fixedOf = (cost: CostTable.LayerCost): Quantities => ({
    latency: cost.latencyMs,
    energy: cost.energyMj,
    size: structure.otherBytes,
    peakMemory: 0,
    bops: cost.bops,
    dram: cost.dramBytes,
    area: null,
    bits: 0
  })
  const simulated = (plan: Choice.Choices) =>
    Effect.try({
      try: () => {
        const precisionOf = Riders.precisionOfPlan(workload, (id) =>
          Choice.precision(plan.get(id) ?? Choice.f32)
        )
        return Simulate.network(profile, workload, precisionOf, { memo })
      },
      catch: (cause) => new UnusableRequest({ why: cause instanceof Error ? cause.message : String(cause) })
    })
  return {
    lower: rows(lower.layers, CostTable.least, (l, choice) => leastSize(layers[l]!, choice)),
    fixedLower: fixedOf(lower.fixed),
    estimate: rows(
      table.layers.map(({ costs }) => costs),
      ([widest]) => widest!,
      (l, choice) => leastSize(layers[l]!, choice) + shared.get(Choice.show(choice))!
    ),
    fixed: fixedOf(table.fixed),
    moments: table.moments,
    fileBytes,
    averageBits: (plan) =>
      layers.reduce(
        (sum, layer) => sum + (8 * FileBytes.weightBytes(layer, plan.get(layer.id) ?? Choice.f32)) / weights,
        0
      ),
    simulated,
    simulate: (plan) =>
      Effect.map(simulated(plan), (cost) => ({
        ...cost,
        totals: { ...cost.totals, modelBytes: fileBytes(plan) }
      }))
  }
}

/** Bytes an activation format takes for so many elements, as the device stores it. */
export const activationBytes = (choice: Choice.Choice, elements: number): number =>
  (elements * Precision.storedBits(Choice.precision(choice).activations)) / 8

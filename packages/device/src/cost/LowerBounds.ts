/**
 * Costs of layers that no plan undercuts: Σ lower[chosen] + fixed is at most the simulation of any plan over the
 * same choices, in every quantity. A layer's own format is known, its neighbours' are not, so they are taken at
 * their narrowest, what may stay on chip in some plan stays, and traffic is what cannot be saved (`leastTraffic`).
 * Exact where neighbours do not matter: one choice, or one activation width and nothing partly resident.
 */
import { Precision, Work } from "@bitbudget/graph"
import { residencyBounds } from "../memory/ResidencyBounds.ts"
import { layoutOf, type Layout } from "../memory/Layout.ts"
import { canHold } from "../profile/Holding.ts"
import type { Profile } from "../profile/Profile.ts"
import { nothing, sum, type LayerCost } from "./LayerCost.ts"
import { machineFor, type Machine } from "./Machine.ts"
import { partOf, type Memo } from "./Memo.ts"
import { weightStorageBytes } from "./ModelSize.ts"
import {
  arithmeticOf,
  dramBytesOf,
  flowFigures,
  partings,
  keeps,
  physicalOf,
  slowed,
  spilledOf,
  type Options
} from "./Prepare.ts"

export interface LowerBounds {
  /** By layer, in the table's order, then by choice; null where the device cannot hold the formats. */
  readonly layers: ReadonlyArray<ReadonlyArray<LayerCost | null>>
  readonly fixed: LayerCost
}

type Layers = ReadonlyArray<{ readonly id: string; readonly costs: ReadonlyArray<LayerCost | null> }>

/** Elements of a tensor that an extra width of its reader adds to, per bit. */
const widening = (layout: Layout, inputs: ReadonlyArray<string>, bits: number): number =>
  inputs.reduce((bytes, tensor) => {
    const elements = layout.elementsOf(tensor)
    const narrow = Math.ceil(layout.bitsOf(tensor) / 8)
    return bytes + Math.max(0, Math.ceil((elements * bits) / 8) - narrow)
  }, 0)

/** The bounds of a plan however the device parts its batch: the least of each quantity over all partings. */
export const lowerBounds = (
  profile: Profile,
  workload: Work.Workload,
  choices: ReadonlyArray<Precision.Precision>,
  layers: Layers,
  fixed: LayerCost,
  riders: ReadonlyMap<string, string>,
  options: Options & { readonly memo: Memo }
): LowerBounds => {
  const [first, ...others] = partings(workload.batch).map((parts) =>
    partBounds(profile, workload, choices, layers, fixed, riders, options, parts)
  )
  return others.reduce(
    (least, each) => ({
      fixed,
      layers: least.layers.map((row, l) =>
        row.map((a, c) => {
          const b = each.layers[l]![c] ?? null
          return a === null || b === null ? null : lesser(a, b)
        })
      )
    }),
    first!
  )
}

const lesser = (a: LayerCost, b: LayerCost): LayerCost => ({
  latencyMs: Math.min(a.latencyMs, b.latencyMs),
  energyMj: a.energyMj === null || b.energyMj === null ? null : Math.min(a.energyMj, b.energyMj),
  sizeBytes: a.sizeBytes,
  dramBytes: a.dramBytes === null || b.dramBytes === null ? null : Math.min(a.dramBytes, b.dramBytes),
  bops: a.bops,
  peakActivationBytes: Math.min(a.peakActivationBytes, b.peakActivationBytes)
})

const partBounds = (
  profile: Profile,
  batched: Work.Workload,
  choices: ReadonlyArray<Precision.Precision>,
  layers: Layers,
  fixed: LayerCost,
  riders: ReadonlyMap<string, string>,
  options: Options & { readonly memo: Memo },
  parts: number
): LowerBounds => {
  const workload = partOf(options.memo, batched, parts)
  const software = options.software ?? profile.stacks?.[0]?.software ?? ""
  const held = choices.map((choice) => canHold(profile, choice, software).held)
  const possible = choices.filter((_, c) => held[c])
  if (possible.length === 0) return { layers: layers.map(({ costs }) => costs), fixed }
  const widths = possible.map(({ activations }) => Precision.storedBits(activations))
  const layoutAt = (bits: number): Layout =>
    layoutOf(workload, profile.fuses ?? [], () => bits, options.memo.layouts)
  const narrow = layoutAt(Math.min(...widths))
  const wide = layoutAt(Math.max(...widths))
  const machineOf = (native: string): Machine =>
    options.machineFor?.(native) ??
    machineFor(profile, options.software, native, options.memo.machines, options.at)
  const narrowestWeights = narrow.flows.map(({ step }) =>
    Math.min(...possible.map((choice) => weightStorageBytes(step, choice)))
  )
  // The first layer's machine decides what stays; stacks of one device differ in rates, hardly ever in levels.
  const lead = narrow.flows.find(({ step }) => Work.isLayer(step))?.step
  const mains = new Map(
    possible.map((choice) => {
      const [native] = arithmeticOf(profile, lead ?? narrow.flows[0]!.step, choice, software).natives
      const machine = machineOf(native!.name)
      return [machine.levels.map(({ id }) => id).join(), machine]
    })
  )
  const bounds = [...mains.values()].map((main) => residencyBounds(main, narrow, wide, narrowestWeights))
  const readers = new Map<string, Set<string>>()
  for (const flow of narrow.flows)
    for (const tensor of flow.inputs) {
      const known = readers.get(tensor) ?? new Set<string>()
      readers.set(tensor, known.add(riders.get(flow.step.id) ?? ""))
    }
  const inFlight = 1 + ((profile.framesInFlight?.value ?? 1) - 1) / batched.batch

  const column = (precision: Precision.Precision): ReadonlyMap<string, LayerCost> => {
    const costs = new Map<string, LayerCost>()
    const own = Precision.storedBits(precision.activations)
    narrow.flows.forEach((flow, index) => {
      const layer = riders.get(flow.step.id) ?? ""
      const { natives, slower } = arithmeticOf(profile, flow.step, precision, software)
      const wider = widening(narrow, flow.inputs, own)
      const found = bounds.map((boundsOf) => boundsOf(index, weightStorageBytes(flow.step, precision), wider))
      // A tensor is at least as wide as this layer reads it, here or in a step that rides with it.
      const bitsOf = (tensor: string): number => {
        const readBy = readers.get(tensor)
        const mine = readBy === undefined || readBy.has(layer)
        return mine ? Math.max(narrow.bitsOf(tensor), narrow.elementsOf(tensor) * own) : narrow.bitsOf(tensor)
      }
      const vectorOps = "ops" in flow.step.work ? flow.step.work.ops : 0
      const liveBytes = narrow.live.liveBytes[index]! + wider
      const kernels = natives.flatMap((native) => {
        const machine = machineOf(native.name)
        const surroundings = {
          place: (tensor: string) => Math.max(...found.map(({ place }) => place(tensor))),
          bitsOf,
          streamedWeights: Math.min(...found.map(({ streamed }) => streamed)),
          taken: found.length === 1 ? found[0]!.taken : machine.levels.map(() => 0)
        }
        const ways = [
          physicalOf(machine, flow, native, precision, surroundings, "least"),
          // A plan may also move what it keeps out of this flow's way.
          ...(keeps(surroundings) ? [spilledOf(machine, flow, native, precision, surroundings, "least")] : [])
        ]
        return ways.map((way) => {
          const prepared = {
            flow,
            machine,
            physical: slowed(way, slower),
            precision,
            exact: true,
            vectorOps,
            liveBytes,
            inFlight,
            parts
          }
          const { energyPj, latencyMs } = flowFigures(prepared)
          return {
            latencyMs,
            energyMj: energyPj.total === null ? null : energyPj.total / 1e9,
            dramBytes: machine.levels.length === 0 ? null : dramBytesOf(prepared)
          }
        })
      })
      const least = (of: (each: (typeof kernels)[number]) => number | null): number | null =>
        kernels.reduce<number | null>((a, each) => {
          const b = of(each)
          return a === null || b === null ? null : Math.min(a, b)
        }, Infinity)
      costs.set(
        layer,
        sum(costs.get(layer) ?? nothing, {
          ...nothing,
          latencyMs: least(({ latencyMs }) => latencyMs)!,
          energyMj: least(({ energyMj }) => energyMj),
          dramBytes: least(({ dramBytes }) => dramBytes),
          peakActivationBytes: liveBytes
        })
      )
    })
    return costs
  }

  const columns = choices.map((choice, c) => (held[c] ? column(choice) : undefined))
  return {
    layers: layers.map(({ costs, id }) =>
      columns.map((each, c) => {
        const exact = costs[c] ?? null
        const least = each?.get(id)
        if (exact === null || least === undefined) return exact
        return sum(least, { ...nothing, sizeBytes: exact.sizeBytes, bops: exact.bops })
      })
    ),
    fixed
  }
}

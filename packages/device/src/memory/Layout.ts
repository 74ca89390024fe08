/**
 * The activations of a network as a device runs it: how wide each tensor is stored, which come from or go outside,
 * and what is alive when. It depends on the network, on what the device fuses and on activation widths only, so
 * devices and weight widths share it.
 */
import type { Work } from "@bitbudget/graph"
import { fuse, storedNames, type Flow, type Fused } from "../work/Fusion.ts"
import type { Profile } from "../profile/Profile.ts"
import { liveness, type Liveness } from "./Liveness.ts"
import { bestPeak, type BestPeak } from "./Order.ts"

export interface Layout {
  readonly flows: ReadonlyArray<Flow>
  /** Inputs and results of the network, by the names they are stored by. */
  readonly outside: ReadonlySet<string>
  /** Bits an element of a tensor is stored in; undefined for one that is not stored. */
  readonly widthOf: (tensor: string) => number | undefined
  readonly bitsOf: (tensor: string) => number
  readonly elementsOf: (tensor: string) => number
  /** In the given order. */
  readonly live: Liveness
  /** Over all orders. */
  readonly best: () => BestPeak
}

type WidthOf = (step: Work.Step) => number

/** Width of every stored tensor: the widest any reader wants; a result no step reads keeps its maker's width. */
const tensorWidths = (flows: ReadonlyArray<Flow>, activationBits: WidthOf): ReadonlyMap<string, number> => {
  const widths = new Map<string, number>()
  for (const flow of flows)
    for (const tensor of flow.inputs)
      widths.set(tensor, Math.max(widths.get(tensor) ?? 0, activationBits(flow.step)))
  for (const flow of flows)
    for (const tensor of flow.outputs) if (!widths.has(tensor)) widths.set(tensor, activationBits(flow.step))
  return widths
}

const layout = (workload: Work.Workload, fused: Fused, activationBits: WidthOf): Layout => {
  const { flows } = fused
  const widths = tensorWidths(flows, activationBits)
  const names = storedNames(fused)
  const outside = new Set([
    ...workload.inputs,
    ...workload.outputs.map((tensor) => names.get(tensor) ?? tensor)
  ])
  const elementsOf = (tensor: string): number => workload.tensorElements.get(tensor) ?? 0
  const bitsOf = (tensor: string): number => elementsOf(tensor) * (widths.get(tensor) ?? 8)
  const bytesOf = (tensor: string): number => Math.ceil(bitsOf(tensor) / 8)
  const live = liveness(workload.inputs, [...outside], flows, bytesOf)
  let best: BestPeak | undefined
  return {
    flows,
    outside,
    widthOf: (tensor) => widths.get(tensor),
    bitsOf,
    elementsOf,
    live,
    best: () => (best ??= bestPeak(workload.inputs, outside, flows, bytesOf, live.peakBytes))
  }
}

interface Known {
  readonly fused: Fused
  readonly byWidth: Map<number, Layout>
}

/** Layouts already made, by network and by what the device fuses. */
export type Layouts = WeakMap<Work.Workload, Map<string, Known>>

/** Remembered for networks of one activation width, which tables ask for again and again. */
export const layoutOf = (
  workload: Work.Workload,
  fuses: NonNullable<Profile["fuses"]>,
  activationBits: WidthOf,
  known: Layouts
): Layout => {
  const byKinds = known.get(workload) ?? new Map<string, Known>()
  known.set(workload, byKinds)
  const kinds = fuses.join()
  const { byWidth, fused } = byKinds.get(kinds) ?? { fused: fuse(workload, fuses), byWidth: new Map() }
  byKinds.set(kinds, { byWidth, fused })
  const [first] = fused.flows
  const width = first === undefined ? 0 : activationBits(first.step)
  if (fused.flows.some(({ step }) => activationBits(step) !== width))
    return layout(workload, fused, activationBits)
  const made = byWidth.get(width) ?? layout(workload, fused, activationBits)
  byWidth.set(width, made)
  return made
}

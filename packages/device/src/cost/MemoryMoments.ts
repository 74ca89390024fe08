/**
 * Activation memory as linear constraints: at each moment of the schedule, the bytes alive are Σ over layers of
 * elements × the layer's activation bits / 8. A tensor is as wide as its widest reader wants it; it is charged to
 * one of them, so a row never says more than is alive. Moments that hold no more than another, layer by layer, are
 * left out.
 */
import type { Work } from "@bitbudget/graph"
import { layoutOf } from "../memory/Layout.ts"
import type { Profile } from "../profile/Profile.ts"
import type { Memo } from "./Memo.ts"

export interface Moment {
  /** The step that runs. */
  readonly step: string
  /** Bytes that no layer's choice changes. */
  readonly fixedBytes: number
  /** Elements alive that are as wide as a layer's activations, by layer id; layers without any are absent. */
  readonly elements: ReadonlyMap<string, number>
}

/** Bits of a tensor nothing reads. */
const unreadBits = 8

const covers = (a: Moment, b: Moment): boolean =>
  a.fixedBytes >= b.fixedBytes && [...b.elements].every(([layer, n]) => (a.elements.get(layer) ?? 0) >= n)

export const momentsOf = (
  profile: Profile,
  workload: Work.Workload,
  riders: ReadonlyMap<string, string>,
  memo: Memo
): ReadonlyArray<Moment> => {
  // Which tensors there are and when they live does not depend on their width.
  const { elementsOf, flows, live } = layoutOf(workload, profile.fuses ?? [], () => unreadBits, memo.layouts)
  const chargedTo = new Map<string, string | undefined>()
  for (const { outputs, step } of flows)
    for (const tensor of outputs) chargedTo.set(tensor, riders.get(step.id))
  for (const { inputs, step } of flows)
    for (const tensor of inputs) chargedTo.set(tensor, riders.get(step.id))
  const moments = flows.map(({ step }) => ({
    step: step.id,
    fixedBytes: 0,
    elements: new Map<string, number>()
  }))
  for (const [tensor, [first, last]] of live.span) {
    const layer = chargedTo.get(tensor)
    const size = elementsOf(tensor)
    for (const moment of moments.slice(first, last + 1))
      if (layer === undefined) moment.fixedBytes += (size * unreadBits) / 8
      else moment.elements.set(layer, (moment.elements.get(layer) ?? 0) + size)
  }
  const kept: Array<Moment> = []
  for (const moment of moments.toSorted((a, b) => b.elements.size - a.elements.size))
    if (!kept.some((each) => covers(each, moment))) kept.push(moment)
  return kept.filter((each) => !kept.some((other) => other !== each && covers(other, each)))
}

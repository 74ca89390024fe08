/**
 * What one simulation learns that the next can use: fused networks with their layouts, and machines with the shapes
 * they have mapped. A caller that simulates often makes one and passes it along; it holds its keys weakly, so it
 * never outlives the networks and profiles it is about.
 */
import type { Work } from "@bitbudget/graph"
import { scale } from "../work/Batch.ts"
import type { Layouts } from "../memory/Layout.ts"
import type { Machines } from "./Machine.ts"

export interface Memo {
  readonly layouts: Layouts
  readonly machines: Machines
  /** Networks at a part of their batch, by the number of parts. */
  readonly parts: WeakMap<Work.Workload, Map<number, Work.Workload>>
}

export const make = (): Memo => ({
  layouts: new WeakMap(),
  machines: new WeakMap(),
  parts: new WeakMap()
})

/** One of `count` equal parts of a batch. */
export const partOf = ({ parts }: Memo, workload: Work.Workload, count: number): Work.Workload => {
  if (count === 1) return workload
  const known = parts.get(workload) ?? new Map<number, Work.Workload>()
  parts.set(workload, known)
  const part = known.get(count) ?? scale(workload, 1 / count)
  known.set(count, part)
  return part
}

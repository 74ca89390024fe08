/**
 * What one simulation learns that the next can use: fused networks with their layouts, and machines with the shapes
 * they have mapped. A caller that simulates often makes one and passes it along; it holds its keys weakly, so it
 * never outlives the networks and profiles it is about.
 */
import type { Layouts } from "../memory/Layout.ts"
import type { Machines } from "./Machine.ts"

export interface Memo {
  readonly layouts: Layouts
  readonly machines: Machines
}

export const make = (): Memo => ({ layouts: new WeakMap(), machines: new WeakMap() })

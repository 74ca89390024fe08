/**
 * A pullback of one's own for one value: when the walk comes to it, the rule passes the gradient on to the values it
 * names, and what computed the value is not walked. Quantizers are trained this way: the forward pass rounds, the rule
 * says what the gradient should be all the same (straight-through estimators; Bengio et al. 2013).
 */
import type { Algebra } from "./Algebra.ts"

export interface Override {
  /** Where the gradient goes on; all of them come before the value. */
  readonly inputs: ReadonlyArray<string>
  /** From the gradient with respect to the value to those with respect to the inputs, in order; undefined = none. */
  readonly pull: (e: Algebra, g: string) => ReadonlyArray<string | undefined>
}

/** By the name of the value. */
export type Overrides = ReadonlyMap<string, Override>

export const none: Overrides = new Map()

/** What a shape rule is, and what all of them use. */
import type { Dim, Shape } from "./Dim.ts"
import { isStatic } from "./Dim.ts"
import type { Node, Value } from "./Graph.ts"
import type { Op } from "./Op.ts"
import { refuse } from "./Refusal.ts"
import type { DType } from "./Tensor.ts"

export interface Result {
  readonly dtype: DType
  readonly shape: Shape
}

export type ShapeRule<K extends Op> = (
  node: Node<K>,
  inputs: ReadonlyArray<Value | undefined>
) => ReadonlyArray<Result>

export const need = (inputs: ReadonlyArray<Value | undefined>, index: number): Value =>
  inputs[index] ?? refuse(`input ${index} is missing`)

export const staticDim = (dim: Dim, what: string): number =>
  isStatic(dim) ? dim : refuse(`${what} depends on the batch size`)

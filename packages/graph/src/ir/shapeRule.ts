/** What a shape rule is, and what all of them use. */
import type { Dim, Shape } from "./Dim.ts"
import { dimAt, isOpen, isStatic, showShape } from "./Dim.ts"
import type { Node, Value } from "./Graph.ts"
import type { Op } from "./Op.ts"
import { refuse, unsupported } from "./Refusal.ts"
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

/** The input, which must have one of these ranks. */
export const needRank = (
  inputs: ReadonlyArray<Value | undefined>,
  index: number,
  least: number,
  most = Number.POSITIVE_INFINITY
): Value => {
  const value = need(inputs, index)
  const rank = value.shape.length
  if (rank >= least && rank <= most) return value
  const wanted =
    least === most
      ? `${least}`
      : most === Number.POSITIVE_INFINITY
        ? `${least} or more`
        : `${least} to ${most}`
  return refuse(`input ${index} has the shape ${showShape(value.shape)}, but rank ${wanted} is needed`)
}

export const staticDim = (dim: Dim, what: string): number =>
  isStatic(dim) ? dim : unsupported(`${what} is ${isOpen(dim) ? "not known before it runs" : "the batch"}`)

/** A dimension computed from one that may be open: open again. */
export const mapDim = (dim: Dim, what: string, of: (size: number) => number): Dim =>
  isOpen(dim) ? { open: "", about: of(dimAt(dim, 1)) } : of(staticDim(dim, what))

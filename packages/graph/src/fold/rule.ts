/**
 * What a folding rule is: an operator evaluated on values known while a file is read.
 *
 * Rules see arrays of numbers, or short lists in which the batch size is a symbol (shape arithmetic), and answer
 * undefined where a result is no multiple of the batch. Numbers are computed in double precision and rounded to the
 * result's type when stored, as frameworks do or better.
 */
import type { Dim } from "../ir/Dim.ts"
import { elements, isStatic } from "../ir/Dim.ts"
import type { Node } from "../ir/Graph.ts"
import type { Op } from "../ir/Op.ts"
import type { DType, Numbers } from "../ir/Tensor.ts"
import { numbers } from "../ir/Tensor.ts"

export interface StaticResult {
  readonly dtype: DType
  readonly shape: ReadonlyArray<number>
}

/** A known value with its entries as a row-major list. */
export interface Listed extends StaticResult {
  readonly data: ArrayLike<Dim>
}

/** A known value that is all numbers. */
export interface Numeric extends StaticResult {
  readonly data: Numbers
}

type Ints = ReadonlyArray<number>

/** For values with symbols or without: moves entries, or adds and multiplies dimensions. */
export type ListRule<K extends Op> = (
  node: Node<K>,
  inputs: ReadonlyArray<Listed | undefined>,
  results: ReadonlyArray<StaticResult>
) => ReadonlyArray<ArrayLike<Dim>> | undefined

/** For numbers only; an optional input may be absent. */
export type NumberRule<K extends Op> = (
  node: Node<K>,
  inputs: ReadonlyArray<Numeric | undefined>,
  results: ReadonlyArray<StaticResult>
) => ReadonlyArray<ArrayLike<number>> | undefined

export const isNumbers = (data: ArrayLike<Dim>): data is Numbers => ArrayBuffer.isView(data)

/** An array to fill with `count` entries of what `sources` hold: numbers where all of them are numbers. */
export const room = (
  sources: ReadonlyArray<ArrayLike<Dim>>,
  dtype: DType,
  count: number
): { [index: number]: Dim } & ArrayLike<Dim> =>
  sources.every(isNumbers) ? numbers(dtype, count) : Array.from({ length: count }, () => 0)

/** A typed array where all entries are numbers, else the list itself. */
export const pack = (dtype: DType, list: ArrayLike<Dim>): ArrayLike<Dim> => {
  if (isNumbers(list)) return list
  const entries = Array.from(list)
  if (!entries.every(isStatic)) return entries
  const out = numbers(dtype, entries.length)
  out.set(entries)
  return out
}

export const strides = (shape: Ints): Ints => {
  const out = shape.map(() => 1)
  for (let i = shape.length - 2; i >= 0; i--) out[i] = out[i + 1]! * shape[i + 1]!
  return out
}

/** Strides that repeat an input along the dimensions it is broadcast over. */
export const broadcastStrides = (from: Ints, to: Ints): Ints => {
  const own = strides(from)
  const lead = to.length - from.length
  return to.map((_, i) => (i < lead || from[i - lead] === 1 ? 0 : own[i - lead]!))
}

/** Calls `visit(position of the output, position in the source)` for each index of `shape`, row by row. */
export const walk = (
  shape: Ints,
  steps: Ints,
  offset: number,
  visit: (to: number, from: number) => void
): void => {
  const count = elements(shape)
  const index = shape.map(() => 0)
  let position = offset
  for (let i = 0; i < count; i++) {
    visit(i, position)
    for (let d = shape.length - 1; d >= 0; d--) {
      position += steps[d]!
      if (++index[d]! < shape[d]!) break
      position -= steps[d]! * shape[d]!
      index[d] = 0
    }
  }
}

/** out[i] = source[offset + Σ index_d · stride_d] over the output's indices. */
export const strided = (
  source: ArrayLike<Dim>,
  { dtype, shape }: StaticResult,
  steps: Ints,
  offset = 0
): ArrayLike<Dim> => {
  const out = room([source], dtype, elements(shape))
  walk(shape, steps, offset, (to, from) => {
    out[to] = source[from]!
  })
  return out
}

/** [before, along, after] an axis: how many there are of each. */
export const around = (
  shape: Ints,
  axis: number
): readonly [outer: number, length: number, inner: number] => [
  elements(shape.slice(0, axis)),
  shape[axis]!,
  elements(shape.slice(axis + 1))
]

/**
 * Values known while a model is read: constants, and small integer vectors made of dimensions.
 *
 * Exporters compute shapes with nodes (Shape → Gather → Concat → Reshape). Such values are carried along with
 * the batch size as a symbol, so that a Reshape to `[N, 128, 4, 32]` is known before N is.
 */
import type { Dim } from "./Dim.ts"
import { isStatic } from "./Dim.ts"
import type { DType, Kept, Tensor } from "./Tensor.ts"
import { tensor, values } from "./Tensor.ts"

/** A row-major array whose entries may be multiples of the batch size. Every `Tensor` is one. */
export interface Known {
  readonly dtype: DType
  readonly shape: ReadonlyArray<number>
  readonly data: ArrayLike<Dim> | { readonly fill: number } | Kept
}

const isList = (data: Known["data"]): data is ArrayLike<Dim> => "length" in data

export const isFilled = (data: Known["data"]): data is { readonly fill: number } =>
  !isList(data) && "fill" in data

/** The entries; a filled value is materialised, a kept one read. */
export const entries = ({ dtype, shape, data }: Known): ArrayLike<Dim> =>
  isList(data) ? data : values({ dtype, shape, data })

/** The value as a constant, or undefined where it depends on the batch size. */
export const toTensor = (known: Known): Tensor | undefined => {
  const { dtype, shape, data } = known
  if (!isList(data)) return { dtype, shape, data }
  if (ArrayBuffer.isView(data)) return known as Tensor
  const list = Array.from(data)
  return list.every(isStatic) ? tensor(dtype, shape, list) : undefined
}

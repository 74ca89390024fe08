/**
 * The table of weight formats, one row a kind, and what is asked of a format whatever its kind. The compiler names
 * the row that a new kind lacks.
 */
import type { GraphBuilder, Precision, Tensor } from "@bitbudget/graph"
import type { OfKind, WeightFormat, WeightKindName } from "../format/WeightFormat.ts"
import { float, type FloatValues } from "./float.ts"
import { int, type IntegerCodes } from "./integer.ts"
import type { WeightKind, WeightShape } from "./WeightKind.ts"

/** What weights become in a format of each kind. */
export interface EncodedByKind {
  readonly int: IntegerCodes
  readonly float: FloatValues
}

export type Encoded = EncodedByKind[WeightKindName]

export const weightKinds: {
  readonly [K in WeightKindName]: WeightKind<OfKind<K>, EncodedByKind[K]>
} = { int, float }

/** The row of a format, which takes this very kind of format. */
const rowOf = (format: WeightFormat): WeightKind<WeightFormat, Encoded> =>
  weightKinds[format.kind] as WeightKind<WeightFormat, Encoded>

/** The id, such as `w4.g32`. */
export const show = (format: WeightFormat): string => `w${rowOf(format).show(format)}`

/** The format of an id; `4` is short for `w4`, `f16` for `wf16`. Undefined where the text is none. */
export const parse = (text: string): WeightFormat | undefined => {
  const id = text.startsWith("w") ? text.slice(1) : text
  for (const kind of Object.values(weightKinds)) {
    const format = kind.parse(id)
    if (format !== undefined) return format
  }
  return undefined
}

export const quantize = (weights: Tensor.Tensor, axis: number, format: WeightFormat): Encoded =>
  rowOf(format).quantize(weights, axis, format)

export const dequantize = (encoded: Encoded): Tensor.Tensor => rowOf(encoded.format).dequantize(encoded)

/** Bytes in the file: codes, scales and zero points. */
export const storedBytes = (of: WeightShape, format: WeightFormat): number =>
  rowOf(format).storedBytes(of, format)

export const dtype = (format: WeightFormat): Tensor.DType => rowOf(format).dtype(format)

export const emit = (builder: GraphBuilder, name: string, encoded: Encoded): string =>
  rowOf(encoded.format).emit(builder, name, encoded)

export const hasIntegerKernels = (format: WeightFormat): boolean => rowOf(format).hasIntegerKernels(format)

export const precision = (format: WeightFormat): Precision.Format => rowOf(format).precision(format)

/** Whether `finer` never loses more than `coarser`: the same kind with more bits, or 32-bit float. */
export const isFiner = (finer: WeightFormat, coarser: WeightFormat): boolean =>
  finer.kind === coarser.kind
    ? rowOf(finer).isFiner(finer, coarser)
    : finer.kind === "float" && finer.bits === 32

/**
 * The table of weight formats, one row a kind, and what is asked of a format whatever its kind. The compiler names
 * the row that a new kind lacks.
 */
import { type GraphBuilder, Precision, type Tensor } from "@bitbudget/graph"
import type { OfKind, Scale, WeightFormat, WeightKindName } from "../format/WeightFormat.ts"
import { float, type FloatValues } from "./float.ts"
import { int, type IntegerCodes } from "./integer.ts"
import { binarySum } from "./binarySum.ts"
import { codebook } from "./codebook.ts"
import { extremes, type Fitting } from "./Fitting.ts"
import { kQuant, type KQuantCodes } from "./kQuant.ts"
import { logarithmic } from "./logarithmic.ts"
import { mx } from "./mx.ts"
import { normalFloat } from "./normalFloat.ts"
import { smallFloat } from "./smallFloat.ts"
import type { TableCodes } from "./table/ownTables.ts"
import type { ScaledCodes } from "./table/scaledTable.ts"
import { ternary } from "./ternary.ts"
import { twoSidedTernary } from "./twoSidedTernary.ts"
import type { Product, WeightKind, WeightShape } from "./WeightKind.ts"

/** What weights become in a format of each kind. */
export interface EncodedByKind {
  readonly int: IntegerCodes
  readonly float: FloatValues
  readonly smallFloat: ScaledCodes<OfKind<"smallFloat">>
  readonly mx: ScaledCodes<OfKind<"mx">>
  readonly normalFloat: ScaledCodes<OfKind<"normalFloat">>
  readonly logarithmic: ScaledCodes<OfKind<"logarithmic">>
  readonly codebook: TableCodes<OfKind<"codebook">>
  readonly ternary: ScaledCodes<OfKind<"ternary">>
  readonly twoSidedTernary: TableCodes<OfKind<"twoSidedTernary">>
  readonly binarySum: TableCodes<OfKind<"binarySum">>
  readonly kQuant: KQuantCodes
}

export type Encoded = EncodedByKind[WeightKindName]

export const weightKinds: {
  readonly [K in WeightKindName]: WeightKind<OfKind<K>, EncodedByKind[K]>
} = {
  int,
  float,
  smallFloat,
  mx,
  normalFloat,
  logarithmic,
  codebook,
  ternary,
  twoSidedTernary,
  binarySum,
  kQuant
}

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

/** Codes of weights, float32, by plain rounding where no other fitting is asked for. */
export const quantize = (
  weights: Tensor.Tensor,
  axis: number,
  format: WeightFormat,
  fitting: Fitting = extremes
): Encoded => rowOf(format).quantize(weights, axis, format, fitting)

/** The same parameters with the values nearest to other weights of that shape. */
export const recode = (encoded: Encoded, weights: Tensor.Tensor): Encoded =>
  rowOf(encoded.format).recode(encoded, weights)

/** The values that a weight can take, in rising order; undefined where they are too many to choose among. */
export const levels = (encoded: Encoded): ((i: number) => Float32Array) | undefined =>
  rowOf(encoded.format).levels(encoded)

/** An encoding without its numbers, which takes the place of one where only sizes matter. */
export const blank = (of: WeightShape, format: WeightFormat): Encoded => rowOf(format).blank(of, format)

export const dequantize = (encoded: Encoded): Tensor.Tensor => rowOf(encoded.format).dequantize(encoded)

/** Bytes in the file: codes, scales and zero points. */
export const storedBytes = (of: WeightShape, format: WeightFormat): number =>
  rowOf(format).storedBytes(of, format)

export const dtype = (format: WeightFormat): Tensor.DType => rowOf(format).dtype(format)

export const emit = (
  builder: GraphBuilder,
  name: string,
  encoded: Encoded,
  product: Product = "float"
): string => rowOf(encoded.format).emit(builder, name, encoded, product)

export const hasIntegerKernels = (format: WeightFormat): boolean => rowOf(format).hasIntegerKernels(format)

export const precision = (format: WeightFormat): Precision.Format => rowOf(format).precision(format)

/** Bits a weight takes in memory, by its format. */
export const storedBits = (format: WeightFormat): number => Precision.storedBits(precision(format))

/** Whether weights are integers with a scale for a channel, or one for all, as integer products take them. */
export const isByChannel = (encoded: Encoded | undefined): encoded is IntegerCodes =>
  encoded !== undefined &&
  "codes" in encoded &&
  encoded.format.kind === "int" &&
  typeof encoded.format.scale !== "object"

/** What shares a scale or table; undefined where there is none. */
export const scaleOf = (format: WeightFormat): Scale | undefined => {
  if (format.kind === "float") return undefined
  const scale = precision(format).storage?.scale ?? "channel"
  return typeof scale === "number" ? { block: scale } : scale
}

/** Whether `finer` never loses more than `coarser`: the same kind with more bits, or 32-bit float. */
export const isFiner = (finer: WeightFormat, coarser: WeightFormat): boolean =>
  finer.kind === coarser.kind
    ? rowOf(finer).isFiner(finer, coarser)
    : finer.kind === "float" && finer.bits === 32

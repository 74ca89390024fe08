/**
 * Formats with a table of their own a tensor, channel or block, fitted to its weights (codebooks, two-sided ternary, sums of
 * binary codes): everything but the fit and the id is the same for all of them.
 */
import { Tensor } from "@bitbudget/graph"
import { nearest } from "../../corrections/levels.ts"
import type { Scale, WeightFormat } from "../../format/WeightFormat.ts"
import { blockCount, blockIndex, blockMembers } from "../Blocks.ts"
import { type Sample, sampleOf } from "../Fitting.ts"
import { packedBytes } from "../integer/stored.ts"
import type { WeightKind, WeightShape } from "../WeightKind.ts"
import { emitTables, storedCodes } from "./emitTable.ts"

export interface TableCodes<F> {
  readonly format: F
  readonly shape: ReadonlyArray<number>
  readonly axis: number
  /** Positions in the block's table, row-major. */
  readonly codes: Uint16Array
  /** 2^bits values a block, in rising order. */
  readonly tables: Float32Array
}

export interface Fit<F> {
  readonly bits: (format: F) => number
  readonly scale: (format: F) => Scale
  /** At most 2^bits values for a block's weights. */
  readonly fit: (sample: Sample, format: F) => ReadonlyArray<number>
}

type Shared<F extends WeightFormat> = Omit<
  WeightKind<F, TableCodes<F>>,
  "show" | "parse" | "describe" | "examples" | "isFiner"
>

/** The values in rising order, the last one repeated until there are `size`. */
const filledUp = (values: ReadonlyArray<number>, size: number): Float32Array => {
  // A sum with 0 makes −0 0.
  const rising = Float32Array.from(values, (x) => x + 0).sort()
  return Float32Array.from({ length: size }, (_, i) => rising[Math.min(i, rising.length - 1)] ?? 0)
}

export const ownTables = <F extends WeightFormat>({ bits, scale, fit }: Fit<F>): Shared<F> => {
  const tableAt = (tables: Float32Array, format: F, block: number) =>
    tables.subarray(block * 2 ** bits(format), (block + 1) * 2 ** bits(format))
  const encode = (
    data: ArrayLike<number>,
    of: WeightShape,
    format: F,
    tables: Float32Array
  ): TableCodes<F> => {
    const indexOf = blockIndex(of, scale(format))
    const codes = new Uint16Array(data.length)
    for (let i = 0; i < data.length; i++) codes[i] = nearest(tableAt(tables, format, indexOf(i)), data[i]!)
    return { format, ...of, codes, tables }
  }
  return {
    quantize: (weights, axis, format, { importance }) => {
      const [data, of] = [Tensor.values(weights), { shape: weights.shape, axis }]
      const size = 2 ** bits(format)
      const tables = new Float32Array(blockCount(of, scale(format)) * size)
      blockMembers(of, scale(format)).forEach((members, block) =>
        tables.set(filledUp(fit(sampleOf(data, members, importance), format), size), block * size)
      )
      return encode(data, of, format, tables)
    },
    recode: ({ format, shape, axis, tables }, weights) =>
      encode(Tensor.values(weights), { shape, axis }, format, tables),
    levels: ({ format, tables, ...of }) => {
      const indexOf = blockIndex(of, scale(format))
      return (i) => tableAt(tables, format, indexOf(i))
    },
    dequantize: ({ format, codes, tables, ...of }) => {
      const indexOf = blockIndex(of, scale(format))
      return Tensor.float32(
        of.shape,
        Float32Array.from(codes, (code, i) => tableAt(tables, format, indexOf(i))[code]!)
      )
    },
    blank: (of, format) => ({ format, ...of, codes: new Uint16Array(0), tables: new Float32Array(0) }),
    storedBytes: (of, format) => {
      const blocks = blockCount(of, scale(format))
      const offsets = blocks === 1 ? 0 : 4 * blocks
      return (
        packedBytes(storedCodes(of, scale(format)), bits(format)) + 4 * blocks * 2 ** bits(format) + offsets
      )
    },
    dtype: (format) => (bits(format) <= 2 ? "uint2" : bits(format) <= 4 ? "uint4" : "uint8"),
    emit: (builder, name, encoded) =>
      emitTables(
        builder,
        name,
        encoded,
        encoded.codes,
        bits(encoded.format),
        scale(encoded.format),
        encoded.tables
      ),
    hasIntegerKernels: () => false,
    precision: (format) => {
      const shared = scale(format)
      const at =
        shared === "channel" ? {} : { scale: shared === "tensor" ? ("tensor" as const) : shared.block }
      return { kind: "float", bits: 16, storage: { bits: bits(format), ...at } }
    }
  }
}

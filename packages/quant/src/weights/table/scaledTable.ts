/**
 * Formats whose values are scale · table[code], the table fixed by the format (small floats, NF4, powers of two) and the
 * scale fitted: everything but the table and the id is the same for all of them.
 */
import { type GraphBuilder, type Precision, Tensor } from "@bitbudget/graph"
import { nearest } from "../../corrections/levels.ts"
import type { Scale, WeightFormat } from "../../format/WeightFormat.ts"
import { blockCount, blockIndex, blockMembers } from "../Blocks.ts"
import { emitScales as writeScales, keeper, kept, scaleBytes } from "../blockScales.ts"
import { fitScale, type Fitting, type Sample, sampleOf, scaleCandidates } from "../Fitting.ts"
import { packedBytes, stored } from "../integer/stored.ts"
import type { WeightKind, WeightShape } from "../WeightKind.ts"
import { emitScaled, storedCodes } from "./emitTable.ts"

export interface ScaledCodes<F> {
  readonly format: F
  readonly shape: ReadonlyArray<number>
  readonly axis: number
  /** Positions in the table, row-major. */
  readonly codes: Uint16Array
  /** Channel by channel, and block by block within a channel. */
  readonly scales: Float32Array
}

/** What distinguishes one of these formats. */
export interface Table {
  /** Name of the shared constant. */
  readonly name: string
  /** In rising order; 0 is among them. */
  readonly values: Float32Array
  /** Bits of a code. */
  readonly bits: number
  readonly scale: Scale
  /** Scales are powers of two, stored as exponents of one byte (E8M0). */
  readonly powersOfTwo: boolean
  /** The scale of least squared error, where it is known better than by search. */
  readonly fit?: (sample: Sample) => number
}

type Shared<F extends WeightFormat> = Omit<
  WeightKind<F, ScaledCodes<F>>,
  "show" | "parse" | "describe" | "examples" | "isFiner"
>

const EXPONENT_BIAS = 127

/** Bits of the arithmetic that values need: no fixed table but floats of 16 bits hold them. */
const arithmetic = ({ bits, scale }: Table): Precision.Format => ({
  kind: "float",
  bits: 16,
  storage: { bits, ...(scale === "channel" ? {} : { scale: scale === "tensor" ? "tensor" : scale.block }) }
})

const scalesOf = (data: ArrayLike<number>, of: WeightShape, table: Table, fitting: Fitting): Float32Array => {
  const { bits, fit, powersOfTwo, scale, values } = table
  const [low, high] = [values[0]!, values.at(-1)!]
  const level = (steps: number) => values[nearest(values, steps)]!
  return Float32Array.from(blockMembers(of, scale), (members) => {
    const sample = sampleOf(data, members, fitting.importance)
    // The least scale that clips nothing, on either side.
    const whole = sample.w.reduce((s, x) => Math.max(s, x >= 0 ? x / high : x / low), 0)
    if (Math.fround(whole) === 0) return powersOfTwo ? 2 ** (1 - EXPONENT_BIAS) : 1
    if (fit !== undefined) return fit(sample)
    if (powersOfTwo) {
      const up = 2 ** Math.min(EXPONENT_BIAS, Math.max(1 - EXPONENT_BIAS, Math.ceil(Math.log2(whole))))
      if (fitting.objective === "extremes") return up
      const tried = [up, up / 2, up / 4].map((s) => ({ s, error: squaredError(sample, s, level) }))
      return tried.reduce((a, b) => (b.error < a.error ? b : a)).s
    }
    if (fitting.objective === "extremes") return whole
    const grid = scaleCandidates(whole, 0.8, 2.5, 24)
    return fitScale(sample, level, [whole, ...grid], keeper(scale, bits))?.scale ?? whole
  })
}

const squaredError = ({ w, h }: Sample, scale: number, level: (steps: number) => number): number =>
  w.reduce((sum, x, i) => sum + h[i]! * (x - scale * level(x / scale)) ** 2, 0)

export const scaledTable = <F extends WeightFormat>(tableOf: (format: F) => Table): Shared<F> => {
  const encode = (
    data: ArrayLike<number>,
    of: WeightShape,
    format: F,
    fitted: Float32Array
  ): ScaledCodes<F> => {
    const { bits, powersOfTwo, scale, values } = tableOf(format)
    const scales = powersOfTwo ? fitted : kept(fitted, scale, bits)
    const indexOf = blockIndex(of, scale)
    const codes = new Uint16Array(data.length)
    for (let i = 0; i < data.length; i++) codes[i] = nearest(values, data[i]! / scales[indexOf(i)]!)
    return { format, ...of, codes, scales }
  }
  const emitScales =
    (builder: GraphBuilder, name: string, encoded: ScaledCodes<F>) =>
    (shape: ReadonlyArray<number>): string => {
      const { bits, powersOfTwo, scale } = tableOf(encoded.format)
      if (!powersOfTwo) return writeScales(builder, name, shape, encoded.scales, scale, bits)
      const exponents = Uint8Array.from(encoded.scales, (s) => Math.log2(s) + EXPONENT_BIAS)
      const bytes = builder.constant(stored("uint8", shape, exponents), `${name}/exponents`)
      const shared = (wanted: string, value: number) =>
        builder.constantOf(wanted) === undefined
          ? builder.constant(Tensor.scalar("float32", value), wanted)
          : wanted
      const wide = builder.add("Cast", [bytes], { to: "float32" }, { name: `${name}/biased` })
      const unbiased = builder.add(
        "Sub",
        [wide, shared("e8m0/bias", EXPONENT_BIAS)],
        {},
        { name: `${name}/exponent` }
      )
      return builder.add("Pow", [shared("e8m0/base", 2), unbiased], {}, { name: `${name}/scale` })
    }
  return {
    quantize: (weights, axis, format, fitting) => {
      const [data, of] = [Tensor.values(weights), { shape: weights.shape, axis }]
      return encode(data, of, format, scalesOf(data, of, tableOf(format), fitting))
    },
    recode: ({ format, shape, axis, scales }, weights) =>
      encode(Tensor.values(weights), { shape, axis }, format, scales),
    levels: (encoded) => {
      const { values, scale } = tableOf(encoded.format)
      const indexOf = blockIndex(encoded, scale)
      const made = new Map<number, Float32Array>()
      return (i) => {
        const block = indexOf(i)
        const levels = made.get(block) ?? values.map((value) => value * encoded.scales[block]!)
        made.set(block, levels)
        return levels
      }
    },
    dequantize: (encoded) => {
      const { values, scale } = tableOf(encoded.format)
      const indexOf = blockIndex(encoded, scale)
      const data = Float32Array.from(encoded.codes, (code, i) => values[code]! * encoded.scales[indexOf(i)]!)
      return Tensor.float32(encoded.shape, data)
    },
    blank: (of, format) => ({ format, ...of, codes: new Uint16Array(0), scales: new Float32Array(0) }),
    storedBytes: (of, format) => {
      const { bits, scale, powersOfTwo } = tableOf(format)
      return (
        packedBytes(storedCodes(of, scale), bits) +
        (powersOfTwo ? 1 : scaleBytes(scale, bits)) * blockCount(of, scale)
      )
    },
    dtype: (format) => {
      const { bits } = tableOf(format)
      return bits <= 2 ? "uint2" : bits <= 4 ? "uint4" : "uint8"
    },
    emit: (builder, name, encoded) => {
      const table = tableOf(encoded.format)
      const scales = emitScales(builder, name, encoded)
      return emitScaled(builder, name, encoded, encoded.codes, table.bits, table.scale, table, scales)
    },
    hasIntegerKernels: () => false,
    precision: (format) => arithmetic(tableOf(format))
  }
}

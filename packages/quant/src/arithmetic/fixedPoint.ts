/**
 * Requantization without floating point: a positive real factor as the dyadic number b/2ᶜ, integers multiplied by b and
 * shifted right by c bits, rounded to nearest, halves up. With b of 31 bits this is what TensorFlow Lite's kernels do
 * (single rounding); with fewer, HAWQ-v3's dyadic arithmetic (Yao et al., ICML 2021).
 */
import { type GraphBuilder, Tensor } from "@bitbudget/graph"

/** factor ≈ mantissa / 2^shift. */
export interface Dyadic {
  /** Of the bits asked for: 2^(bits−1) ≤ mantissa < 2^bits, and zeros behind them for factors that large. */
  readonly mantissa: number
  readonly shift: number
}

/** Larger shifts leave nothing of a 32-bit accumulator, and a 64-bit word has no room for them. */
const MOST_SHIFT = 62

/** The dyadic number nearest to a factor, with a mantissa of so many bits (at most 31). */
export const dyadic = (factor: number, bits: number): Dyadic => {
  const exponent = Math.floor(Math.log2(factor)) + 1
  const scaled = Math.round(factor * 2 ** (bits - exponent))
  // Rounding may carry into one more bit, and so may the logarithm's own error.
  const [mantissa, shift] =
    scaled >= 2 ** bits ? [Math.round(scaled / 2), bits - exponent - 1] : [scaled, bits - exponent]
  if (shift > MOST_SHIFT) return { mantissa: 0, shift: 1 }
  if (shift >= 1) return { mantissa, shift }
  const whole = mantissa * 2 ** (1 - shift)
  if (whole < 2 ** 31) return { mantissa: whole, shift: 1 }
  throw new Error(
    `a factor of ${factor} is too large for requantization: accumulators are finer than outputs`
  )
}

/** ⌊integer · mantissa / 2^shift⌉ of a plain integer: what the graph computes, exactly. */
export const rescale = (integer: bigint, { mantissa, shift }: Dyadic): bigint =>
  (integer * BigInt(mantissa) + (1n << BigInt(shift - 1))) >> BigInt(shift)

/** Floors of a 64-bit integer over positive ones: ONNX's division rounds towards zero. */
const floorDivided = (builder: GraphBuilder, value: string, divisor: string, name: string): string => {
  const quotient = builder.add("Div", [value, divisor], {}, { name: `${name}/quotient` })
  const whole = builder.add("Mul", [quotient, divisor], {}, { name: `${name}/whole` })
  const isBelow = builder.add("Less", [value, whole], {}, { name: `${name}/below` })
  const one = builder.add("Cast", [isBelow], { to: "int64" }, { name: `${name}/one` })
  return builder.add("Sub", [quotient, one], {}, { name: `${name}/floor` })
}

/** Adds `rescale` of int64 accumulators of up to 32 bits; one factor for each element of `shape`, which broadcasts. */
export const addRescale = (
  builder: GraphBuilder,
  accumulators: string,
  factors: ReadonlyArray<Dyadic>,
  shape: ReadonlyArray<number>,
  name: string
): string => {
  const constant = (what: string, values: ReadonlyArray<number>) =>
    builder.constant(Tensor.int64(shape, values), `${name}/${what}`)
  const mantissas = constant(
    "multiplier",
    factors.map(({ mantissa }) => mantissa)
  )
  const halves = constant(
    "half",
    factors.map(({ shift }) => 2 ** (shift - 1))
  )
  const divisors = constant(
    "divisor",
    factors.map(({ shift }) => 2 ** shift)
  )
  const product = builder.add("Mul", [accumulators, mantissas], {}, { name: `${name}/product` })
  const nudged = builder.add("Add", [product, halves], {}, { name: `${name}/nudged` })
  return floorDivided(builder, nudged, divisors, name)
}

/** Adds the remainder that a register of so many bits keeps of int64 values: two's complement, which wraps. */
export const addWrap = (builder: GraphBuilder, value: string, bits: number, name: string): string => {
  const constant = (what: string, integer: number) =>
    builder.constant(Tensor.int64([], [integer]), `${name}/${what}`)
  const half = constant("half_range", 2 ** (bits - 1))
  const range = constant("range", 2 ** bits)
  const raised = builder.add("Add", [value, half], {}, { name: `${name}/raised` })
  const turns = floorDivided(builder, raised, range, `${name}/turns`)
  const lost = builder.add("Mul", [turns, range], {}, { name: `${name}/lost` })
  return builder.add("Sub", [value, lost], {}, { name: `${name}/wrapped` })
}

/** Folding of operators applied element by element. Dimensions that are multiples of the batch add and multiply too. */
import type { Dim } from "../ir/Dim.ts"
import { addDim, divDim, elements, isBatch, isOpen, isStatic, mulDim, openDim } from "../ir/Dim.ts"
import type { Node } from "../ir/Graph.ts"
import type { BinaryOps, Op, UnaryOps } from "../ir/Op.ts"
import type { DType } from "../ir/Tensor.ts"
import { isFloat, numbers } from "../ir/Tensor.ts"
import type { ListRule } from "./rule.ts"
import { broadcastStrides, isNumbers, pack, walk } from "./rule.ts"

/** The error function: its series near 0, the continued fraction of 1 − erf beyond; 1e-15 of its size. */
export const erf = (x: number): number => {
  const a = Math.abs(x)
  if (a > 6) return Math.sign(x)
  if (a < 2.5) {
    let [term, sum] = [x, x]
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= (-x * x) / n
      sum += term / (2 * n + 1)
    }
    return (2 / Math.sqrt(Math.PI)) * sum
  }
  let fraction = 0
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (a + fraction)
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)))
}

const roundHalfToEven = (x: number): number => {
  const floor = Math.floor(x)
  const rest = x - floor
  if (rest !== 0.5) return Math.round(x)
  return floor % 2 === 0 ? floor : floor + 1
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
const clamp = (x: number, low: number, high: number): number => Math.min(high, Math.max(low, x))

const unary: { readonly [K in keyof UnaryOps]: (x: number) => number } = {
  Abs: Math.abs,
  Ceil: Math.ceil,
  Cos: Math.cos,
  Erf: erf,
  Exp: Math.exp,
  Floor: Math.floor,
  HardSwish: (x) => x * clamp(x / 6 + 0.5, 0, 1),
  Identity: (x) => x,
  Log: Math.log,
  Neg: (x) => -x,
  Not: (x) => (x === 0 ? 1 : 0),
  Reciprocal: (x) => 1 / x,
  Relu: (x) => Math.max(0, x),
  Round: roundHalfToEven,
  Sigmoid: sigmoid,
  Sign: Math.sign,
  Sin: Math.sin,
  Softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  Sqrt: Math.sqrt,
  Tanh: Math.tanh
}

/** One entry of the result from one of each operand, or undefined where it is no dimension. */
type Combine = (a: Dim, b: Dim, dtype: DType) => Dim | undefined

const onNumbers =
  (f: (a: number, b: number) => number): Combine =>
  (a, b) =>
    isStatic(a) && isStatic(b) ? f(a, b) : isOpen(a) || isOpen(b) ? openDim(Number.NaN) : undefined

/** Integers truncate, and a multiple of the batch divides only exactly. */
const quotient: Combine = (a, b, dtype) => {
  if (!isStatic(a) || !isStatic(b)) return divDim(a, b)
  if (isFloat(dtype)) return a / b
  return b === 0 ? undefined : Math.trunc(a / b)
}

const negated = (dim: Dim): Dim =>
  isStatic(dim) ? -dim : isBatch(dim) ? { batch: -dim.batch } : openDim(-dim.about)

const truth = (f: (a: number, b: number) => boolean): Combine => onNumbers((a, b) => (f(a, b) ? 1 : 0))

const binary: { readonly [K in keyof BinaryOps]: Combine } = {
  Add: addDim,
  Sub: (a, b) => addDim(a, negated(b)),
  Mul: mulDim,
  Div: quotient,
  Pow: onNumbers(Math.pow),
  Max: onNumbers(Math.max),
  Min: onNumbers(Math.min),
  /** Integers take the divisor's sign (−1 mod 3 = 2), floats the dividend's, as the writer states. */
  Mod: (a, b, dtype) => {
    if (!isStatic(a) || !isStatic(b)) return undefined
    if (isFloat(dtype)) return a % b
    return b === 0 ? undefined : a - b * Math.floor(a / b)
  },
  And: truth((a, b) => a !== 0 && b !== 0),
  Or: truth((a, b) => a !== 0 || b !== 0),
  /** A symbol equals itself; whether it equals a number (−1 in exporters' guards) the batch decides: it does not. */
  Equal: (a, b) => {
    if (isOpen(a) || isOpen(b)) return undefined
    if (isStatic(a) || isStatic(b)) return a === b ? 1 : 0
    return a.batch === b.batch ? 1 : 0
  },
  Greater: truth((a, b) => a > b),
  GreaterOrEqual: truth((a, b) => a >= b),
  Less: truth((a, b) => a < b),
  LessOrEqual: truth((a, b) => a <= b),
  PRelu: onNumbers((x, slope) => (x < 0 ? slope * x : x))
}

const mapped =
  <K extends Op>(of: (node: Node<K>) => (x: number) => number): ListRule<K> =>
  (node, [x], [result]) => {
    const f = of(node)
    const out = numbers(result!.dtype, x!.data.length)
    for (let i = 0; i < out.length; i++) {
      const value = x!.data[i]!
      if (!isStatic(value)) return undefined
      out[i] = f(value)
    }
    return [out]
  }

const combined =
  (f: Combine): ListRule<keyof BinaryOps> =>
  (_, [a, b], [result]) => {
    const { shape, dtype } = result!
    const count = elements(shape)
    // Positions in both operands at once: each walks with its own strides.
    const positions = new Float64Array(count)
    walk(shape, broadcastStrides(a!.shape, shape), 0, (to, from) => {
      positions[to] = from
    })
    const isNumeric = ArrayBuffer.isView(a!.data) && ArrayBuffer.isView(b!.data)
    const out: { [index: number]: Dim } & ArrayLike<Dim> = isNumeric
      ? numbers(dtype, count)
      : Array.from({ length: count }, () => 0)
    let fits = true
    walk(shape, broadcastStrides(b!.shape, shape), 0, (to, from) => {
      const entry = f(a!.data[positions[to]!]!, b!.data[from]!, a!.dtype)
      if (entry === undefined) fits = false
      else out[to] = entry
    })
    return fits ? [pack(dtype, out)] : undefined
  }

type Table<Ops> = { readonly [K in keyof Ops & Op]: ListRule<K> }

// `Object.fromEntries` forgets the names; they are those of `unary` and `binary`, whose types are made of the same ops.
const unaryRows = Object.fromEntries(
  Object.entries(unary).map(([op, f]) => [op, mapped(() => f)])
) as unknown as Table<UnaryOps>
const binaryRows = Object.fromEntries(
  Object.entries(binary).map(([op, f]) => [op, combined(f)])
) as unknown as Table<BinaryOps>

export const elementwiseRules = {
  ...unaryRows,
  ...binaryRows,
  Clip: mapped<"Clip">(
    ({ attributes: { min, max } }) =>
      (x) =>
        clamp(x, min, max)
  ),
  Elu: mapped<"Elu">(
    ({ attributes: { alpha } }) =>
      (x) =>
        x < 0 ? alpha * Math.expm1(x) : x
  ),
  Gelu: mapped<"Gelu">(({ attributes: { approximate } }) =>
    approximate === "tanh"
      ? (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
      : (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2))
  ),
  HardSigmoid: mapped<"HardSigmoid">(
    ({ attributes: { alpha, beta } }) =>
      (x) =>
        clamp(alpha * x + beta, 0, 1)
  ),
  LeakyRelu: mapped<"LeakyRelu">(
    ({ attributes: { alpha } }) =>
      (x) =>
        x < 0 ? alpha * x : x
  ),

  /** Floats to integers truncate; to bool, everything but 0 is true. A dimension stays symbolic as an integer. */
  Cast: (({ attributes: { to } }, [x], [result]) => {
    const convert = (value: number) =>
      to === "bool" ? (value === 0 ? 0 : 1) : isFloat(to) ? value : Math.trunc(value)
    if (isNumbers(x!.data)) {
      const out = numbers(result!.dtype, x!.data.length)
      for (let i = 0; i < out.length; i++) out[i] = convert(x!.data[i]!)
      return [out]
    }
    const list = Array.from(x!.data, (dim) => (isStatic(dim) ? convert(dim) : dim))
    return isFloat(to) && !list.every(isStatic) ? undefined : [pack(result!.dtype, list)]
  }) satisfies ListRule<"Cast">,

  /** condition ? x : y. */
  Where: ((_, inputs, [result]) => {
    const { shape, dtype } = result!
    const count = elements(shape)
    const lists = inputs.map((input): ArrayLike<number> => {
      const positions = new Float64Array(count)
      walk(shape, broadcastStrides(input!.shape, shape), 0, (to, from) => {
        positions[to] = from
      })
      return positions
    })
    const [condition, x, y] = inputs
    const out = Array.from({ length: count }, (_, i): Dim => {
      const chosen = condition!.data[lists[0]![i]!] === 0 ? 2 : 1
      return (chosen === 1 ? x : y)!.data[lists[chosen]![i]!]!
    })
    return [pack(dtype, out)]
  }) satisfies ListRule<"Where">
}

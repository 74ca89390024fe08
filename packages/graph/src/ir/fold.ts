/**
 * Evaluates operators on values known while reading: shape arithmetic (with the batch size as a symbol), and
 * constants made from constants (transposed weights, causal masks).
 *
 * Only operators worth folding have a row; a node without one stays a node. A rule answers undefined where the
 * result is no multiple of the batch size, and the node stays too.
 */
import type { Dim } from "./Dim.ts"
import { addDim, divDim, elements, isStatic, isStaticShape, mulDim, sameDim } from "./Dim.ts"
import type { Node } from "./Graph.ts"
import type { Known } from "./Known.ts"
import { entries, isFilled } from "./Known.ts"
import type { Op } from "./Op.ts"
import type { Result } from "./shapes.ts"
import type { DType, Numbers } from "./Tensor.ts"
import { isFloat, numbers, values } from "./Tensor.ts"

type Data = ArrayLike<Dim>
interface StaticResult {
  readonly dtype: DType
  readonly shape: ReadonlyArray<number>
}
type FoldRule<K extends Op> = (
  node: Node<K>,
  inputs: ReadonlyArray<Known>,
  result: StaticResult
) => Known["data"] | undefined

/** Elements a folded result may have beyond the size of its inputs (a broadcast mask, not a blown-up weight). */
const GROWTH_LIMIT = 1 << 20

const rowMajorStrides = (shape: ReadonlyArray<number>): ReadonlyArray<number> =>
  shape.map((_, i) => elements(shape.slice(i + 1)))

/** A typed array where all entries are numbers, else a plain list. */
const pack = (dtype: DType, list: ReadonlyArray<Dim>): Data =>
  list.every(isStatic) ? typed(dtype, list) : list
const typed = (dtype: DType, list: ReadonlyArray<number>): Numbers => {
  const out = numbers(dtype, list.length)
  out.set(list)
  return out
}

/** out[i] = source[offset + Σ index_d · stride_d] over the output's indices. */
const strided = (
  source: Data,
  dtype: DType,
  shape: ReadonlyArray<number>,
  strides: ReadonlyArray<number>,
  offset = 0
): Data => {
  const count = elements(shape)
  const isTyped = ArrayBuffer.isView(source)
  const list: Array<Dim> = isTyped ? [] : Array.from({ length: count }, () => 0)
  const out: { [index: number]: Dim } = isTyped ? numbers(dtype, count) : list
  const index = shape.map(() => 0)
  let position = offset
  for (let i = 0; i < count; i++) {
    out[i] = source[position]!
    for (let d = shape.length - 1; d >= 0; d--) {
      position += strides[d]!
      if (++index[d]! < shape[d]!) break
      position -= strides[d]! * shape[d]!
      index[d] = 0
    }
  }
  return isTyped ? (out as Numbers) : list
}

/** Strides that repeat an input along the dimensions it is broadcast over. */
const broadcastStrides = (from: ReadonlyArray<number>, to: ReadonlyArray<number>): ReadonlyArray<number> => {
  const own = rowMajorStrides(from)
  const lead = to.length - from.length
  return to.map((_, i) => (i < lead || from[i - lead] === 1 ? 0 : own[i - lead]!))
}

const spread = (known: Known, shape: ReadonlyArray<number>): Data =>
  strided(entries(known), known.dtype, shape, broadcastStrides(known.shape, shape))

const unchanged: FoldRule<Op> = (_, [x]) => x!.data

const unary =
  (f: (x: number) => number): FoldRule<Op> =>
  (_, [x], { dtype }) => {
    if (isFilled(x!.data)) return { fill: f(x!.data.fill) }
    const list = Array.from(x!.data)
    return list.every(isStatic) ? typed(dtype, list.map(f)) : undefined
  }

const binary =
  (f: (a: Dim, b: Dim, dtype: DType) => Dim | undefined): FoldRule<Op> =>
  (_, [a, b], { dtype, shape }) => {
    const of = a!.dtype
    if (isFilled(a!.data) && isFilled(b!.data)) {
      const fill = f(a!.data.fill, b!.data.fill, of)
      return fill !== undefined && isStatic(fill) ? { fill } : undefined
    }
    const [x, y] = [spread(a!, shape), spread(b!, shape)]
    const out = Array.from({ length: elements(shape) }, (_, i) => f(x[i]!, y[i]!, of))
    return out.every((dim) => dim !== undefined) ? pack(dtype, out) : undefined
  }

const onNumbers = (f: (a: number, b: number) => number) =>
  binary((a, b) => (isStatic(a) && isStatic(b) ? f(a, b) : undefined))

/** Quotient; integers truncate, and a multiple of the batch divides only exactly. */
const quotient = (a: Dim, b: Dim, dtype: DType): Dim | undefined => {
  if (!isStatic(a) || !isStatic(b)) return divDim(a, b)
  if (isFloat(dtype)) return a / b
  return b === 0 ? undefined : Math.trunc(a / b)
}

const rules: { readonly [K in Op]?: FoldRule<K> } = {
  Identity: unchanged,
  Neg: unary((x) => -x),
  Sqrt: unary(Math.sqrt),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Abs: unary(Math.abs),
  Not: unary((x) => (x === 0 ? 1 : 0)),
  Reciprocal: unary((x) => 1 / x),
  Exp: unary(Math.exp),

  Add: binary(addDim),
  Sub: binary((a, b) => addDim(a, isStatic(b) ? -b : { batch: -b.batch })),
  Mul: binary(mulDim),
  Div: binary(quotient),
  Max: onNumbers(Math.max),
  Min: onNumbers(Math.min),
  Pow: onNumbers(Math.pow),
  Mod: onNumbers((a, b) => a % b),
  And: onNumbers((a, b) => (a !== 0 && b !== 0 ? 1 : 0)),
  Or: onNumbers((a, b) => (a !== 0 || b !== 0 ? 1 : 0)),
  Equal: binary((a, b) => (sameDim(a, b) ? 1 : 0)),
  Greater: onNumbers((a, b) => (a > b ? 1 : 0)),
  GreaterOrEqual: onNumbers((a, b) => (a >= b ? 1 : 0)),
  Less: onNumbers((a, b) => (a < b ? 1 : 0)),
  LessOrEqual: onNumbers((a, b) => (a <= b ? 1 : 0)),

  /** condition ? x : y. */
  Where: (_, [condition, x, y], { dtype, shape }) => {
    const [c, a, b] = [spread(condition!, shape), spread(x!, shape), spread(y!, shape)]
    return pack(
      dtype,
      Array.from({ length: elements(shape) }, (_, i) => (c[i] === 0 ? b[i]! : a[i]!))
    )
  },

  /** Floats to integers truncate; to bool, everything but 0 is true. A dimension stays symbolic as an integer. */
  Cast: ({ attributes: { to } }, [x], { dtype }) => {
    const convert = (value: number) =>
      to === "bool" ? (value === 0 ? 0 : 1) : isFloat(to) ? value : Math.trunc(value)
    if (isFilled(x!.data)) return { fill: convert(x!.data.fill) }
    const list = Array.from(x!.data, (dim) => (isStatic(dim) ? convert(dim) : dim))
    return isFloat(to) && !list.every(isStatic) ? undefined : pack(dtype, list)
  },

  Reshape: unchanged,
  Flatten: unchanged,
  Squeeze: unchanged,
  Unsqueeze: unchanged,

  Transpose: ({ attributes: { perm } }, [x], { dtype, shape }) => {
    if (isFilled(x!.data)) return x!.data
    const from = rowMajorStrides(x!.shape)
    return strided(
      entries(x!),
      dtype,
      shape,
      perm.map((axis) => from[axis]!)
    )
  },
  Expand: (_, [x], { shape }) => (isFilled(x!.data) ? x!.data : spread(x!, shape)),

  Slice: ({ attributes: { starts, axes, steps } }, [x], { dtype, shape }) => {
    if (isFilled(x!.data)) return x!.data
    const strides = [...rowMajorStrides(x!.shape)]
    let offset = 0
    axes.forEach((axis, i) => {
      const dim = x!.shape[axis]!
      const start = starts[i]! < 0 ? starts[i]! + dim : starts[i]!
      offset += Math.min(Math.max(start, 0), steps[i]! > 0 ? dim : dim - 1) * strides[axis]!
      strides[axis]! *= steps[i]!
    })
    return strided(entries(x!), dtype, shape, strides, offset)
  },

  Gather: ({ attributes: { axis } }, [data, indices], { dtype }) => {
    const picks = Array.from(entries(indices!))
    if (!picks.every(isStatic)) return undefined
    const dim = data!.shape[axis]!
    const inner = elements(data!.shape.slice(axis + 1))
    const outer = elements(data!.shape.slice(0, axis))
    const source = entries(data!)
    const out: Array<Dim> = []
    for (let o = 0; o < outer; o++) {
      for (const pick of picks) {
        const row = (o * dim + (pick < 0 ? pick + dim : pick)) * inner
        for (let i = 0; i < inner; i++) out.push(source[row + i]!)
      }
    }
    return pack(dtype, out)
  },

  Concat: ({ attributes: { axis } }, inputs, { dtype, shape }) => {
    const outer = elements(shape.slice(0, axis))
    const rows = inputs.map((known) => ({ data: entries(known), length: elements(known.shape.slice(axis)) }))
    const out: Array<Dim> = []
    for (let o = 0; o < outer; o++) {
      for (const { data, length } of rows) for (let i = 0; i < length; i++) out.push(data[o * length + i]!)
    }
    return pack(dtype, out)
  },

  ReduceProd: (_, [x], { dtype, shape }) => {
    if (elements(shape) !== 1) return undefined
    const product = Array.from(entries(x!)).reduce<Dim | undefined>(
      (n, dim) => (n === undefined ? n : mulDim(n, dim)),
      1
    )
    return product === undefined ? undefined : pack(dtype, [product])
  },

  Range: ({ attributes: { start, limit, delta } }, _, { dtype, shape }) =>
    isStatic(limit)
      ? typed(
          dtype,
          Array.from({ length: elements(shape) }, (_, i) => start + i * delta)
        )
      : undefined,
  ConstantOfShape: ({ attributes: { value } }) => ({ fill: values(value)[0] ?? 0 })
}

/**
 * The node's result where every input is known and the result is worth having as a constant.
 * Splits have several results and are not folded.
 */
export const foldNode = <K extends Op>(
  node: Node<K>,
  inputs: ReadonlyArray<Known>,
  result: Result
): Known | undefined => {
  const rule = rules[node.op] as FoldRule<K> | undefined
  if (rule === undefined || !isStaticShape(result.shape)) return undefined
  const isLight = inputs.every((known) => isFilled(known.data))
  const given = inputs.reduce((count, known) => count + elements(known.shape), GROWTH_LIMIT)
  if (!isLight && elements(result.shape) > given) return undefined
  const data = rule(node, inputs, { dtype: result.dtype, shape: result.shape })
  return data === undefined ? undefined : { dtype: result.dtype, shape: result.shape, data }
}

/**
 * Shape and dtype of every operator's results, one row an operator.
 *
 * Rules check what they rely on and refuse with the reason; the message is completed with the node's name by
 * whoever applies the rule. Rows open with their formula where it is more than "the input's shape".
 */
import { LARGEST_RANK } from "./Budget.ts"
import { convolutionRules, windowOutput } from "./convolutionShapes.ts"
import type { Dim, Shape } from "./Dim.ts"
import { addDim, elementsAt, isOpen, isStatic, mulDim, sameDim, sameShape, showShape } from "./Dim.ts"
import type { Node, Value } from "./Graph.ts"
import type { BinaryOps, Op, ReduceOps, UnaryOps } from "./Op.ts"
import { refuse, unsupported } from "./Refusal.ts"
import { quantizationRules } from "./quantizationShapes.ts"
import { blockShape, recurrentRules, selectionRules } from "./selectionShapes.ts"
import type { Result, ShapeRule } from "./shapeRule.ts"
import { mapDim, need, needRank } from "./shapeRule.ts"

export type { Result } from "./shapeRule.ts"

/** NumPy broadcasting: dimensions are compared from the last; 1 gives way. */
export const broadcast = (a: Shape, b: Shape): Shape => {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const x: Dim = a[i - rank + a.length] ?? 1
    const y: Dim = b[i - rank + b.length] ?? 1
    if (y === 1) return x
    if (x === 1) return y
    // An open dimension fits; where the other side is known, the result has its size.
    if (sameDim(x, y)) return isOpen(x) ? y : x
    return refuse(`shapes ${showShape(a)} and ${showShape(b)} do not broadcast`)
  })
}

const same = (_: Node, inputs: ReadonlyArray<Value | undefined>) => [need(inputs, 0)]

const arithmetic = (_: Node, inputs: ReadonlyArray<Value | undefined>): ReadonlyArray<Result> => {
  const [a, b] = [need(inputs, 0), need(inputs, 1)]
  return [{ dtype: a.dtype, shape: broadcast(a.shape, b.shape) }]
}

const comparison = (node: Node, inputs: ReadonlyArray<Value | undefined>): ReadonlyArray<Result> =>
  arithmetic(node, inputs).map(({ shape }) => ({ dtype: "bool", shape }))

const reduceShape = (shape: Shape, axes: ReadonlyArray<number>, keepDims: boolean): Shape =>
  shape.flatMap((dim, i): ReadonlyArray<Dim> => (axes.includes(i) ? (keepDims ? [1] : []) : [dim]))

const reduce = (
  node: Node<keyof ReduceOps>,
  inputs: ReadonlyArray<Value | undefined>
): ReadonlyArray<Result> => {
  const { dtype, shape } = need(inputs, 0)
  return [{ dtype, shape: reduceShape(shape, node.attributes.axes, node.attributes.keepDims) }]
}

const pool = (
  node: Node<"MaxPool" | "AveragePool">,
  inputs: ReadonlyArray<Value | undefined>
): ReadonlyArray<Result> => {
  const { dtype, shape } = needRank(inputs, 0, 3)
  return [
    {
      dtype,
      shape: [...shape.slice(0, 2), ...windowOutput(shape, node.attributes, node.attributes.ceilMode)]
    }
  ]
}

const globalPool = (_: Node, inputs: ReadonlyArray<Value | undefined>): ReadonlyArray<Result> => {
  const { dtype, shape } = needRank(inputs, 0, 2)
  return [{ dtype, shape: shape.map((dim, i) => (i < 2 ? dim : 1)) }]
}

/** [M,K]·[K,N] on the last two dimensions, the others broadcast; a vector gains a dimension that is dropped again. */
const matmul = (a: Shape, b: Shape): Shape => {
  const left = a.length === 1 ? [1, ...a] : a
  const right = b.length === 1 ? [...b, 1] : b
  if (left.length < 2 || right.length < 2) return refuse("a scalar has no matrix product")
  if (!sameDim(left.at(-1)!, right.at(-2)!)) {
    return refuse(`inner dimensions of ${showShape(a)} and ${showShape(b)} differ`)
  }
  const outer = broadcast(left.slice(0, -2), right.slice(0, -2))
  return [...outer, ...(a.length === 1 ? [] : [left.at(-2)!]), ...(b.length === 1 ? [] : [right.at(-1)!])]
}

/** Length of a slice; start and end are clamped to the dimension as ONNX says. */
export const sliceLength = (dim: number, start: number, end: number, step: number): number => {
  const clamp = (x: number, low: number, high: number) => Math.min(high, Math.max(low, x < 0 ? x + dim : x))
  return step > 0
    ? Math.max(0, Math.ceil((clamp(end, 0, dim) - clamp(start, 0, dim)) / step))
    : Math.max(0, Math.ceil((clamp(end, -1, dim - 1) - clamp(start, 0, dim - 1)) / step))
}

/** Whether a parameter broadcasts into a shape without making it larger. */
const fitsInto = (part: Value, shape: Shape): void => {
  if (part.shape.length > shape.length || !sameShape(broadcast(part.shape, shape), shape))
    refuse(`the parameter ${showShape(part.shape)} does not fit ${showShape(shape)}`)
}

/** x, whose `count` − 1 parameters have one entry a channel. */
const perChannel = (inputs: ReadonlyArray<Value | undefined>, count: number, least: number): Value => {
  const x = needRank(inputs, 0, least)
  const channels = x.shape[1] ?? 1
  for (let i = 1; i < count; i++) {
    const { shape } = need(inputs, i)
    if (shape.length !== 1 || !sameDim(shape[0]!, channels))
      refuse(`the parameter ${showShape(shape)} does not fit the channels of ${showShape(x.shape)}`)
  }
  return x
}

const unaryRules: { readonly [K in keyof UnaryOps]: ShapeRule<K> } = {
  Abs: same,
  Ceil: same,
  Cos: same,
  Erf: same,
  Exp: same,
  Floor: same,
  HardSwish: same,
  Identity: same,
  Log: same,
  Neg: same,
  Not: same,
  Reciprocal: same,
  Relu: same,
  Round: same,
  Sigmoid: same,
  Sign: same,
  Sin: same,
  Softplus: same,
  Sqrt: same,
  Tanh: same
}

const binaryRules: { readonly [K in keyof BinaryOps]: ShapeRule<K> } = {
  Add: arithmetic,
  Sub: arithmetic,
  Mul: arithmetic,
  Div: arithmetic,
  Pow: arithmetic,
  Max: arithmetic,
  Min: arithmetic,
  Mod: arithmetic,
  And: comparison,
  Or: comparison,
  Equal: comparison,
  Greater: comparison,
  GreaterOrEqual: comparison,
  Less: comparison,
  LessOrEqual: comparison,
  PRelu: arithmetic
}

const reduceRules: { readonly [K in keyof ReduceOps]: ShapeRule<K> } = {
  ReduceMax: reduce,
  ReduceMean: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceSum: reduce,
  ReduceSumSquare: reduce,
  ReduceL2: reduce
}

export const shapeRules: { readonly [K in Op]: ShapeRule<K> } = {
  ...unaryRules,
  ...binaryRules,
  ...reduceRules,

  Cast: (node, inputs) => [{ dtype: node.attributes.to, shape: need(inputs, 0).shape }],
  Clip: same,
  Elu: same,
  Gelu: same,
  HardSigmoid: same,
  LeakyRelu: same,
  Where: (_, inputs) => [
    {
      dtype: need(inputs, 1).dtype,
      shape: broadcast(need(inputs, 0).shape, broadcast(need(inputs, 1).shape, need(inputs, 2).shape))
    }
  ],

  ...convolutionRules,

  Gemm: (node, inputs) => {
    const [a, b] = [needRank(inputs, 0, 2, 2), needRank(inputs, 1, 2, 2)]
    const flip = (shape: Shape, flag: boolean) => (flag ? shape.toReversed() : shape)
    const shape = matmul(flip(a.shape, node.attributes.transA), flip(b.shape, node.attributes.transB))
    const c = inputs[2]?.shape ?? []
    if (c.length > 2 || !sameShape(broadcast(c, shape), shape))
      refuse(`the addend ${showShape(c)} does not fit the product ${showShape(shape)}`)
    return [{ dtype: a.dtype, shape }]
  },
  MatMul: (_, inputs) => {
    const [a, b] = [need(inputs, 0), need(inputs, 1)]
    return [{ dtype: a.dtype, shape: matmul(a.shape, b.shape) }]
  },

  ...recurrentRules,

  BatchNormalization: (_, inputs) => [perChannel(inputs, 5, 1)],
  LayerNormalization: (node, inputs) => {
    const x = needRank(inputs, 0, 1)
    const own = x.shape.slice(node.attributes.axis)
    need(inputs, 1)
    for (const part of inputs.slice(1)) if (part !== undefined) fitsInto(part, own)
    return [x]
  },
  InstanceNormalization: (_, inputs) => [perChannel(inputs, 3, 3)],
  LRN: (_, inputs) => [needRank(inputs, 0, 2)],
  Softmax: same,
  LogSoftmax: same,

  AveragePool: pool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  MaxPool: pool,

  ...selectionRules,

  CumSum: same,
  Trilu: (_, inputs) => [needRank(inputs, 0, 2)],
  Concat: (node, inputs) => {
    const first = needRank(inputs, 0, 1)
    const { axis } = node.attributes
    const isLike = (shape: Shape) =>
      shape.length === first.shape.length &&
      shape.every((dim, i) => i === axis || sameDim(dim, first.shape[i]!))
    const odd = inputs.find((value) => value !== undefined && !isLike(value.shape))
    if (odd !== undefined)
      refuse(
        `joins ${showShape(first.shape)} and ${showShape(odd.shape)} along axis ${axis}, which do not fit`
      )
    const length = inputs.reduce<Dim>((sum, value) => {
      const dim = value?.shape[axis]
      const next = dim === undefined ? undefined : addDim(sum, dim)
      return next ?? refuse("its lengths cannot be added")
    }, 0)
    return [{ dtype: first.dtype, shape: first.shape.with(axis, length) }]
  },
  DepthToSpace: (node, inputs) => {
    const { dtype, shape } = needRank(inputs, 0, 4, 4)
    return [{ dtype, shape: blockShape(shape, node.attributes.blockSize, true) }]
  },
  Expand: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    return [{ dtype, shape: broadcast(shape, node.attributes.shape) }]
  },
  /** [product before axis, product from axis]. */
  Flatten: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { axis } = node.attributes
    if (!(axis >= 0 && axis <= shape.length))
      refuse(`axis ${axis} does not exist in a tensor of rank ${shape.length}`)
    const product = (dims: Shape) =>
      dims.reduce<Dim>((n, dim) => mulDim(n, dim) ?? unsupported("its size is no multiple of the batch"), 1)
    return [
      {
        dtype,
        shape: [product(shape.slice(0, axis)), product(shape.slice(axis))]
      }
    ]
  },
  Pad: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { pads } = node.attributes
    if (pads.length !== 2 * shape.length) refuse(`has ${pads.length} pads for the shape ${showShape(shape)}`)
    const out = shape.map((dim, i) => {
      const extra = pads[i]! + pads[i + shape.length]!
      return extra === 0 ? dim : mapDim(dim, "a padded dimension", (size) => size + extra)
    })
    return [{ dtype, shape: out }]
  },
  Reshape: (node, inputs) => [{ dtype: need(inputs, 0).dtype, shape: node.attributes.shape }],
  /** floor(in · scale), or the given sizes. */
  Resize: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { scales, sizes } = node.attributes
    if (scales.length !== shape.length)
      refuse(`has ${scales.length} scales for the shape ${showShape(shape)}`)
    return [
      {
        dtype,
        shape:
          sizes ??
          shape.map((dim, i) =>
            scales[i] === 1
              ? dim
              : mapDim(dim, "a resized dimension", (size) => Math.floor(size * scales[i]!))
          )
      }
    ]
  },
  Slice: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { starts, ends, axes, steps } = node.attributes
    const out = axes.reduce<Shape>((dims, axis, i) => {
      const dim = dims[axis] ?? refuse(`slices axis ${axis} of a tensor of rank ${dims.length}`)
      if (steps[i] === 0) refuse("has a step of 0")
      const whole = starts[i] === 0 && steps[i] === 1 && ends[i]! >= 2 ** 31 - 1
      if (whole) return dims
      return dims.with(
        axis,
        mapDim(dim, "a sliced dimension", (size) =>
          Number.isNaN(size) ? size : sliceLength(size, starts[i]!, ends[i]!, steps[i]!)
        )
      )
    }, shape)
    return [{ dtype, shape: out }]
  },
  SpaceToDepth: (node, inputs) => {
    const { dtype, shape } = needRank(inputs, 0, 4, 4)
    return [{ dtype, shape: blockShape(shape, node.attributes.blockSize, false) }]
  },
  Split: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { axis, sizes } = node.attributes
    const total = sizes.reduce((a, b) => a + b, 0)
    if (shape[axis] === undefined || !sameDim(shape[axis], total))
      refuse(`parts of ${sizes.join(" + ")} do not make axis ${axis} of ${showShape(shape)}`)
    return sizes.map((size) => ({ dtype, shape: shape.with(axis, size) }))
  },
  Squeeze: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const bad = node.attributes.axes.find((axis) => !sameDim(shape[axis] ?? 0, 1))
    if (bad !== undefined) refuse(`squeezes dimension ${bad} of ${showShape(shape)}, which is not 1`)
    return [{ dtype, shape: shape.filter((_, i) => !node.attributes.axes.includes(i)) }]
  },
  Tile: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { repeats } = node.attributes
    if (repeats.length !== shape.length)
      refuse(`has ${repeats.length} repeats for the shape ${showShape(shape)}`)
    const out = shape.map((dim, i) => mulDim(dim, repeats[i]!) ?? unsupported("repeats the batch by itself"))
    return [{ dtype, shape: out }]
  },
  Transpose: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { perm } = node.attributes
    const isPermutation =
      perm.length === shape.length && perm.toSorted((a, b) => a - b).every((axis, i) => axis === i)
    if (!isPermutation) refuse(`perm [${perm.join(",")}] does not permute a tensor of rank ${shape.length}`)
    return [{ dtype, shape: perm.map((axis) => shape[axis]!) }]
  },
  Unsqueeze: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    return [
      { dtype, shape: node.attributes.axes.reduce<Shape>((dims, axis) => dims.toSpliced(axis, 0, 1), shape) }
    ]
  },

  ConstantOfShape: (node) => [{ dtype: node.attributes.value.dtype, shape: node.attributes.shape }],
  Range: (node) => {
    const { start, limit, delta, dtype } = node.attributes
    if (delta === 0) refuse("has a delta of 0")
    if (isStatic(limit)) return [{ dtype, shape: [Math.max(0, Math.ceil((limit - start) / delta))] }]
    return start === 0 && delta === 1
      ? [{ dtype, shape: [limit] }]
      : unsupported("its length is no multiple of the batch size")
  },
  Shape: (node) => [{ dtype: "int64", shape: [node.attributes.end - node.attributes.start] }],

  ...quantizationRules,

  Opaque: (node) => node.attributes.results
}

/** A result no later pass can work with: too many dimensions, or sizes that are no sizes. */
const checkResult = ({ shape }: Result): void => {
  if (shape.length > LARGEST_RANK) refuse(`makes a tensor of ${shape.length} dimensions`)
  const bad = shape.some((dim) => isStatic(dim) && !(Number.isSafeInteger(dim) && dim >= 0))
  if (bad || elementsAt(shape, 1) > Number.MAX_SAFE_INTEGER)
    refuse(`makes the impossible shape ${showShape(shape)}`)
}

/** Dtypes and shapes of a node's results. Throws a Refusal where the inputs do not fit the node. */
export const inferNode = <K extends Op>(
  node: Node<K>,
  inputs: ReadonlyArray<Value | undefined>
): ReadonlyArray<Result> => {
  const results = (shapeRules[node.op] as ShapeRule<K>)(node, inputs)
  results.forEach(checkResult)
  return results
}

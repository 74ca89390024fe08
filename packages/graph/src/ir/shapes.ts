/**
 * Shape and dtype of every operator's results, one row an operator.
 *
 * Rules check what they rely on and refuse with the reason; the message is completed with the node's name by
 * whoever applies the rule. Rows open with their formula where it is more than "the input's shape".
 */
import { convolutionRules, windowOutput } from "./convolutionShapes.ts"
import type { Dim, Shape } from "./Dim.ts"
import { addDim, dimAt, isStatic, mulDim, sameDim, showShape } from "./Dim.ts"
import type { Node, Value } from "./Graph.ts"
import type { BinaryOps, Op, ReduceOps, UnaryOps } from "./Op.ts"
import { refuse } from "./Refusal.ts"
import type { Result, ShapeRule } from "./shapeRule.ts"
import { need, staticDim } from "./shapeRule.ts"

export type { Result } from "./shapeRule.ts"

/** NumPy broadcasting: dimensions are compared from the last; 1 gives way. */
export const broadcast = (a: Shape, b: Shape): Shape => {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const x: Dim = a[i - rank + a.length] ?? 1
    const y: Dim = b[i - rank + b.length] ?? 1
    if (sameDim(x, y) || y === 1) return x
    return x === 1 ? y : refuse(`shapes ${showShape(a)} and ${showShape(b)} do not broadcast`)
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
  const { dtype, shape } = need(inputs, 0)
  return [
    {
      dtype,
      shape: [...shape.slice(0, 2), ...windowOutput(shape, node.attributes, node.attributes.ceilMode)]
    }
  ]
}

const globalPool = (_: Node, inputs: ReadonlyArray<Value | undefined>): ReadonlyArray<Result> => {
  const { dtype, shape } = need(inputs, 0)
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
    const [a, b] = [need(inputs, 0), need(inputs, 1)]
    const flip = (shape: Shape, flag: boolean) => (flag ? shape.toReversed() : shape)
    return [
      {
        dtype: a.dtype,
        shape: matmul(flip(a.shape, node.attributes.transA), flip(b.shape, node.attributes.transB))
      }
    ]
  },
  MatMul: (_, inputs) => {
    const [a, b] = [need(inputs, 0), need(inputs, 1)]
    return [{ dtype: a.dtype, shape: matmul(a.shape, b.shape) }]
  },

  BatchNormalization: same,
  LayerNormalization: same,
  InstanceNormalization: same,
  LRN: same,
  Softmax: same,
  LogSoftmax: same,

  AveragePool: pool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  MaxPool: pool,

  ArgMax: (node, inputs) => [
    {
      dtype: "int64",
      shape: reduceShape(need(inputs, 0).shape, [node.attributes.axis], node.attributes.keepDims)
    }
  ],
  Gather: (node, inputs) => {
    const [data, indices] = [need(inputs, 0), need(inputs, 1)]
    const { axis } = node.attributes
    return [
      {
        dtype: data.dtype,
        shape: [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)]
      }
    ]
  },
  GatherElements: (_, inputs) => [{ dtype: need(inputs, 0).dtype, shape: need(inputs, 1).shape }],
  OneHot: (node, inputs) => [
    {
      dtype: "float32",
      shape: need(inputs, 0).shape.toSpliced(node.attributes.axis, 0, node.attributes.depth)
    }
  ],
  TopK: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const out = shape.with(node.attributes.axis, node.attributes.k)
    return [
      { dtype, shape: out },
      { dtype: "int64", shape: out }
    ]
  },

  Concat: (node, inputs) => {
    const first = need(inputs, 0)
    const { axis } = node.attributes
    const length = inputs.reduce<Dim>((sum, value) => {
      const dim = value?.shape[axis]
      const next = dim === undefined ? undefined : addDim(sum, dim)
      return next ?? refuse("its lengths cannot be added")
    }, 0)
    return [{ dtype: first.dtype, shape: first.shape.with(axis, length) }]
  },
  DepthToSpace: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const b = node.attributes.blockSize
    const [n, c, h, w] = [shape[0]!, ...shape.slice(1).map((dim) => staticDim(dim, "a spatial dimension"))]
    return [{ dtype, shape: [n, (c as number) / (b * b), (h as number) * b, (w as number) * b] }]
  },
  Expand: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    return [{ dtype, shape: broadcast(shape, node.attributes.shape) }]
  },
  /** [product before axis, product from axis]. */
  Flatten: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const product = (dims: Shape) =>
      dims.reduce<Dim>((n, dim) => mulDim(n, dim) ?? refuse("its size is no multiple of the batch"), 1)
    return [
      {
        dtype,
        shape: [product(shape.slice(0, node.attributes.axis)), product(shape.slice(node.attributes.axis))]
      }
    ]
  },
  Pad: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { pads } = node.attributes
    const out = shape.map((dim, i) => {
      const extra = pads[i]! + pads[i + shape.length]!
      return extra === 0 ? dim : staticDim(dim, "a padded dimension") + extra
    })
    return [{ dtype, shape: out }]
  },
  Reshape: (node, inputs) => [{ dtype: need(inputs, 0).dtype, shape: node.attributes.shape }],
  /** floor(in · scale), or the given sizes. */
  Resize: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { scales, sizes } = node.attributes
    return [
      {
        dtype,
        shape:
          sizes ?? shape.map((dim, i) => (scales[i] === 1 ? dim : Math.floor(dimAt(dim, 1) * scales[i]!)))
      }
    ]
  },
  Slice: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { starts, ends, axes, steps } = node.attributes
    const out = axes.reduce<Shape>((dims, axis, i) => {
      const dim = dims[axis]!
      if (isStatic(dim)) return dims.with(axis, sliceLength(dim, starts[i]!, ends[i]!, steps[i]!))
      const whole = starts[i] === 0 && steps[i] === 1 && ends[i]! >= 2 ** 31 - 1
      return whole ? dims : refuse("slices the batch dimension")
    }, shape)
    return [{ dtype, shape: out }]
  },
  SpaceToDepth: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const b = node.attributes.blockSize
    const [n, c, h, w] = [shape[0]!, ...shape.slice(1).map((dim) => staticDim(dim, "a spatial dimension"))]
    return [{ dtype, shape: [n, (c as number) * b * b, (h as number) / b, (w as number) / b] }]
  },
  Split: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { axis, sizes } = node.attributes
    const total = sizes.reduce((a, b) => a + b, 0)
    if (!sameDim(shape[axis]!, total))
      refuse(`parts of ${sizes.join(" + ")} do not make ${showShape([shape[axis]!])}`)
    return sizes.map((size) => ({ dtype, shape: shape.with(axis, size) }))
  },
  Squeeze: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const bad = node.attributes.axes.find((axis) => shape[axis] !== 1)
    if (bad !== undefined) refuse(`squeezes dimension ${bad} of ${showShape(shape)}, which is not 1`)
    return [{ dtype, shape: shape.filter((_, i) => !node.attributes.axes.includes(i)) }]
  },
  Tile: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const out = shape.map(
      (dim, i) => mulDim(dim, node.attributes.repeats[i]!) ?? refuse("repeats the batch by itself")
    )
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
    if (isStatic(limit)) return [{ dtype, shape: [Math.max(0, Math.ceil((limit - start) / delta))] }]
    return start === 0 && delta === 1
      ? [{ dtype, shape: [limit] }]
      : refuse("its length is no multiple of the batch size")
  },
  Shape: (node) => [{ dtype: "int64", shape: [node.attributes.end - node.attributes.start] }],

  QuantizeLinear: (node, inputs) => [{ dtype: node.attributes.to, shape: need(inputs, 0).shape }],
  DequantizeLinear: (_, inputs) => [{ dtype: need(inputs, 1).dtype, shape: need(inputs, 0).shape }]
}

/** Dtypes and shapes of a node's results. Throws a Refusal where the inputs do not fit the node. */
export const inferNode = <K extends Op>(
  node: Node<K>,
  inputs: ReadonlyArray<Value | undefined>
): ReadonlyArray<Result> => (shapeRules[node.op] as ShapeRule<K>)(node, inputs)

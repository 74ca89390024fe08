/** Random shapes and attributes of every operator: one row an operator, so that the compiler lists those that miss one. */
import type { Attributes, Op } from "@bitbudget/graph"
import * as fc from "fast-check"
import type { Input } from "./case.ts"
import { one } from "./case.ts"
import type { Row } from "./draws.ts"
import { broadcasting, int, pick, positive, shape, wide, withAxis } from "./draws.ts"
import { movement } from "./movement.ts"
import { recurrence } from "./recurrence.ts"
import { convolution, pooling, transposedConvolution } from "./windows.ts"

/** Operators without attributes. */
type Plain = {
  [K in Op]: {} extends Attributes[K] ? K : never
}[Op]

const unary = (op: Plain, range?: Input["range"], smooth = true): Row =>
  shape(1, 4).map((dims) =>
    one(op, {}, [{ shape: dims, ...(range === undefined ? {} : { range }) }], { smooth })
  )

const binary = (op: Plain, smooth: boolean, ranges: readonly [Input["range"]?, Input["range"]?] = []): Row =>
  broadcasting.map((shapes) =>
    one(
      op,
      {},
      shapes.map((dims, i) => ({ shape: dims, ...(ranges[i] === undefined ? {} : { range: ranges[i] }) })),
      { smooth }
    )
  )

const reduce = (
  op: "ReduceMax" | "ReduceMean" | "ReduceMin" | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" | "ReduceL2",
  smooth: boolean,
  range?: Input["range"]
): Row =>
  shape(1, 4).chain((dims) =>
    fc
      .record({
        axes: fc.subarray(
          dims.map((_, i) => i),
          { minLength: 1 }
        ),
        keepDims: fc.boolean()
      })
      .map((attributes) =>
        one(op, attributes, [{ shape: dims, ...(range === undefined ? {} : { range }) }], { smooth })
      )
  )

const gemm: Row = fc
  .record({
    m: int(1, 4),
    k: int(1, 4),
    n: int(1, 4),
    transA: fc.boolean(),
    transB: fc.boolean(),
    bias: int(0, 3)
  })
  .map(({ m, k, n, transA, transB, bias }) => {
    const c = [[], [[n]], [[m, 1]], [[m, n]]][bias]!
    const attributes = { alpha: 0.7, beta: 1.3, transA, transB }
    return one("Gemm", attributes, [transA ? [k, m] : [m, k], transB ? [n, k] : [k, n], ...c], {
      smooth: true
    })
  })

const matmul: Row = fc
  .record({ m: int(1, 3), k: int(1, 4), n: int(1, 3), lead: broadcasting, form: int(0, 4) })
  .map(({ m, k, n, lead: [a, b], form }) => {
    const [left, right] = [a.slice(0, 2), b.slice(-Math.min(2, a.length, b.length))]
    const fits =
      left.length === right.length && left.every((dim, i) => dim === right[i] || dim === 1 || right[i] === 1)
    const shapes = [
      [[k], [...right, k, n]],
      [[...left, m, k], [k]],
      [[k], [k]],
      [
        [...left, m, k],
        [k, n]
      ],
      fits
        ? [
            [...left, m, k],
            [...right, k, n]
          ]
        : [
            [m, k],
            [...right, k, n]
          ]
    ][form]!
    return one("MatMul", {}, shapes, { smooth: true })
  })

const epsilon = 0.01

const normalisation = {
  BatchNormalization: shape(2, 4).map((dims) => {
    const c = [dims[1]!]
    return one("BatchNormalization", { epsilon }, [dims, c, c, c, { shape: c, range: positive }], {
      smooth: true
    })
  }),
  InstanceNormalization: shape(3, 4).map((dims) => {
    const c = [dims[1]!]
    const x = [dims[0]!, ...c, ...dims.slice(2).map((dim) => dim + 2)]
    return one("InstanceNormalization", { epsilon: 0.3 }, [x, c, c], { smooth: true })
  }),
  LayerNormalization: withAxis(2, 4).chain(({ dims, axis }) =>
    fc.boolean().map((bias) => {
      const x = dims.map((dim, i) => (i === axis ? dim + 3 : dim))
      const own = x.slice(axis)
      return one("LayerNormalization", { axis, epsilon: 0.3 }, [x, own, ...(bias ? [own] : [])], {
        smooth: true
      })
    })
  ),
  LRN: fc
    .record({ dims: shape(4, 4), size: pick(1, 3, 5), beta: pick(0.5, 0.75) })
    .map(({ dims, size, beta }) => one("LRN", { size, alpha: 0.5, beta, bias: 1 }, [dims], { smooth: true }))
} satisfies Partial<Record<Op, Row>>

/** "untested": not differentiated, or no operator of ONNX (its rule is part of the second derivatives of Conv). */
export const arbitraries: { readonly [K in Op]: Row | "untested" } = {
  ...normalisation,
  ...pooling,
  ...movement,
  Abs: unary("Abs", undefined, false),
  Ceil: unary("Ceil", wide, false),
  Cos: unary("Cos"),
  Erf: unary("Erf"),
  Exp: unary("Exp"),
  Floor: unary("Floor", wide, false),
  HardSwish: unary("HardSwish", wide, false),
  Identity: unary("Identity"),
  Log: unary("Log", positive),
  Neg: unary("Neg"),
  Reciprocal: unary("Reciprocal", positive),
  Relu: unary("Relu", undefined, false),
  Round: unary("Round", wide, false),
  Sigmoid: unary("Sigmoid"),
  Sign: unary("Sign", undefined, false),
  Sin: unary("Sin"),
  Softplus: unary("Softplus"),
  Sqrt: unary("Sqrt", positive),
  Tanh: unary("Tanh"),

  Add: binary("Add", true),
  Sub: binary("Sub", true),
  Mul: binary("Mul", true),
  Div: binary("Div", true, [undefined, positive]),
  Pow: binary("Pow", true, [positive, [-1, 2]]),
  Max: binary("Max", false),
  Min: binary("Min", false),
  /** Quotients stay between two whole numbers. */
  Mod: binary("Mod", true, [
    [2.1, 2.6],
    [0.9, 1]
  ]),
  PRelu: broadcasting.map(([x, slope]) =>
    one("PRelu", {}, x.length >= slope.length ? [x, slope] : [slope, x])
  ),

  ReduceMax: reduce("ReduceMax", false),
  ReduceMean: reduce("ReduceMean", true),
  ReduceMin: reduce("ReduceMin", false),
  ReduceProd: reduce("ReduceProd", true, positive),
  ReduceSum: reduce("ReduceSum", true),
  ReduceSumSquare: reduce("ReduceSumSquare", true),
  ReduceL2: reduce("ReduceL2", true, positive),

  Cast: shape(1, 3).map((dims) => one("Cast", { to: "float32" }, [dims], { smooth: true })),
  Clip: fc
    .record({ dims: shape(1, 3), min: pick(-Infinity, -0.5, 0), max: pick(Infinity, 0.25) })
    .map(({ dims, min, max }) => one("Clip", { min, max }, [dims])),
  Elu: shape(1, 3).map((dims) => one("Elu", { alpha: 1.2 }, [dims])),
  Gelu: fc
    .tuple(shape(1, 3), pick("none", "tanh"))
    .map(([dims, approximate]) => one("Gelu", { approximate }, [dims], { smooth: true })),
  HardSigmoid: shape(1, 3).map((dims) =>
    one("HardSigmoid", { alpha: 0.5, beta: 0.5 }, [{ shape: dims, range: wide }])
  ),
  LeakyRelu: shape(1, 3).map((dims) => one("LeakyRelu", { alpha: 0.1 }, [dims])),

  ...recurrence,

  Conv: convolution,
  ConvTranspose: transposedConvolution,
  ConvWeightGradient: "untested",
  Gemm: gemm,
  MatMul: matmul,

  Softmax: withAxis(1, 4).map(({ dims, axis }) => one("Softmax", { axis }, [dims], { smooth: true })),
  LogSoftmax: withAxis(1, 4).map(({ dims, axis }) => one("LogSoftmax", { axis }, [dims], { smooth: true })),

  Not: "untested",
  And: "untested",
  Or: "untested",
  Equal: "untested",
  Greater: "untested",
  GreaterOrEqual: "untested",
  Less: "untested",
  LessOrEqual: "untested",
  ArgMax: "untested",
  ConstantOfShape: "untested",
  OneHot: "untested",
  Range: "untested",
  Shape: "untested",
  QuantizeLinear: "untested",
  DequantizeLinear: "untested",
  GridSample: "untested",
  NonMaxSuppression: "untested",
  NonZero: "untested",
  RoiAlign: "untested",
  Opaque: "untested"
}

/** Random shapes and attributes of every operator: one row an operator, so that the compiler lists those that miss one. */
import type { Op } from "@bitbudget/graph"
import fc from "fast-check"
import type { Case, Input } from "./case.ts"
import { one } from "./case.ts"

type Ints = ReadonlyArray<number>
type Row = fc.Arbitrary<Omit<Case, "seed">>

const int = (min: number, max: number) => fc.integer({ min, max })
const pick = <const T>(...values: ReadonlyArray<T>) => fc.constantFrom(...values)
const shape = (minRank: number, maxRank: number, largest = 4) =>
  fc.array(int(1, largest), { minLength: minRank, maxLength: maxRank })
const positive = [0.5, 2] as const
const wide = [-5, 5] as const

const unary = (op: Parameters<typeof one>[0] & UnarySmooth, range?: Input["range"], smooth = true): Row =>
  shape(1, 4).map((dims) =>
    one(op, {}, [{ shape: dims, ...(range === undefined ? {} : { range }) }], { smooth })
  )

type UnarySmooth = {
  [K in Op]: {} extends import("@bitbudget/graph").Attributes[K] ? K : never
}[Op]

/** Two shapes that broadcast against each other, either of them the smaller one. */
const broadcasting = shape(1, 4).chain((dims) =>
  fc
    .record({
      keep: fc.array(fc.boolean(), { minLength: dims.length, maxLength: dims.length }),
      drop: int(0, dims.length - 1),
      turn: fc.boolean()
    })
    .map(({ keep, drop, turn }): readonly [Ints, Ints] => {
      const small = dims.map((dim, i) => (keep[i] ? dim : 1)).slice(drop)
      return turn ? [small, dims] : [dims, small]
    })
)

const binary = (
  op: UnarySmooth,
  smooth: boolean,
  ranges: readonly [Input["range"]?, Input["range"]?] = []
): Row =>
  broadcasting.map((shapes) =>
    one(
      op,
      {},
      shapes.map((dims, i) => ({ shape: dims, ...(ranges[i] === undefined ? {} : { range: ranges[i] }) })),
      { smooth }
    )
  )

/** A shape and one of its axes. */
const withAxis = (minRank: number, maxRank: number) =>
  shape(minRank, maxRank).chain((dims) => int(0, dims.length - 1).map((axis) => ({ dims, axis })))

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

/** Sliding windows over 1 or 2 spatial dimensions: any strides, dilations and pads on either side. */
const windowed = (limitPads: boolean) =>
  fc
    .array(
      fc.record({
        kernel: int(1, 3),
        stride: int(1, 3),
        dilation: int(1, 2),
        begin: int(0, 2),
        end: int(0, 2),
        spare: int(0, 4)
      }),
      { minLength: 1, maxLength: 2 }
    )
    .map((dims) => {
      const pad = (amount: number, kernel: number) => (limitPads ? Math.min(amount, kernel - 1) : amount)
      const begins = dims.map(({ begin, kernel }) => pad(begin, kernel))
      const ends = dims.map(({ end, kernel }) => pad(end, kernel))
      return {
        window: {
          kernel: dims.map(({ kernel }) => kernel),
          strides: dims.map(({ stride }) => stride),
          dilations: dims.map(({ dilation }) => dilation),
          pads: [...begins, ...ends]
        },
        // Just large enough for one position, and some more.
        spatial: dims.map(
          ({ kernel, dilation, spare }, i) =>
            Math.max(1, dilation * (kernel - 1) + 1 - begins[i]! - ends[i]!) + spare
        )
      }
    })

const grouped = pick([1, 1, 1], [1, 2, 3], [2, 1, 1], [2, 2, 1], [3, 1, 2]).map(([groups, c, m]) => ({
  groups: groups!,
  c: c!,
  m: m!
}))

const convolution: Row = fc
  .record({ shaped: windowed(false), group: grouped, samples: int(1, 2), bias: fc.boolean() })
  .map(({ shaped: { window, spatial }, group: { groups, c, m }, samples, bias }) =>
    one(
      "Conv",
      { ...window, groups },
      [[samples, groups * c, ...spatial], [groups * m, c, ...window.kernel], ...(bias ? [[groups * m]] : [])],
      { smooth: true }
    )
  )

const transposedConvolution: Row = fc
  .record({
    shaped: windowed(true),
    group: grouped,
    samples: int(1, 2),
    bias: fc.boolean(),
    extra: int(0, 2)
  })
  .map(({ shaped: { window }, group: { groups, c, m }, samples, bias, extra }) => {
    const spatial = window.kernel.map((_, i) => 2 + ((extra + i) % 3))
    const outputPadding = window.strides.map((stride) => Math.min(extra, stride - 1))
    return one(
      "ConvTranspose",
      { ...window, groups, outputPadding },
      [[samples, groups * c, ...spatial], [groups * c, m, ...window.kernel], ...(bias ? [[groups * m]] : [])],
      { smooth: true }
    )
  })

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

const pooling = {
  MaxPool: fc
    .record({ shaped: windowed(true), ceilMode: fc.boolean(), samples: int(1, 2) })
    .map(({ shaped: { window, spatial }, ceilMode, samples }) =>
      one("MaxPool", { ...window, ceilMode }, [[samples, 2, ...spatial]])
    ),
  AveragePool: fc
    .record({
      shaped: windowed(true),
      ceilMode: fc.boolean(),
      countIncludePad: fc.boolean(),
      samples: int(1, 2)
    })
    .map(({ shaped: { window, spatial }, ceilMode, countIncludePad, samples }) =>
      one("AveragePool", { ...window, ceilMode, countIncludePad }, [[samples, 2, ...spatial]], {
        smooth: true
      })
    ),
  GlobalAveragePool: shape(3, 4).map((dims) => one("GlobalAveragePool", {}, [dims], { smooth: true })),
  GlobalMaxPool: shape(3, 4).map((dims) => one("GlobalMaxPool", {}, [dims]))
} satisfies Partial<Record<Op, Row>>

const resize: Row = fc
  .record({
    dims: shape(4, 4),
    mode: pick("nearest", "linear", "cubic"),
    coordinates: pick(
      "half_pixel",
      "half_pixel_symmetric",
      "pytorch_half_pixel",
      "align_corners",
      "asymmetric"
    ),
    nearestMode: pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    factors: fc.tuple(pick(0.5, 1, 2, 3), pick(0.5, 1, 2, 3)),
    excludeOutside: fc.boolean(),
    bySizes: fc.boolean()
  })
  .map(({ dims, factors, bySizes, mode, excludeOutside, ...rest }) => {
    const x = [dims[0]!, dims[1]!, dims[2]! + 1, dims[3]! + 1]
    const scales = [1, 1, ...factors]
    const sizes = bySizes ? x.map((dim, i) => Math.floor(dim * scales[i]!)) : undefined
    return one(
      "Resize",
      {
        mode,
        ...rest,
        cubicCoefficient: -0.75,
        excludeOutside: mode === "cubic" && excludeOutside,
        antialias: false,
        scales,
        sizes
      },
      [x],
      { smooth: true }
    )
  })

const pad: Row = fc
  .record({
    dims: shape(1, 4),
    mode: pick("constant", "reflect", "edge", "wrap"),
    amounts: fc.array(int(-1, 2), { minLength: 8, maxLength: 8 })
  })
  .map(({ dims, mode, amounts }) => {
    const x = dims.map((dim) => dim + 2)
    // Only constant padding may crop; reflected and wrapped elements must exist.
    const pads = [...x, ...x].map((_, i) => (mode === "constant" ? amounts[i]! : Math.abs(amounts[i]!)))
    return one("Pad", { pads, mode, value: mode === "constant" ? 0.3 : 0 }, [x], { smooth: true })
  })

const slice: Row = shape(1, 3).chain((dims) => {
  const x = dims.map((dim) => dim + 2)
  return fc
    .record({
      axes: fc.subarray(
        x.map((_, i) => i),
        { minLength: 1 }
      ),
      picks: fc.array(fc.record({ step: pick(-2, -1, 1, 2), start: int(0, 1) }), {
        minLength: 3,
        maxLength: 3
      })
    })
    .map(({ axes, picks }) => {
      const steps = axes.map((_, i) => picks[i]!.step)
      const starts = axes.map((_, i) => (steps[i]! > 0 ? picks[i]!.start : -1 - picks[i]!.start))
      const ends = axes.map((axis, i) => (steps[i]! > 0 ? x[axis]! : -x[axis]! - 1))
      return one("Slice", { axes, steps, starts, ends }, [x], { smooth: true })
    })
})

const split: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  fc.array(int(1, 3), { minLength: 1, maxLength: 3 }).map((sizes) => {
    const x = dims.with(
      axis,
      sizes.reduce((a, b) => a + b)
    )
    return one("Split", { axis, sizes }, [x], { smooth: true, results: sizes.length })
  })
)

const concat: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  fc.array(int(1, 3), { minLength: 1, maxLength: 3 }).map((sizes) =>
    one(
      "Concat",
      { axis },
      sizes.map((size) => dims.with(axis, size)),
      { smooth: true }
    )
  )
)

const gather: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  shape(0, 2).map((picks) =>
    one("Gather", { axis }, [dims, { shape: picks, kind: "index", range: [-dims[axis]!, dims[axis]!] }], {
      smooth: true
    })
  )
)

const gatherElements: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  fc.tuple(int(1, 4), fc.boolean()).map(([picks, less]) => {
    const taken = dims.map((dim, i) => (i === axis ? picks : less ? Math.max(1, dim - 1) : dim))
    const indices: Input = { shape: taken, kind: "index", range: [-dims[axis]!, dims[axis]!] }
    return one("GatherElements", { axis }, [dims, indices], { smooth: true })
  })
)

const topK: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  fc
    .record({ k: int(1, dims[axis]!), largest: fc.boolean() })
    .map(({ k, largest }) => one("TopK", { axis, k, largest, sorted: true }, [dims]))
)

const where: Row = broadcasting.chain(([a, b]) =>
  fc
    .boolean()
    .map((turn) => one("Where", {}, [{ shape: turn ? a : b, kind: "condition" }, a, b], { smooth: true }))
)

const blocks = (op: "DepthToSpace" | "SpaceToDepth"): Row =>
  fc
    .record({ blockSize: int(1, 2), h: int(1, 3), w: int(1, 3), c: int(1, 2), mode: pick("DCR", "CRD") })
    .map(({ blockSize: b, h, w, c, mode }) =>
      op === "DepthToSpace"
        ? one("DepthToSpace", { blockSize: b, mode }, [[2, c * b * b, h, w]], { smooth: true })
        : one("SpaceToDepth", { blockSize: b }, [[2, c, h * b, w * b]], { smooth: true })
    )

const movement = {
  Concat: concat,
  DepthToSpace: blocks("DepthToSpace"),
  SpaceToDepth: blocks("SpaceToDepth"),
  Expand: broadcasting.map(([a, b]) => one("Expand", { shape: a }, [b], { smooth: true })),
  Flatten: withAxis(1, 4).map(({ dims, axis }) => one("Flatten", { axis }, [dims], { smooth: true })),
  Gather: gather,
  GatherElements: gatherElements,
  Pad: pad,
  Reshape: shape(1, 4).map((dims) => one("Reshape", { shape: dims.toReversed() }, [dims], { smooth: true })),
  Resize: resize,
  Slice: slice,
  Split: split,
  Squeeze: withAxis(1, 4).map(({ dims, axis }) =>
    one("Squeeze", { axes: [axis] }, [dims.with(axis, 1)], { smooth: true })
  ),
  Tile: shape(1, 3, 3).chain((dims) =>
    fc
      .array(int(1, 3), { minLength: dims.length, maxLength: dims.length })
      .map((repeats) => one("Tile", { repeats }, [dims], { smooth: true }))
  ),
  TopK: topK,
  Transpose: shape(1, 4).chain((dims) =>
    fc
      .shuffledSubarray(
        dims.map((_, i) => i),
        { minLength: dims.length }
      )
      .map((perm) => one("Transpose", { perm }, [dims], { smooth: true }))
  ),
  Unsqueeze: withAxis(1, 3).map(({ dims, axis }) =>
    one("Unsqueeze", { axes: [axis] }, [dims], { smooth: true })
  ),
  Where: where
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
  DequantizeLinear: "untested"
}

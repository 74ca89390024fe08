/** Operators read as formulas of others, one row an operator: activations, reductions, normalisations, fused forms. */
import { divDim, isStaticShape, mulDim } from "../ir/Dim.ts"
import type { BinaryOps } from "../ir/Op.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"
import { filled, isFloat } from "../ir/Tensor.ts"
import { parsers } from "./parse.ts"
import { axis, has, input, resolveAxis } from "./rawNode.ts"
import type { Formula, Rewrite } from "./rewrite.ts"
import {
  attention,
  msAttention,
  msMultiHeadAttention,
  msRotaryEmbedding,
  rotaryEmbedding
} from "./rewriteAttention.ts"
import { einsum } from "./rewriteEinsum.ts"
import { microsoftQuantized, standardQuantized } from "./rewriteQuantized.ts"
import { dtypeOf } from "./tensorProto.ts"

const chain =
  (op: keyof BinaryOps): Rewrite =>
  (e) => {
    const [first, ...rest] = e.raw.inputs
    if (first === undefined) return refuse("has no inputs")
    const last = rest.pop()
    if (last === undefined) return e.result("Identity", [first], {})
    e.result(op, [rest.reduce((sum, x) => e.binary(op, sum, x), first), last], {})
  }

/** The axes and keepdims of a reduction, with its input's other forms left to `parse.ts`. */
const reduction = (e: Formula) => parsers.ReduceSum(e.raw).attributes

const axesFrom = (e: Formula, from: number): ReadonlyArray<number> =>
  Array.from({ length: e.rank(e.x(0)) - from }, (_, i) => from + i)

/** x / √(mean x² + ε), over the axes. */
const rootMeanSquare = (e: Formula, x: string, axes: ReadonlyArray<number>, epsilon: number): string => {
  const squares = e.mean(e.binary("Mul", x, x), axes)
  return e.binary("Div", x, e.unary("Sqrt", e.shift(squares, epsilon)))
}

/** x·scale over axis…rank−1, no mean taken off. */
const rmsNormalization: Rewrite = (e) => {
  const x = e.x(0)
  const from = axis(e.raw, "axis", -1)
  const norm = rootMeanSquare(e, x, axesFrom(e, from), e.raw.attributes.float("epsilon", 1e-5))
  e.result("Mul", [norm, e.x(1)], {})
}

/** x + skip (+ bias), normalised over the last axis. */
const skipNormalization =
  (simplified: boolean): Rewrite =>
  (e) => {
    const [x, skip, gamma] = [e.x(0), e.x(1), e.x(2)]
    const [beta, bias] = simplified ? ["", e.x(3)] : [e.x(3), e.x(4)]
    if (e.raw.outputs.slice(1, 3).some((name) => name !== "")) unsupported("its statistics are used")
    const epsilon = e.raw.attributes.float("epsilon", 1e-12)
    const both = e.binary("Add", x, skip)
    const sum = bias === "" ? both : e.binary("Add", both, bias)
    const last = e.rank(x) - 1
    if (simplified) e.result("Mul", [rootMeanSquare(e, sum, [last], epsilon), gamma], {})
    else
      e.result("LayerNormalization", beta === "" ? [sum, gamma] : [sum, gamma, beta], {
        axis: last,
        epsilon
      })
    if ((e.raw.outputs[3] ?? "") !== "") e.result("Identity", [sum], {}, 3)
  }

/** Each group of channels normalised as one, then scaled channel by channel. */
const groupNormalization: Rewrite = (e) => {
  const [x, scale, bias] = [e.x(0), e.x(1), e.x(2)]
  const [batch, channels, ...spatial] = e.settled(x)
  const groups = e.raw.attributes.int("num_groups", undefined) ?? refuse("has no num_groups")
  if (batch === undefined || channels === undefined || spatial.length === 0)
    return refuse("needs a tensor of rank 3 or more")
  const size = spatial.reduce(
    (n, dim) => mulDim(n, dim) ?? unsupported("its size depends on the batch"),
    channels
  )
  const each = divDim(size, groups) ?? refuse(`its channels do not make ${groups} groups`)
  const dtype = e.dtype(x)
  const ones = e.constant(filled(dtype, [groups], 1))
  const zeros = e.constant(filled(dtype, [groups], 0))
  const grouped = e.add("InstanceNormalization", [e.reshape(x, [batch, groups, each]), ones, zeros], {
    epsilon: e.raw.attributes.float("epsilon", 1e-5)
  })
  const wide = [channels, ...spatial.map(() => 1)]
  /** Before opset 21 there is one scale a group. */
  const perChannel = (part: string): string => {
    if (e.raw.opset >= 21) return e.reshape(part, wide)
    const perGroup = divDim(channels, groups) ?? refuse(`its channels do not make ${groups} groups`)
    const spread = e.add("Expand", [e.reshape(part, [groups, 1])], { shape: [groups, perGroup] })
    return e.reshape(spread, wide)
  }
  const norm = e.binary("Mul", e.reshape(grouped, e.shape(x)), perChannel(scale))
  e.result("Add", [norm, perChannel(bias)], {})
}

/** Batch statistics instead of running ones: (x − mean)/√(variance + ε)·scale + bias over all but the channels. */
const trainingBatchNormalization: Rewrite = (e) => {
  const x = e.x(0)
  const rank = e.rank(x)
  if (rank < 2) refuse("needs a tensor of rank 2 or more")
  if (e.raw.outputs.slice(1).some((name) => name !== "")) unsupported("its running statistics are used")
  const axes = e.shape(x).flatMap((_, i) => (i === 1 ? [] : [i]))
  const centred = e.binary("Sub", x, e.mean(x, axes))
  const norm = rootMeanSquare(e, centred, axes, e.raw.attributes.float("epsilon", 1e-5))
  const wide = (part: string) => e.reshape(part, [e.shape(x)[1]!, ...axes.slice(1).map(() => 1)])
  e.result("Add", [e.binary("Mul", norm, wide(e.x(1))), wide(e.x(2))], {})
  if (e.raw.knownOf(x) === undefined)
    e.note(
      `node ${e.raw.name} (BatchNormalization) is in training mode: it normalises with each batch's own statistics`
    )
}

/** In evaluation dropout passes its input on; its mask keeps everything. */
const dropout: Rewrite = (e) => {
  e.result("Identity", [e.x(0)], {})
  if ((e.raw.outputs[1] ?? "") !== "") e.result("Equal", [e.x(0), e.x(0)], {}, 1)
  if (has(e.raw, 2) && e.raw.knownOf(e.x(2))?.data !== undefined)
    e.note(
      `node ${e.raw.name} (Dropout) is in training mode; it is read as in evaluation, where it keeps everything`
    )
}

/** off + (on − off)·[index]: values that are computed, or no floats. */
const oneHot: Rewrite = (e) => {
  const depth = e.raw.knownOf(e.x(1))
  if (depth === undefined) unsupported("its depth is only known when it runs")
  const { axis, depth: size } = parsers.OneHot({
    ...e.raw,
    inputs: [e.x(0), e.x(1), "values"],
    knownOf: (name) =>
      name === "values" ? { dtype: "float32", shape: [2], data: [0, 1] } : e.raw.knownOf(name)
  }).attributes
  const dtype = e.dtype(e.x(2))
  const hot = e.add("OneHot", [e.x(0)], { axis, depth: size, values: [0, 1] })
  const cast = dtype === "float32" ? hot : e.add("Cast", [hot], { to: dtype })
  const [off, on] = [e.slice(e.x(2), 0, 0, 1), e.slice(e.x(2), 0, 1, 2)]
  e.result("Add", [e.binary("Mul", cast, e.binary("Sub", on, off)), off], {})
}

const eyeLike: Rewrite = (e) => {
  const { shape, dtype } = input(e.raw, 0)
  if (shape.length !== 2 || !isStaticShape(shape)) return unsupported("its size is only known when it runs")
  const to = e.raw.attributes.int("dtype", undefined)
  const type = to === undefined ? dtype : dtypeOf(to)
  const [rows, columns] = shape as readonly [number, number]
  if (rows * columns > 1 << 22) return unsupported("it is too large to be written out")
  const ones = e.constant(filled(type, [rows, columns], 1))
  const k = e.raw.attributes.int("k", 0)
  e.result("Trilu", [e.add("Trilu", [ones], { upper: true, k })], { upper: false, k })
}

/** Before opset 13: over everything from `axis` on, as one row. */
const flatSoftmax =
  (op: "Softmax" | "LogSoftmax"): Rewrite =>
  (e) => {
    const x = e.x(0)
    const from = axis(e.raw, "axis", 1)
    const flat = e.add("Flatten", [x], { axis: from })
    e.result("Reshape", [e.add(op, [flat], { axis: 1 })], { shape: e.settled(x) })
  }

const isWide = (e: Formula): boolean => {
  const from = resolveAxis(e.raw.attributes.int("axis", 1), e.rank(e.x(0)))
  return e.shape(e.x(0)).filter((dim, i) => i >= from && dim !== 1).length > 1
}

const gelu = (e: Formula, x: string, approximate: "none" | "tanh"): void =>
  e.result("Gelu", [x], { approximate })

const sigmoidTimes = (e: Formula, alpha: number): void =>
  e.result("Mul", [e.x(0), e.unary("Sigmoid", e.scale(alpha, e.x(0)))], {})

/** Before opset 7 a smaller operand was laid along `axis`, not along the last dimensions. */
const oldBroadcast =
  (op: keyof BinaryOps): Rewrite =>
  (e) => {
    const [a, b] = [e.x(0), e.x(1)]
    const from = op === "PRelu" ? 1 : axis(e.raw, "axis", 0)
    const behind = e.rank(a) - from - e.rank(b)
    if (behind < 0) refuse("has an axis that leaves no room for its second operand")
    const wide = e.reshape(b, [...e.settled(b), ...Array.from({ length: behind }, () => 1)])
    e.result(op, [a, wide], {})
  }

const isOldBroadcast = (e: Formula): boolean =>
  e.raw.opset < 7 && e.raw.attributes.has("axis") && e.rank(e.x(1)) > 0

const broadcasting = ["Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Equal", "Greater", "Less"] as const

/** When a row applies; the operator's other forms are read by its row in `parse.ts`. */
interface Row {
  readonly when?: (e: Formula) => boolean
  readonly rewrite: Rewrite
}

const row = (rewrite: Rewrite, when?: Row["when"]): Row =>
  when === undefined ? { rewrite } : { rewrite, when }

const isComputed = (e: Formula, index: number): boolean =>
  has(e.raw, index) && e.raw.knownOf(e.x(index)) === undefined

const quantizedRows = (rewrites: typeof standardQuantized): ReadonlyArray<readonly [string, Row]> =>
  rewrites.map(([name, rewrite]) => [name, row(rewrite)])

const standard = new Map<string, Row>([
  ["Sum", row(chain("Add"))],
  ["Max", row(chain("Max"))],
  ["Min", row(chain("Min"))],
  [
    "Mean",
    row((e) => {
      const [first, ...rest] = e.raw.inputs
      const sum = rest.reduce((total, x) => e.binary("Add", total, x), first ?? refuse("has no inputs"))
      e.result("Mul", [sum, e.number(1 / e.raw.inputs.length, sum)], {})
    })
  ],
  ...broadcasting.map((op) => [op, row(oldBroadcast(op), isOldBroadcast)] as const),
  [
    "PRelu",
    row(oldBroadcast("PRelu"), (e) => e.raw.opset < 7 && e.rank(e.x(1)) === 1 && e.shape(e.x(1))[0] !== 1)
  ],
  ["Dropout", row(dropout)],
  [
    "Scatter",
    row((e) => e.result("ScatterElements", e.raw.inputs, parsers.ScatterElements(e.raw).attributes))
  ],

  // Activations
  ["Mish", row((e) => e.result("Mul", [e.x(0), e.unary("Tanh", e.unary("Softplus", e.x(0)))], {}))],
  [
    "Selu",
    row((e) => {
      const alpha = e.raw.attributes.float("alpha", 1.67326319217681884765625)
      const gamma = e.raw.attributes.float("gamma", 1.05070102214813232421875)
      e.result("Mul", [e.add("Elu", [e.x(0)], { alpha }), e.number(gamma, e.x(0))], {})
    })
  ],
  [
    "Celu",
    row((e) => {
      const alpha = e.raw.attributes.float("alpha", 1)
      const elu = e.add("Elu", [e.scale(1 / alpha, e.x(0))], { alpha: 1 })
      e.result("Mul", [elu, e.number(alpha, e.x(0))], {})
    })
  ],
  [
    "ThresholdedRelu",
    row((e) => {
      const limit = e.number(e.raw.attributes.float("alpha", 1), e.x(0))
      e.result("Where", [e.binary("Greater", e.x(0), limit), e.x(0), e.number(0, e.x(0))], {})
    })
  ],
  [
    "Shrink",
    row((e) => {
      const [x, lambda, bias] = [
        e.x(0),
        e.raw.attributes.float("lambd", 0.5),
        e.raw.attributes.float("bias", 0)
      ]
      const above = e.binary("Greater", x, e.number(lambda, x))
      const below = e.binary("Less", x, e.number(-lambda, x))
      const inner = e.add("Where", [above, e.shift(x, -bias), e.number(0, x)], {})
      e.result("Where", [below, e.shift(x, bias), inner], {})
    })
  ],
  ["Softsign", row((e) => e.result("Div", [e.x(0), e.shift(e.unary("Abs", e.x(0)), 1)], {}))],
  ["Swish", row((e) => sigmoidTimes(e, e.raw.attributes.float("alpha", 1)))],
  ["Tan", row((e) => e.result("Div", [e.unary("Sin", e.x(0)), e.unary("Cos", e.x(0))], {}))],
  [
    "Clip",
    row(
      (e) => {
        const low = e.x(1) === "" ? e.x(0) : e.binary("Max", e.x(0), e.x(1))
        if (e.x(2) === "") e.result("Identity", [low], {})
        else e.result("Min", [low, e.x(2)], {})
      },
      (e) => isComputed(e, 1) || isComputed(e, 2)
    )
  ],
  [
    "Mod",
    row(
      // The remainder with the dividend's sign: a − b·trunc(a / b).
      (e) => e.result("Sub", [e.x(0), e.binary("Mul", e.x(1), e.binary("Div", e.x(0), e.x(1)))], {}),
      (e) => e.raw.attributes.flag("fmod", false) && !isFloat(e.dtype(e.x(0)))
    )
  ],
  ["Xor", row((e) => e.result("Not", [e.binary("Equal", e.x(0), e.x(1))], {}))],
  ["CastLike", row((e) => e.result("Cast", [e.x(0)], { to: e.dtype(e.x(1)) }))],

  // Reductions
  ["ReduceL1", row((e) => e.result("ReduceSum", [e.unary("Abs", e.x(0))], reduction(e)))],
  ["ReduceLogSum", row((e) => e.result("Log", [e.add("ReduceSum", [e.x(0)], reduction(e))], {}))],
  [
    "ReduceLogSumExp",
    row((e) => {
      const { axes, keepDims } = reduction(e)
      const most = e.add("ReduceMax", [e.x(0)], { axes, keepDims: true })
      const sum = e.sum(e.unary("Exp", e.binary("Sub", e.x(0), most)), axes, keepDims)
      const back = keepDims ? most : e.add("Squeeze", [most], { axes })
      e.result("Add", [e.unary("Log", sum), back], {})
    })
  ],
  ["ArgMin", row((e) => e.result("ArgMax", [e.unary("Neg", e.x(0))], parsers.ArgMax(e.raw).attributes))],
  [
    "Size",
    row((e) => {
      const dims = e.add("Shape", [e.x(0)], { start: 0, end: e.rank(e.x(0)) })
      e.result("ReduceProd", [dims], { axes: [0], keepDims: false })
    })
  ],
  ["OneHot", row(oneHot, (e) => isComputed(e, 2) || !isFloat(e.dtype(e.x(2))))],
  ["EyeLike", row(eyeLike)],

  // Normalisations
  ["GroupNormalization", row(groupNormalization)],
  ["RMSNormalization", row(rmsNormalization)],
  ["SimplifiedLayerNormalization", row(rmsNormalization)],
  [
    "BatchNormalization",
    row(trainingBatchNormalization, (e) => e.raw.attributes.flag("training_mode", false))
  ],
  [
    "LpNormalization",
    row((e) => {
      const axes = [axis(e.raw, "axis", -1)]
      const norm =
        e.raw.attributes.int("p", 2) === 1
          ? e.sum(e.unary("Abs", e.x(0)), axes, true)
          : e.add("ReduceL2", [e.x(0)], { axes, keepDims: true })
      e.result("Div", [e.x(0), norm], {})
    })
  ],
  [
    "MeanVarianceNormalization",
    row((e) => {
      const axes = e.raw.attributes.ints("axes", [0, 2, 3]).map((a) => resolveAxis(a, e.rank(e.x(0))))
      const centred = e.binary("Sub", e.x(0), e.mean(e.x(0), axes))
      const deviation = e.unary("Sqrt", e.mean(e.binary("Mul", centred, centred), axes))
      e.result("Div", [centred, e.shift(deviation, 1e-9)], {})
    })
  ],
  ["Softmax", row(flatSoftmax("Softmax"), (e) => e.raw.opset < 13 && isWide(e))],
  ["LogSoftmax", row(flatSoftmax("LogSoftmax"), (e) => e.raw.opset < 13 && isWide(e))],

  ["Einsum", row(einsum)],
  ["Attention", row(attention)],
  ["RotaryEmbedding", row(rotaryEmbedding)],
  ...quantizedRows(standardQuantized)
])

const microsoft = new Map<string, Row>([
  ["FastGelu", row((e) => gelu(e, e.x(1) === "" ? e.x(0) : e.binary("Add", e.x(0), e.x(1)), "tanh"))],
  ["BiasGelu", row((e) => gelu(e, e.binary("Add", e.x(0), e.x(1)), "none"))],
  ["Gelu", row((e) => gelu(e, e.x(0), "none"))],
  ["QuickGelu", row((e) => sigmoidTimes(e, e.raw.attributes.float("alpha", 1.702)))],
  ["SkipLayerNormalization", row(skipNormalization(false))],
  ["SkipSimplifiedLayerNormalization", row(skipNormalization(true))],
  ["SimplifiedLayerNormalization", row(rmsNormalization)],
  ["RotaryEmbedding", row(msRotaryEmbedding)],
  ["MultiHeadAttention", row(msMultiHeadAttention)],
  ["Attention", row(msAttention)],
  [
    "FusedMatMul",
    row((e) => {
      const flip = (x: string, flag: string): string => {
        const last = e.rank(x) - 1
        if (!e.raw.attributes.flag(flag, false)) return x
        return e.transpose(x, [...Array.from({ length: last - 1 }, (_, i) => i), last, last - 1])
      }
      if (e.raw.attributes.flag("transBatchA", false) || e.raw.attributes.flag("transBatchB", false))
        unsupported("its batch is transposed")
      const [a, b] = [flip(e.x(0), "transA"), flip(e.x(1), "transB")]
      const product = e.add("MatMul", [a, b], {})
      e.result("Mul", [product, e.number(e.raw.attributes.float("alpha", 1), product)], {})
    })
  ],
  ...quantizedRows(microsoftQuantized)
])

/** The row for an operator of a domain. */
export const rewriteOf = (domain: string, opType: string): Row | undefined =>
  domain === "" || domain === "ai.onnx"
    ? standard.get(opType)
    : domain === "com.microsoft"
      ? microsoft.get(opType)
      : undefined

/** Names of the operators with a row: for the support table. */
export const rewrittenOps: ReadonlyArray<string> = [
  ...standard.keys(),
  ...[...microsoft.keys()].map((name) => `com.microsoft.${name}`)
]

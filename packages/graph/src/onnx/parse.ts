/**
 * ONNX node → canonical attributes, one row an operator, for opsets 7 to 25.
 *
 * Rows state where a piece of information lives in every opset: what is an attribute in old files and an input
 * in new ones ends up as an attribute. Names that are no operator of ours (Sum, Dropout, Upsample, …) are
 * rewritten in `legacy.ts`.
 */
import { LARGEST_RANK } from "../ir/Budget.ts"
import type { Dim, Shape } from "../ir/Dim.ts"
import { isOpen, isStatic } from "../ir/Dim.ts"
import type { AxisAttributes, ConvTransposeAttributes, None, Op, ReduceAttributes } from "../ir/Op.ts"
import { scalar } from "../ir/Tensor.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"
import type { Parse, Parsed, RawNode } from "./rawNode.ts"
import {
  attributeOrInput,
  axis,
  bounds,
  has,
  input,
  ints,
  intsOr,
  numberOr,
  positive,
  rank,
  resolveAxis,
  sizes,
  spatial
} from "./rawNode.ts"
import { selectionParsers } from "./parseSelection.ts"
import { readReshape, readResize, readSplit } from "./parseShapes.ts"
import { dtypeOf } from "./tensorProto.ts"
import { readWindow } from "./window.ts"

const none: None = {}
const plain =
  (inputs: number) =>
  (raw: RawNode): Parsed<None> =>
    raw.inputs.length === inputs
      ? { inputs, attributes: none }
      : refuse(`has ${raw.inputs.length} inputs, ${inputs} expected`)
const unary = plain(1)
const binary = plain(2)

const reduce = (raw: RawNode): Parsed<ReduceAttributes> => {
  const axes = attributeOrInput(raw, "axes", 1, undefined)
  const noop = (axes?.length ?? 0) === 0 && raw.attributes.flag("noop_with_empty_axes", false)
  const all = Array.from({ length: noop ? 0 : rank(raw) }, (_, i) => i)
  if ((axes?.length ?? 0) > rank(raw)) refuse(`reduces ${axes?.length} axes of a tensor of rank ${rank(raw)}`)
  const attributes: ReduceAttributes = {
    axes:
      axes === undefined || axes.length === 0
        ? all
        : axes.map((a) => resolveAxis(a, rank(raw))).sort((a, b) => a - b),
    keepDims: raw.attributes.flag("keepdims", true)
  }
  return { inputs: 1, attributes }
}

/** Before opset 13 softmax ran over everything from `axis` on, flattened; the same where only one dimension follows. */
const softmax = (raw: RawNode): Parsed<AxisAttributes> => {
  if (raw.opset >= 13) return { inputs: 1, attributes: { axis: axis(raw, "axis", -1) } }
  const from = axis(raw, "axis", 1)
  const shape = input(raw, 0).shape
  const wide = shape.map((dim, i) => (i >= from && dim !== 1 ? i : -1)).filter((i) => i >= 0)
  if (wide.length > 1)
    unsupported(`opset ${raw.opset} softmax over several dimensions from axis ${from} is not supported`)
  return { inputs: 1, attributes: { axis: wide[0] ?? from } }
}

const kernelOfWeight = (raw: RawNode): ReadonlyArray<number> => {
  const kernel = input(raw, 1).shape.slice(2)
  return kernel.every(isStatic) ? kernel : unsupported("the kernel's size is only known when it runs")
}

const clip = (raw: RawNode): Parsed<{ readonly min: number; readonly max: number }> => ({
  inputs: 1,
  attributes: {
    min: raw.attributes.float("min", undefined) ?? numberOr(raw, 1, -Infinity),
    max: raw.attributes.float("max", undefined) ?? numberOr(raw, 2, Infinity)
  }
})

const groups = (raw: RawNode): number => {
  const count = raw.attributes.int("group", 1)
  return count >= 1 ? count : refuse(`group = ${count} must be positive`)
}

/** The target with the input's own dimension where it says 1 or less than the input has (−1 is written, too). */
const expanded = (from: Shape, target: ReadonlyArray<Dim>): ReadonlyArray<Dim> => {
  const lead = target.length - from.length
  return target.map((dim, i) => {
    if (dim === -1 && i >= lead) return from[i - lead]!
    return isStatic(dim) && dim < 0 ? refuse(`the target shape has a dimension of ${dim}`) : dim
  })
}

/** Output padding of a transposed convolution, and pads from `output_shape` or auto_pad where given. */
const convTranspose = (raw: RawNode): Parsed<ConvTransposeAttributes> => {
  const kernel = kernelOfWeight(raw)
  const n = kernel.length
  const window = readWindow(raw, kernel)
  const outputPadding = raw.attributes.ints(
    "output_padding",
    Array.from({ length: n }, () => 0)
  )
  const group = groups(raw)
  const autoPad = raw.attributes.string("auto_pad", "NOTSET")
  const outputShape = raw.attributes.ints("output_shape", undefined)
  const target =
    outputShape?.slice(-n) ??
    (autoPad.startsWith("SAME") ? spatial(raw).map((size, i) => size * window.strides[i]!) : undefined)
  if (outputPadding.length !== n || (target !== undefined && target.length !== n))
    refuse(`output_padding and output_shape need ${n} entries`)
  if (target === undefined)
    return { inputs: raw.inputs.length, attributes: { ...window, outputPadding, groups: group } }
  const excess = spatial(raw).map(
    (size, i) =>
      (size - 1) * window.strides[i]! +
      outputPadding[i]! +
      window.dilations[i]! * (kernel[i]! - 1) +
      1 -
      target[i]!
  )
  const half = (round: (x: number) => number) => excess.map((total) => round(Math.max(0, total) / 2))
  const pads =
    autoPad === "SAME_UPPER"
      ? [...half(Math.floor), ...half(Math.ceil)]
      : [...half(Math.ceil), ...half(Math.floor)]
  // A target beyond what the window reaches is padded at the output's end.
  const extended = outputPadding.map((padding, i) => padding + Math.max(0, -excess[i]!))
  return {
    inputs: raw.inputs.length,
    attributes: { ...window, pads, outputPadding: extended, groups: group }
  }
}

/** The axis that scales run along: of a single scale it says nothing, and need not exist. */
const scaledAxis = (raw: RawNode): number => {
  const { shape } = input(raw, 1)
  return shape.every((dim) => dim === 1) && raw.attributes.int("block_size", 0) === 0
    ? 0
    : axis(raw, "axis", 1)
}

export const parsers: { readonly [K in Op]: Parse<K> } = {
  Abs: unary,
  Ceil: unary,
  Cos: unary,
  Erf: unary,
  Exp: unary,
  Floor: unary,
  HardSwish: unary,
  Identity: unary,
  Log: unary,
  Neg: unary,
  Not: unary,
  Reciprocal: unary,
  Relu: unary,
  Round: unary,
  Sigmoid: unary,
  Sign: unary,
  Sin: unary,
  Softplus: unary,
  Sqrt: unary,
  Tanh: unary,

  Add: binary,
  Sub: binary,
  Mul: binary,
  Div: binary,
  Pow: binary,
  Max: binary,
  Min: binary,
  Mod: binary,
  And: binary,
  Or: binary,
  Equal: binary,
  Greater: binary,
  GreaterOrEqual: binary,
  Less: binary,
  LessOrEqual: binary,
  PRelu: binary,

  ReduceMax: reduce,
  ReduceMean: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceSum: reduce,
  ReduceSumSquare: reduce,
  ReduceL2: reduce,

  Cast: (raw) => ({
    inputs: 1,
    attributes: { to: dtypeOf(raw.attributes.int("to", undefined) ?? refuse("has no attribute `to`")) }
  }),
  Clip: clip,
  Elu: (raw) => ({ inputs: 1, attributes: { alpha: raw.attributes.float("alpha", 1) } }),
  Gelu: (raw) => ({
    inputs: 1,
    attributes: { approximate: raw.attributes.word("approximate", "none", ["none", "tanh"]) }
  }),
  HardSigmoid: (raw) => ({
    inputs: 1,
    attributes: { alpha: raw.attributes.float("alpha", 0.2), beta: raw.attributes.float("beta", 0.5) }
  }),
  LeakyRelu: (raw) => ({ inputs: 1, attributes: { alpha: raw.attributes.float("alpha", 0.01) } }),
  Where: plain(3),

  Conv: (raw) => ({
    inputs: raw.inputs.length,
    attributes: { ...readWindow(raw, kernelOfWeight(raw)), groups: groups(raw) }
  }),
  ConvTranspose: convTranspose,
  ConvWeightGradient: () => refuse("is no operator of ONNX"),
  Gemm: (raw) => ({
    inputs: raw.inputs.length,
    attributes: {
      alpha: raw.attributes.float("alpha", 1),
      beta: raw.attributes.float("beta", 1),
      transA: raw.attributes.flag("transA", false),
      transB: raw.attributes.flag("transB", false)
    }
  }),
  MatMul: binary,

  ...selectionParsers,

  BatchNormalization: (raw) => {
    if (raw.attributes.flag("training_mode", false))
      unsupported("is in training mode: it normalises with the batch's own statistics")
    return { inputs: 5, attributes: { epsilon: raw.attributes.float("epsilon", 1e-5) } }
  },
  LayerNormalization: (raw) => ({
    inputs: raw.inputs.length,
    attributes: { axis: axis(raw, "axis", -1), epsilon: raw.attributes.float("epsilon", 1e-5) }
  }),
  InstanceNormalization: (raw) => ({
    inputs: 3,
    attributes: { epsilon: raw.attributes.float("epsilon", 1e-5) }
  }),
  LRN: (raw) => ({
    inputs: 1,
    attributes: {
      size: positive("size", raw.attributes.int("size", undefined)),
      alpha: raw.attributes.float("alpha", 1e-4),
      beta: raw.attributes.float("beta", 0.75),
      bias: raw.attributes.float("bias", 1)
    }
  }),
  Softmax: softmax,
  LogSoftmax: softmax,

  AveragePool: (raw) => ({
    inputs: 1,
    attributes: {
      ...readWindow(raw, raw.attributes.ints("kernel_shape", undefined) ?? refuse("has no kernel_shape")),
      ceilMode: raw.attributes.flag("ceil_mode", false),
      countIncludePad: raw.attributes.flag("count_include_pad", false)
    }
  }),
  GlobalAveragePool: unary,
  GlobalMaxPool: unary,
  MaxPool: (raw) => ({
    inputs: 1,
    attributes: {
      ...readWindow(raw, raw.attributes.ints("kernel_shape", undefined) ?? refuse("has no kernel_shape")),
      ceilMode: raw.attributes.flag("ceil_mode", false)
    }
  }),

  Concat: (raw) => ({ inputs: raw.inputs.length, attributes: { axis: axis(raw, "axis", 1) } }),
  DepthToSpace: (raw) => ({
    inputs: 1,
    attributes: {
      blockSize: positive("blocksize", raw.attributes.int("blocksize", undefined)),
      mode: raw.attributes.word("mode", "DCR", ["DCR", "CRD"])
    }
  }),
  Expand: (raw) => ({
    inputs: 1,
    attributes: { shape: expanded(input(raw, 0).shape, sizes(raw, 1)) }
  }),
  Flatten: (raw) => {
    const from = raw.attributes.int("axis", 1)
    return { inputs: 1, attributes: { axis: from < 0 ? from + rank(raw) : from } }
  },
  Pad: (raw) => {
    const given = attributeOrInput(raw, "pads", 1, undefined) ?? refuse("has no pads")
    const axes = intsOr(raw, 3, undefined)?.map((a) => resolveAxis(a, rank(raw)))
    const pads = Array.from({ length: 2 * rank(raw) }, () => 0)
    const half = given.length / 2
    if (half !== (axes?.length ?? rank(raw)))
      refuse(`has ${given.length} pads for ${axes?.length ?? rank(raw)} dimensions`)
    for (let i = 0; i < half; i++) {
      const target = axes?.[i] ?? i
      pads[target] = given[i]!
      pads[target + rank(raw)] = given[i + half]!
    }
    return {
      inputs: 1,
      attributes: {
        pads,
        mode: raw.attributes.word("mode", "constant", ["constant", "reflect", "edge", "wrap"]),
        value: raw.attributes.float("value", undefined) ?? numberOr(raw, 2, 0)
      }
    }
  },
  Reshape: readReshape,
  Resize: readResize,
  Slice: (raw) => {
    const starts = raw.attributes.ints("starts", undefined) ?? bounds(raw, 1)
    const ends = raw.attributes.ints("ends", undefined) ?? bounds(raw, 2)
    const axes = attributeOrInput(raw, "axes", 3, undefined) ?? starts.map((_, i) => i)
    const steps = intsOr(raw, 4, undefined) ?? starts.map(() => 1)
    if ([ends, axes, steps].some(({ length }) => length !== starts.length) || axes.length > rank(raw))
      refuse(`has ${starts.length} starts, ${ends.length} ends, ${axes.length} axes, ${steps.length} steps`)
    return {
      inputs: 1,
      attributes: { starts, ends, axes: axes.map((a) => resolveAxis(a, rank(raw))), steps }
    }
  },
  SpaceToDepth: (raw) => ({
    inputs: 1,
    attributes: { blockSize: positive("blocksize", raw.attributes.int("blocksize", undefined)) }
  }),
  Split: readSplit,
  Squeeze: (raw) => ({
    inputs: 1,
    attributes: {
      axes: (
        attributeOrInput(raw, "axes", 1, undefined) ??
        input(raw, 0).shape.flatMap((dim, i) =>
          isOpen(dim) ? unsupported("drops open dimensions that are 1") : dim === 1 ? [i] : []
        )
      ).map((a) => resolveAxis(a, rank(raw)))
    }
  }),
  Tile: (raw) => ({ inputs: 1, attributes: { repeats: ints(raw, 1) } }),
  Transpose: (raw) => ({
    inputs: 1,
    attributes: {
      perm:
        raw.attributes.ints("perm", undefined) ??
        Array.from({ length: rank(raw) }, (_, i) => rank(raw) - 1 - i)
    }
  }),
  Unsqueeze: (raw) => {
    const axes = attributeOrInput(raw, "axes", 1, undefined) ?? refuse("has no axes")
    const outRank = rank(raw) + axes.length
    if (outRank > LARGEST_RANK) refuse(`makes a tensor of ${outRank} dimensions`)
    if (new Set(axes.map((a) => resolveAxis(a, outRank))).size < axes.length) refuse("names an axis twice")
    return { inputs: 1, attributes: { axes: axes.map((a) => resolveAxis(a, outRank)).sort((a, b) => a - b) } }
  },

  ConstantOfShape: (raw) => ({
    inputs: 0,
    attributes: { shape: sizes(raw, 0), value: raw.attributes.tensor("value") ?? scalar("float32", 0) }
  }),
  Range: (raw) => ({
    inputs: 0,
    attributes: {
      start: ints(raw, 0)[0] ?? refuse("start is empty"),
      limit: sizes(raw, 1)[0] ?? refuse("limit is empty"),
      delta: ints(raw, 2)[0] ?? refuse("delta is empty"),
      dtype: input(raw, 0).dtype
    }
  }),
  Shape: (raw) => {
    const n = rank(raw)
    const clamp = (position: number) => Math.min(n, Math.max(0, position < 0 ? position + n : position))
    return {
      inputs: 1,
      attributes: { start: clamp(raw.attributes.int("start", 0)), end: clamp(raw.attributes.int("end", n)) }
    }
  },

  QuantizeLinear: (raw) => {
    const to = raw.attributes.int("output_dtype", 0)
    return {
      inputs: raw.inputs.length,
      attributes: {
        axis: scaledAxis(raw),
        blockSize: raw.attributes.int("block_size", 0),
        to: has(raw, 2) ? input(raw, 2).dtype : to === 0 ? "uint8" : dtypeOf(to)
      }
    }
  },
  DequantizeLinear: (raw) => ({
    inputs: raw.inputs.length,
    attributes: {
      axis: scaledAxis(raw),
      blockSize: raw.attributes.int("block_size", 0)
    }
  }),

  Opaque: () => unsupported("no such operator is known")
}

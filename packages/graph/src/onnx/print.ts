/**
 * Node → ONNX node of the newest form, one row an operator: the inverse of `parse.ts`.
 *
 * Attributes that ONNX takes as constant inputs are emitted as initializers; shapes that contain the batch size
 * are computed in the file from the first input that has it.
 */
import { isOpen, isStatic } from "../ir/Dim.ts"
import type { Node } from "../ir/Graph.ts"
import type {
  AxisAttributes,
  BinaryOps,
  ConvAttributes,
  MaxPoolAttributes,
  None,
  Op,
  RecurrentAttributes,
  ReduceAttributes,
  UnaryOps,
  Window
} from "../ir/Op.ts"
import { float32, scalar } from "../ir/Tensor.ts"
import type { AttributeValue } from "./attributes.ts"
import type { Emitter } from "./Emitter.ts"
import { protoType } from "./tensorProto.ts"

export interface Printed {
  readonly attributes?: Readonly<Record<string, AttributeValue>>
  /** Inputs after the node's own; "" leaves one out. */
  readonly extraInputs?: ReadonlyArray<string>
}

type Print<K extends Op> = (node: Node<K>, emitter: Emitter) => Printed

const plain = (_: { readonly attributes: None }): Printed => ({})
const flag = (value: boolean): AttributeValue => ({ int: value ? 1 : 0 })

const window = (attributes: Window): Readonly<Record<string, AttributeValue>> => ({
  kernel_shape: { ints: attributes.kernel },
  strides: { ints: attributes.strides },
  dilations: { ints: attributes.dilations },
  pads: { ints: attributes.pads }
})

const conv = ({ attributes }: { readonly attributes: ConvAttributes }): Printed => ({
  attributes: { ...window(attributes), group: { int: attributes.groups } }
})

const pool = ({ attributes }: { readonly attributes: MaxPoolAttributes }): Printed => ({
  attributes: { ...window(attributes), ceil_mode: flag(attributes.ceilMode) }
})

const axis = ({ attributes }: { readonly attributes: AxisAttributes }): Printed => ({
  attributes: { axis: { int: attributes.axis } }
})

const recurrent = (attributes: RecurrentAttributes): Readonly<Record<string, AttributeValue>> => ({
  hidden_size: { int: attributes.hidden },
  direction: { string: attributes.direction },
  layout: flag(attributes.batchFirst),
  ...(attributes.activations === undefined ? {} : { activations: { strings: attributes.activations } }),
  ...(attributes.activationAlpha === undefined
    ? {}
    : { activation_alpha: { floats: attributes.activationAlpha } }),
  ...(attributes.activationBeta === undefined
    ? {}
    : { activation_beta: { floats: attributes.activationBeta } }),
  ...(attributes.clip === undefined ? {} : { clip: { float: attributes.clip } })
})

/** No axes means no reduction here, all dimensions in ONNX unless told so. */
const reduce = ({ attributes }: { readonly attributes: ReduceAttributes }, emitter: Emitter): Printed => ({
  attributes: { keepdims: flag(attributes.keepDims), noop_with_empty_axes: { int: 1 } },
  extraInputs: [emitter.ints(attributes.axes)]
})

const unaryRows: { readonly [K in keyof UnaryOps]: Print<K> } = {
  Abs: plain,
  Ceil: plain,
  Cos: plain,
  Erf: plain,
  Exp: plain,
  Floor: plain,
  HardSwish: plain,
  Identity: plain,
  Log: plain,
  Neg: plain,
  Not: plain,
  Reciprocal: plain,
  Relu: plain,
  Round: plain,
  Sigmoid: plain,
  Sign: plain,
  Sin: plain,
  Softplus: plain,
  Sqrt: plain,
  Tanh: plain
}

const binaryRows: { readonly [K in keyof BinaryOps]: Print<K> } = {
  Add: plain,
  Sub: plain,
  Mul: plain,
  Div: plain,
  Pow: plain,
  Max: plain,
  Min: plain,
  /** The float remainder follows the dividend's sign; ONNX wants that said. */
  Mod: (node, emitter) => ({ attributes: { fmod: flag(emitter.isFloat(node.inputs[0]!)) } }),
  And: plain,
  Or: plain,
  Equal: plain,
  Greater: plain,
  GreaterOrEqual: plain,
  Less: plain,
  LessOrEqual: plain,
  PRelu: plain
}

export const printers: { readonly [K in Op]: Print<K> } = {
  ...unaryRows,
  ...binaryRows,

  ReduceMax: reduce,
  ReduceMean: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceSum: reduce,
  ReduceSumSquare: reduce,
  ReduceL2: reduce,

  Cast: ({ attributes }) => ({ attributes: { to: { int: protoType(attributes.to) } } }),
  Clip: ({ attributes: { min, max }, inputs }, emitter) => {
    const bound = (value: number) =>
      Number.isFinite(value) ? emitter.constant(scalar(emitter.dtype(inputs[0]!), value)) : ""
    return { extraInputs: [bound(min), bound(max)] }
  },
  Elu: ({ attributes }) => ({ attributes: { alpha: { float: attributes.alpha } } }),
  Gelu: ({ attributes }) => ({ attributes: { approximate: { string: attributes.approximate } } }),
  HardSigmoid: ({ attributes }) => ({
    attributes: { alpha: { float: attributes.alpha }, beta: { float: attributes.beta } }
  }),
  LeakyRelu: ({ attributes }) => ({ attributes: { alpha: { float: attributes.alpha } } }),
  Where: plain,

  Conv: conv,
  ConvTranspose: (node) => ({
    attributes: { ...conv(node).attributes, output_padding: { ints: node.attributes.outputPadding } }
  }),
  ConvWeightGradient: ({ name }) => {
    throw new Error(`node ${name} (ConvWeightGradient) has to be lowered before it is written`)
  },
  Gemm: ({ attributes }) => ({
    attributes: {
      alpha: { float: attributes.alpha },
      beta: { float: attributes.beta },
      transA: flag(attributes.transA),
      transB: flag(attributes.transB)
    }
  }),
  MatMul: plain,

  LSTM: ({ attributes }) => ({
    attributes: { ...recurrent(attributes), input_forget: flag(attributes.inputForget) }
  }),
  GRU: ({ attributes }) => ({
    attributes: { ...recurrent(attributes), linear_before_reset: flag(attributes.linearBeforeReset) }
  }),
  RNN: ({ attributes }) => ({ attributes: recurrent(attributes) }),

  BatchNormalization: ({ attributes }) => ({ attributes: { epsilon: { float: attributes.epsilon } } }),
  LayerNormalization: ({ attributes }) => ({
    attributes: { axis: { int: attributes.axis }, epsilon: { float: attributes.epsilon } }
  }),
  InstanceNormalization: ({ attributes }) => ({ attributes: { epsilon: { float: attributes.epsilon } } }),
  LRN: ({ attributes }) => ({
    attributes: {
      size: { int: attributes.size },
      alpha: { float: attributes.alpha },
      beta: { float: attributes.beta },
      bias: { float: attributes.bias }
    }
  }),
  Softmax: axis,
  LogSoftmax: axis,

  AveragePool: (node) => {
    const { dilations, ...attributes } = pool(node).attributes!
    // ONNX Runtime's kernel on codes, which it puts in the place of this one, knows no dilations.
    const dilates = node.attributes.dilations.some((dilation) => dilation !== 1)
    return {
      attributes: {
        ...attributes,
        ...(dilates ? { dilations: dilations! } : {}),
        count_include_pad: flag(node.attributes.countIncludePad)
      }
    }
  },
  GlobalAveragePool: plain,
  GlobalMaxPool: plain,
  MaxPool: pool,

  ArgMax: ({ attributes }) => ({
    attributes: {
      axis: { int: attributes.axis },
      keepdims: flag(attributes.keepDims),
      select_last_index: flag(attributes.selectLast)
    }
  }),
  Gather: axis,
  GatherElements: axis,
  GatherND: ({ attributes }) => ({ attributes: { batch_dims: { int: attributes.batchDims } } }),
  NonMaxSuppression: ({ attributes }, emitter) => ({
    attributes: { center_point_box: flag(!attributes.cornerForm) },
    extraInputs: [
      emitter.constant(scalar("int64", attributes.mostPerClass)),
      emitter.constant(scalar("float32", attributes.iouThreshold)),
      attributes.scoreThreshold === undefined
        ? ""
        : emitter.constant(scalar("float32", attributes.scoreThreshold))
    ]
  }),
  NonZero: plain,
  RoiAlign: ({ attributes }) => ({
    attributes: {
      output_height: { int: attributes.height },
      output_width: { int: attributes.width },
      sampling_ratio: { int: attributes.samplingRatio },
      spatial_scale: { float: attributes.spatialScale },
      mode: { string: attributes.mode },
      coordinate_transformation_mode: {
        string: attributes.halfPixel ? "half_pixel" : "output_half_pixel"
      }
    }
  }),
  ScatterElements: ({ attributes }) => ({
    attributes: { axis: { int: attributes.axis }, reduction: { string: attributes.reduction } }
  }),
  ScatterND: ({ attributes }) => ({ attributes: { reduction: { string: attributes.reduction } } }),
  OneHot: ({ attributes: { axis, depth, values } }, emitter) => ({
    attributes: { axis: { int: axis } },
    extraInputs: [emitter.constant(scalar("int64", depth)), emitter.constant(float32([2], values))]
  }),
  TopK: ({ attributes }, emitter) => ({
    attributes: {
      axis: { int: attributes.axis },
      largest: flag(attributes.largest),
      sorted: flag(attributes.sorted)
    },
    extraInputs: [emitter.ints([attributes.k])]
  }),

  CumSum: ({ attributes: { axis, exclusive, reverse } }, emitter) => ({
    attributes: { exclusive: flag(exclusive), reverse: flag(reverse) },
    extraInputs: [emitter.constant(scalar("int64", axis))]
  }),
  GridSample: ({ attributes }) => ({
    attributes: {
      mode: { string: attributes.mode },
      padding_mode: { string: attributes.padding },
      align_corners: flag(attributes.alignCorners)
    }
  }),
  Trilu: ({ attributes: { upper, k } }, emitter) => ({
    attributes: { upper: flag(upper) },
    extraInputs: k === 0 ? [] : [emitter.constant(scalar("int64", k))]
  }),
  Concat: axis,
  DepthToSpace: ({ attributes }) => ({
    attributes: { blocksize: { int: attributes.blockSize }, mode: { string: attributes.mode } }
  }),
  Expand: ({ attributes }, emitter) => ({ extraInputs: [emitter.dims(attributes.shape)] }),
  Flatten: axis,
  Pad: ({ attributes: { pads, mode, value }, inputs }, emitter) => ({
    attributes: { mode: { string: mode } },
    extraInputs: [
      emitter.ints(pads),
      ...(mode === "constant" ? [emitter.constant(scalar(emitter.dtype(inputs[0]!), value))] : [])
    ]
  }),
  /** One multiple of the batch is what is left (-1); more are computed. */
  Reshape: ({ attributes: { shape } }, emitter) => {
    const symbolic = shape.filter((dim) => !isStatic(dim)).length
    const canInfer = symbolic === 1 && !shape.includes(0)
    return {
      attributes: { allowzero: flag(shape.includes(0)) },
      extraInputs: [
        canInfer ? emitter.ints(shape.map((dim) => (isStatic(dim) ? dim : -1))) : emitter.dims(shape)
      ]
    }
  },
  Resize: ({ attributes }, emitter) => ({
    attributes: {
      mode: { string: attributes.mode },
      coordinate_transformation_mode: { string: attributes.coordinates },
      nearest_mode: { string: attributes.nearestMode },
      cubic_coeff_a: { float: attributes.cubicCoefficient },
      exclude_outside: flag(attributes.excludeOutside),
      antialias: flag(attributes.antialias)
    },
    extraInputs:
      attributes.sizes === undefined
        ? ["", emitter.constant(float32([attributes.scales.length], attributes.scales))]
        : ["", "", emitter.dims(attributes.sizes)]
  }),
  Slice: ({ attributes: { starts, ends, axes, steps } }, emitter) => ({
    extraInputs: [starts, ends, axes, steps].map((list) => emitter.ints(list))
  }),
  SpaceToDepth: ({ attributes }) => ({ attributes: { blocksize: { int: attributes.blockSize } } }),
  Split: ({ attributes: { axis, sizes } }, emitter) => ({
    attributes: { axis: { int: axis } },
    extraInputs: [emitter.ints(sizes)]
  }),
  Squeeze: ({ attributes }, emitter) => ({ extraInputs: [emitter.ints(attributes.axes)] }),
  Tile: ({ attributes }, emitter) => ({ extraInputs: [emitter.ints(attributes.repeats)] }),
  Transpose: ({ attributes }) => ({ attributes: { perm: { ints: attributes.perm } } }),
  Unsqueeze: ({ attributes }, emitter) => ({ extraInputs: [emitter.ints(attributes.axes)] }),

  ConstantOfShape: ({ attributes: { shape, value } }, emitter) => ({
    attributes: { value: { tensor: value } },
    extraInputs: [emitter.dims(shape)]
  }),
  Range: ({ attributes: { start, limit, delta, dtype } }, emitter) => {
    if (isOpen(limit)) throw new Error("a range up to an open dimension is carried, not printed")
    const end = isStatic(limit) ? emitter.constant(scalar(dtype, limit)) : emitter.scalarDim(limit, dtype)
    return {
      extraInputs: [emitter.constant(scalar(dtype, start)), end, emitter.constant(scalar(dtype, delta))]
    }
  },
  Shape: ({ attributes }) => ({
    attributes: { start: { int: attributes.start }, end: { int: attributes.end } }
  }),

  QuantizeLinear: ({ attributes: { axis, blockSize, to }, inputs }) => ({
    attributes: {
      axis: { int: axis },
      ...(blockSize === 0 ? {} : { block_size: { int: blockSize } }),
      ...((inputs[2] ?? "") === "" ? { output_dtype: { int: protoType(to) } } : {})
    }
  }),
  DequantizeLinear: ({ attributes: { axis, blockSize } }) => ({
    attributes: { axis: { int: axis }, ...(blockSize === 0 ? {} : { block_size: { int: blockSize } }) }
  }),

  Opaque: ({ name }) => {
    throw new Error(`node ${name} is written as the file had it, not printed`)
  }
}

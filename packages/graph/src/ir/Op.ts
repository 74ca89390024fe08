/**
 * The operators and their attributes: the one list every per-op table is typed by.
 *
 * To add an op, add its row here; the compiler then lists the tables that miss one
 * (`{ readonly [K in Op]: Rule<K> }`: ONNX reading, ONNX writing, shape, work, pullback).
 *
 * The form is canonical, whatever opset a file was written in: what ONNX moved from attributes to constant
 * inputs over the years (axes, pads, shapes, sizes, scales) is an attribute here, because later passes need
 * its value. Axes are resolved to 0..rank-1. Inputs listed as optional may be "" or missing.
 */
import type { Dim } from "./Dim.ts"
import type { DType, Tensor } from "./Tensor.ts"

type Ints = ReadonlyArray<number>

/** No attributes. */
export interface None {}

/** Sliding-window geometry; one entry a spatial dimension. `pads` = [begin…, end…] as in ONNX, auto_pad resolved. */
export interface Window {
  readonly kernel: Ints
  readonly strides: Ints
  readonly dilations: Ints
  readonly pads: Ints
}

export interface ConvAttributes extends Window {
  readonly groups: number
}

export interface ConvTransposeAttributes extends ConvAttributes {
  readonly outputPadding: Ints
}

/** y = alpha · op(a) · op(b) + beta · c, op = transpose where the flag is set. */
export interface GemmAttributes {
  readonly alpha: number
  readonly beta: number
  readonly transA: boolean
  readonly transB: boolean
}

export interface MaxPoolAttributes extends Window {
  readonly ceilMode: boolean
}

export interface AveragePoolAttributes extends MaxPoolAttributes {
  /** Whether padding counts in the divisor. */
  readonly countIncludePad: boolean
}

export interface ReduceAttributes {
  readonly axes: Ints
  readonly keepDims: boolean
}

export interface AxisAttributes {
  readonly axis: number
}

export interface ResizeAttributes {
  readonly mode: "nearest" | "linear" | "cubic"
  readonly coordinates:
    | "half_pixel"
    | "half_pixel_symmetric"
    | "pytorch_half_pixel"
    | "align_corners"
    | "asymmetric"
    | "tf_crop_and_resize"
  readonly nearestMode: "round_prefer_floor" | "round_prefer_ceil" | "floor" | "ceil"
  readonly cubicCoefficient: number
  readonly excludeOutside: boolean
  readonly antialias: boolean
  /** Output size over input size, one entry a dimension. */
  readonly scales: Ints
  /** Output sizes where the file gives them; they win over `scales`. */
  readonly sizes: ReadonlyArray<Dim> | undefined
}

/** Operators applied element by element to one input, without attributes. */
export interface UnaryOps {
  Abs: None
  Ceil: None
  Cos: None
  Erf: None
  Exp: None
  Floor: None
  HardSwish: None
  Identity: None
  Log: None
  Neg: None
  Not: None
  Reciprocal: None
  Relu: None
  /** Half to even. */
  Round: None
  Sigmoid: None
  Sign: None
  Sin: None
  Softplus: None
  Sqrt: None
  Tanh: None
}

/** Operators applied element by element to two inputs, with broadcasting. */
export interface BinaryOps {
  Add: None
  Sub: None
  Mul: None
  Div: None
  Pow: None
  Max: None
  Min: None
  Mod: None
  And: None
  Or: None
  Equal: None
  Greater: None
  GreaterOrEqual: None
  Less: None
  LessOrEqual: None
  /** x, slope. */
  PRelu: None
}

export interface ReduceOps {
  ReduceMax: ReduceAttributes
  ReduceMean: ReduceAttributes
  ReduceMin: ReduceAttributes
  ReduceProd: ReduceAttributes
  ReduceSum: ReduceAttributes
  ReduceSumSquare: ReduceAttributes
  ReduceL2: ReduceAttributes
}

export interface Attributes extends UnaryOps, BinaryOps, ReduceOps {
  // Element by element, with attributes
  Cast: { readonly to: DType }
  /** Bounds are ±Infinity where absent. */
  Clip: { readonly min: number; readonly max: number }
  Elu: { readonly alpha: number }
  Gelu: { readonly approximate: "none" | "tanh" }
  /** max(0, min(1, alpha·x + beta)). */
  HardSigmoid: { readonly alpha: number; readonly beta: number }
  LeakyRelu: { readonly alpha: number }
  /** condition, x, y. */
  Where: None

  // Products
  /** x [N,C,…], w [M,C/groups,…], optional b [M]. */
  Conv: ConvAttributes
  /** x [N,C,…], w [C,M/groups,…], optional b [M]. */
  ConvTranspose: ConvTransposeAttributes
  /**
   * ∂⟨g, Conv(x,w)⟩/∂w of x [N,C,…] and g [N,M,…]: [M,C/groups,…]. No operator of ONNX: gradients are made of it,
   * because Conv, ConvTranspose and it are closed under differentiation, and `gradient/lower.ts` replaces it.
   */
  ConvWeightGradient: ConvAttributes
  /** a, b, optional c. */
  Gemm: GemmAttributes
  MatMul: None

  // Normalisation
  /** x, scale, b, mean, variance; running statistics. */
  BatchNormalization: { readonly epsilon: number }
  /** x, scale, optional b; over axis…rank-1. */
  LayerNormalization: { readonly axis: number; readonly epsilon: number }
  /** x, scale, b; over the spatial dimensions. */
  InstanceNormalization: { readonly epsilon: number }
  /** y = x / (bias + alpha/size · Σ x²)^beta over `size` neighbouring channels. */
  LRN: { readonly size: number; readonly alpha: number; readonly beta: number; readonly bias: number }
  Softmax: AxisAttributes
  LogSoftmax: AxisAttributes

  // Pooling
  AveragePool: AveragePoolAttributes
  GlobalAveragePool: None
  GlobalMaxPool: None
  MaxPool: MaxPoolAttributes

  // Selection
  ArgMax: { readonly axis: number; readonly keepDims: boolean; readonly selectLast: boolean }
  /** data, indices. */
  Gather: AxisAttributes
  /** data, indices of data's rank. */
  GatherElements: AxisAttributes
  /** indices; values constant. Off-value first. */
  OneHot: {
    readonly axis: number
    readonly depth: number
    readonly values: readonly [off: number, on: number]
  }
  /** x → values, indices. */
  TopK: { readonly axis: number; readonly k: number; readonly largest: boolean; readonly sorted: boolean }

  // Movement
  Concat: AxisAttributes
  DepthToSpace: { readonly blockSize: number; readonly mode: "DCR" | "CRD" }
  Expand: { readonly shape: ReadonlyArray<Dim> }
  Flatten: AxisAttributes
  Pad: {
    /** [begin…, end…], one pair a dimension; negative crops. */
    readonly pads: Ints
    readonly mode: "constant" | "reflect" | "edge" | "wrap"
    readonly value: number
  }
  /** The whole output shape, already computed: no -1, no 0-copies. */
  Reshape: { readonly shape: ReadonlyArray<Dim> }
  Resize: ResizeAttributes
  /** One entry per axis in `axes`; ends clamped to the dimension when it is known. */
  Slice: { readonly starts: Ints; readonly ends: Ints; readonly axes: Ints; readonly steps: Ints }
  SpaceToDepth: { readonly blockSize: number }
  Split: { readonly axis: number; readonly sizes: Ints }
  Squeeze: { readonly axes: Ints }
  Tile: { readonly repeats: Ints }
  Transpose: { readonly perm: Ints }
  Unsqueeze: { readonly axes: Ints }

  // Values made from shapes; only those that depend on the batch size survive reading
  ConstantOfShape: { readonly shape: ReadonlyArray<Dim>; readonly value: Tensor }
  Range: { readonly start: number; readonly limit: Dim; readonly delta: number; readonly dtype: DType }
  Shape: { readonly start: number; readonly end: number }

  // Quantization
  /** x, scale, optional zero point; block size 0 = per tensor or per axis. */
  QuantizeLinear: { readonly axis: number; readonly blockSize: number; readonly to: DType }
  /** q, scale, optional zero point. */
  DequantizeLinear: { readonly axis: number; readonly blockSize: number }
}

export type Op = keyof Attributes

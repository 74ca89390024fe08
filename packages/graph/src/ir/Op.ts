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
import type { Result } from "./shapeRule.ts"
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

/** What the recurrent operators share. Weights are [directions, gates · hidden, …]. */
export interface RecurrentAttributes {
  readonly hidden: number
  readonly direction: "forward" | "reverse" | "bidirectional"
  /** Whether sequence and batch are the second and first dimension instead of the first and second. */
  readonly batchFirst: boolean
  /** Names of the functions, one set a direction; undefined: the operator's usual ones. */
  readonly activations: ReadonlyArray<string> | undefined
  readonly activationAlpha: ReadonlyArray<number> | undefined
  readonly activationBeta: ReadonlyArray<number> | undefined
  /** Limit of what goes into the functions; undefined: none. */
  readonly clip: number | undefined
}

export type Reduction = "none" | "add" | "mul" | "max" | "min"

/** A layer inside a carried node's bodies, whose weights stand outside. */
export interface InnerLayer {
  readonly id: string
  readonly op: "Conv" | "ConvTranspose" | "Gemm" | "MatMul" | "LSTM" | "GRU" | "RNN"
  /** Name of the weights in `proto`: one of `reads`. */
  readonly weight: string
  readonly channelAxis: number
}

/** A node that no table knows, or that is written in a form they do not cover: it stays as the file has it. */
export interface OpaqueAttributes {
  readonly domain: string
  readonly opType: string
  /** The node as a serialized NodeProto: attributes, subgraphs, everything. */
  readonly proto: Uint8Array
  /** Names of the node's inputs in `proto`, then of what its subgraphs read from outside: one each of `inputs`. */
  readonly reads: ReadonlyArray<string>
  /** The file's own element types of the inputs. */
  readonly inputTypes: ReadonlyArray<DType>
  /** Types in the file and shapes of the results. */
  readonly results: ReadonlyArray<Result>
  /** Version of the domain it is written for. */
  readonly version: number
  /** Its multiplications; undefined: it has none, or nobody knows (`hasRow`). */
  readonly work: OpaqueWork | undefined
  /** Whether a table knows what it computes, so that no work is missing. */
  readonly hasRow: boolean
  /** Layers in its bodies; absent where it has none. */
  readonly layers?: ReadonlyArray<InnerLayer>
  /** Why it is carried, as a sentence's end: "no such operator is known". */
  readonly why: string
}

/** Multiplications of a carried node, where they are known: `batch` products [m,k]·[k,n], m and batch a sample's. */
export interface OpaqueWork {
  readonly batch: Dim
  readonly m: Dim
  readonly n: Dim
  readonly k: Dim
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

  // Recurrence. x [sequence,batch,C], w, r, optional b, lengths, initial h, initial c, peepholes → y, last h, last c
  LSTM: RecurrentAttributes & { readonly inputForget: boolean }
  /** x, w, r, optional b, lengths, initial h → y, last h. */
  GRU: RecurrentAttributes & { readonly linearBeforeReset: boolean }
  RNN: RecurrentAttributes

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
  /** data, indices [batch dimensions…, rows…, depth]. */
  GatherND: { readonly batchDims: number }
  /** boxes [N,boxes,4], scores [N,classes,boxes] → int64 [kept,3]: sample, class, box. */
  NonMaxSuppression: {
    readonly cornerForm: boolean
    readonly mostPerClass: number
    readonly iouThreshold: number
    readonly scoreThreshold: number | undefined
  }
  /** → int64 [rank, how many are not 0]. */
  NonZero: None
  /** indices; values constant. Off-value first. */
  OneHot: {
    readonly axis: number
    readonly depth: number
    readonly values: readonly [off: number, on: number]
  }
  /** x [N,C,H,W], rois [R,4], sample of each [R] → [R,C,height,width]. */
  RoiAlign: {
    readonly height: number
    readonly width: number
    readonly samplingRatio: number
    readonly spatialScale: number
    readonly mode: "avg" | "max"
    readonly halfPixel: boolean
  }
  /** data, indices, updates of one rank. */
  ScatterElements: { readonly axis: number; readonly reduction: Reduction }
  /** data, indices [rows…, depth], updates [rows…, rest of data]. */
  ScatterND: { readonly reduction: Reduction }
  /** x → values, indices. */
  TopK: { readonly axis: number; readonly k: number; readonly largest: boolean; readonly sorted: boolean }

  // Movement
  /** Sums along the axis up to each element (from its end: reverse; without it: exclusive). */
  CumSum: { readonly axis: number; readonly exclusive: boolean; readonly reverse: boolean }
  /** x [N,C,…], grid [N,…,rank] of positions in [−1,1]. */
  GridSample: {
    readonly mode: "linear" | "nearest" | "cubic"
    readonly padding: "zeros" | "border" | "reflection"
    readonly alignCorners: boolean
  }
  /** Of the last two dimensions, the upper (j ≥ i + k) or lower (j ≤ i + k) triangle; 0 elsewhere. */
  Trilu: { readonly upper: boolean; readonly k: number }
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

  Opaque: OpaqueAttributes
}

export type Op = keyof Attributes

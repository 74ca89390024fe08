/** Operators on codes, each in the form that quantizers write: parameters are constants, activations are fed. */
import { Dim, Tensor } from "@bitbudget/graph"
import type { op } from "./onnx.ts"

const of = (dtype: Tensor.DType, shape: ReadonlyArray<number>, at: (i: number) => number): Tensor.Tensor =>
  Tensor.tensor(
    dtype,
    shape,
    Array.from({ length: Dim.elements(shape) }, (_, i) => at(i))
  )
const floats = (...shape: ReadonlyArray<number>) => of("float32", shape, (i) => ((i * 7) % 11) / 11 - 0.4)
const codes = (...shape: ReadonlyArray<number>) => of("uint8", shape, (i) => (i * 37) % 120)
/**
 * Sums of two products fit 16 bits, where some processors' kernels saturate. One weight in five is the greatest, so that
 * ONNX Runtime, which rounds float weights between codes to 8 bits itself, has the same scale.
 */
const weights = (...shape: ReadonlyArray<number>) =>
  of("int8", shape, (i) => (i % 3 === 0 ? 127 : ((i * 29) % 61) - 30))
const scale = (value: number) => Tensor.scalar("float32", value)
const zero = (value: number, dtype: Tensor.DType = "uint8") => Tensor.scalar(dtype, value)
/** A scale for each, all of them equal for the same reason; `test/quantized.test.ts` has networks where they are not. */
const perChannel = (count: number) => of("float32", [count], () => 0.02)
const zeros = (count: number) => of("int8", [count], () => 0)

export interface QuantizedForm {
  readonly opType: string
  readonly note?: string
  /** Of `com.microsoft` where it is not ONNX's own. */
  readonly own?: true
  /** The inputs that are fed; all others are constants. */
  readonly fed: ReadonlyArray<number>
  readonly inputs: ReadonlyArray<Tensor.Tensor>
  readonly attributes?: Parameters<typeof op>[3]
  readonly outputs?: number
}

const binaryInputs = [
  codes(3, 4),
  scale(0.1),
  zero(120),
  codes(4),
  scale(0.2),
  zero(100),
  scale(0.3),
  zero(90)
]
const unaryInputs = (x: Tensor.Tensor) => [x, scale(0.05), zero(128), scale(0.004), zero(3)]
const images = codes(2, 4, 6, 6)

export const quantizedForms: ReadonlyArray<QuantizedForm> = [
  {
    opType: "QLinearConv",
    own: true,
    fed: [0],
    inputs: [
      images,
      scale(0.1),
      zero(128),
      weights(4, 2, 3, 3),
      scale(0.02),
      zero(0, "int8"),
      scale(0.3),
      zero(99)
    ],
    attributes: { group: { int: 2 }, strides: { ints: [2, 2] } }
  },
  {
    opType: "QLinearConv",
    note: "a scale a channel, a bias",
    own: true,
    fed: [0],
    inputs: [
      ...[images, scale(0.1), zero(7), weights(5, 4, 3, 3), perChannel(5), zeros(5), scale(0.3), zero(99)],
      of("int32", [5], (i) => 1000 * i - 2000)
    ]
  },
  {
    opType: "QLinearMatMul",
    own: true,
    fed: [0],
    inputs: [
      codes(2, 3, 4),
      scale(0.1),
      zero(128),
      weights(4, 5),
      perChannel(5),
      zeros(5),
      scale(0.1),
      zero(90)
    ]
  },
  { opType: "DynamicQuantizeLinear", own: true, fed: [0], inputs: [floats(3, 4)], outputs: 3 },
  {
    opType: "QGemm",
    fed: [0],
    inputs: [
      ...[codes(3, 4), scale(0.1), zero(128), weights(5, 4), perChannel(5), zeros(5)],
      ...[of("int32", [5], (i) => 100 * i), scale(0.1), zero(90)]
    ],
    attributes: { transB: { int: 1 } }
  },
  {
    opType: "QGemm",
    note: "a float result",
    fed: [0],
    inputs: [codes(3, 4), scale(0.1), zero(128), weights(4, 5), scale(0.02), zero(0, "int8")]
  },
  {
    opType: "QGemm",
    note: "alpha scales the bias, too",
    fed: [0],
    inputs: [
      ...[codes(3, 4), scale(0.1), zero(128), weights(4, 5), scale(0.02), zero(0, "int8")],
      of("int32", [5], (i) => 100 * i - 150)
    ],
    attributes: { alpha: { float: 0.5 } }
  },
  { opType: "QLinearAdd", fed: [0, 3], inputs: binaryInputs },
  { opType: "QLinearMul", fed: [0, 3], inputs: binaryInputs },
  { opType: "QLinearSigmoid", fed: [0], inputs: unaryInputs(codes(3, 4)) },
  {
    opType: "QLinearLeakyRelu",
    fed: [0],
    inputs: [codes(3, 4), scale(0.05), zero(128), scale(0.04), zero(30)],
    attributes: { alpha: { float: 0.2 } }
  },
  {
    opType: "QLinearSoftmax",
    fed: [0],
    inputs: unaryInputs(codes(3, 4)),
    attributes: { axis: { int: 1 }, opset: { int: 13 } }
  },
  {
    opType: "QLinearAveragePool",
    fed: [0],
    inputs: [images, scale(0.1), zero(128), scale(0.05), zero(100)],
    attributes: { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } }
  },
  {
    opType: "QLinearGlobalAveragePool",
    fed: [0],
    inputs: [images, scale(0.1), zero(128), scale(0.05), zero(100)]
  },
  {
    opType: "QLinearConcat",
    fed: [2, 5],
    inputs: [scale(0.2), zero(100), codes(3, 4), scale(0.1), zero(128), codes(3, 2), scale(0.3), zero(90)],
    attributes: { axis: { int: 1 } }
  },
  {
    opType: "DynamicQuantizeMatMul",
    fed: [0],
    inputs: [
      floats(3, 4),
      of("uint8", [4, 5], (i) => 100 + ((i * 29) % 61)),
      scale(0.1),
      zero(128),
      floats(5)
    ]
  },
  {
    opType: "MatMulIntegerToFloat",
    fed: [0],
    inputs: [codes(3, 4), weights(4, 5), scale(0.1), scale(0.02), zero(128), zero(0, "int8"), floats(5)]
  },
  {
    opType: "MatMulNBits",
    note: "4 bits, a last block that is not full, zero points",
    fed: [0],
    inputs: [floats(3, 40), codes(8, 2, 16), floats(16), of("uint8", [8], (i) => 16 * (i + 3) + 9 - i)],
    attributes: { K: { int: 40 }, N: { int: 8 }, bits: { int: 4 }, block_size: { int: 32 } }
  },
  {
    opType: "MatMulNBits",
    note: "8 bits",
    fed: [0],
    inputs: [floats(3, 32), codes(8, 1, 32), floats(8)],
    attributes: { K: { int: 32 }, N: { int: 8 }, bits: { int: 8 }, block_size: { int: 32 } }
  },
  { opType: "QuantizeLinear", fed: [0], inputs: [floats(3, 4), scale(0.01), zero(128)] },
  { opType: "DequantizeLinear", fed: [0], inputs: [codes(3, 4), scale(0.01), zero(128)] }
]

/** Names as the support table has them. */
export const quantizedOps: ReadonlyArray<string> = quantizedForms.map(({ opType, own }) =>
  own === true ? opType : `com.microsoft.${opType}`
)

/**
 * Integer weights: q = clip(⌊w/s⌉ + z), ŵ = s·(q − z), rounding half to even, in float32; one scale for the tensor, an
 * output channel, or a block along a channel's reduction.
 *
 * Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
 * CVPR 2018. One bit is the sign times the mean magnitude: Rastegari et al., "XNOR-Net", ECCV 2016. How scales are
 * found stands in `integer/fit.ts`, how codes are stored in `integer/stored.ts`.
 */
import { Dim, type GraphBuilder, type Precision, Tensor } from "@bitbudget/graph"
import { largestCode, roundHalfEven } from "../Affine.ts"
import { sameScale, showScale } from "../format/scaleText.ts"
import type { IntegerWeights } from "../format/WeightFormat.ts"
import { blockCount, blockIndex, blockExtents, blockMembers, blockSizes, channelsFirst } from "./Blocks.ts"
import { emitScales, keeper, kept, scaleBytes } from "./blockScales.ts"
import { type Fitting, sampleOf } from "./Fitting.ts"
import { affineOf, extremeScale, leastSquaresAffine, leastSquaresScale } from "./integer/fit.ts"
import { emitCodes, packedBytes, stored } from "./integer/stored.ts"
import type { Product, WeightKind, WeightShape } from "./WeightKind.ts"

/** Integer codes with the parameters that give the values back. */
export interface IntegerCodes {
  readonly format: IntegerWeights
  readonly shape: ReadonlyArray<number>
  readonly axis: number
  /** One a value, row-major: signed where there is no zero point, from 0 where there is. */
  readonly codes: Int16Array | Uint16Array
  /** Channel by channel, and block by block within a channel. Negative where the lowest code is a positive weight. */
  readonly scales: Float32Array
  readonly zeroPoints: Uint16Array | undefined
}

type Parameters = Pick<IntegerCodes, "scales" | "zeroPoints">

/** Parameters by the extents of all blocks, which one walk over the values finds. */
const extremeParameters = (
  data: ArrayLike<number>,
  of: WeightShape,
  { bits, scale, zeroPoint }: Pick<IntegerWeights, "bits" | "scale" | "zeroPoint">
): Parameters => {
  const extents = blockExtents(data, of, scale)
  if (!zeroPoint)
    return {
      scales: Float32Array.from(extents, (extent) => extremeScale(extent, bits)),
      zeroPoints: undefined
    }
  const held = keeper(scale, bits)
  const found = extents.map(({ low, high }) => affineOf(low, high, bits, held))
  return {
    scales: Float32Array.from(found, ({ scale }) => scale),
    zeroPoints: Uint16Array.from(found, ({ zeroPoint }) => zeroPoint)
  }
}

const parametersOf = (
  data: ArrayLike<number>,
  of: WeightShape,
  { bits, scale, zeroPoint }: IntegerWeights,
  { objective, importance }: Fitting
): Parameters => {
  const held = keeper(scale, bits)
  if (objective === "extremes" && (bits > 1 || zeroPoint))
    return extremeParameters(data, of, { bits, scale, zeroPoint })
  const samples = blockMembers(of, scale).map((members) => sampleOf(data, members, importance))
  if (zeroPoint) {
    const found = samples.map((sample) => leastSquaresAffine(sample, bits, held))
    return {
      scales: Float32Array.from(found, ({ scale }) => scale),
      zeroPoints: Uint16Array.from(found, ({ zeroPoint }) => zeroPoint)
    }
  }
  const scaleOfSample =
    bits === 1
      ? ({ w, h }: (typeof samples)[number]) => {
          const weight = h.reduce((a, b) => a + b, 0)
          return weight === 0 ? 0 : w.reduce((sum, x, i) => sum + h[i]! * Math.abs(x), 0) / weight
        }
      : (sample: (typeof samples)[number]) => leastSquaresScale(sample, bits, held)
  return { scales: Float32Array.from(samples, scaleOfSample), zeroPoints: undefined }
}

/** Codes between these bounds are used: all of them by a fitted scale, those symmetric to 0 by an extreme one. */
const signedBounds = (bits: number, objective: Fitting["objective"]) => {
  const largest = largestCode(bits)
  return { low: objective === "extremes" ? -largest : -largest - 1, high: largest }
}

const encode = (
  data: ArrayLike<number>,
  of: WeightShape,
  format: IntegerWeights,
  fitted: Parameters,
  objective: Fitting["objective"]
): IntegerCodes => {
  const { bits, scale } = format
  const { zeroPoints } = fitted
  const scales = kept(fitted.scales, scale, bits)
  const parameters = { scales, zeroPoints }
  const indexOf = blockIndex(of, scale)
  // A loop, since mapping with a function takes ten times as long on typed arrays.
  if (zeroPoints !== undefined) {
    const levels = 2 ** bits - 1
    const codes = new Uint16Array(data.length)
    for (let i = 0; i < data.length; i++) {
      const s = indexOf(i)
      const code = roundHalfEven(Math.fround(data[i]! / scales[s]!)) + zeroPoints[s]!
      codes[i] = Math.max(0, Math.min(levels, code))
    }
    return { format, ...of, codes, ...parameters }
  }
  const codes = new Int16Array(data.length)
  if (bits === 1) {
    for (let i = 0; i < data.length; i++) codes[i] = data[i]! < 0 ? -1 : 1
    return { format, ...of, codes, ...parameters }
  }
  const { low, high } = signedBounds(bits, objective)
  for (let i = 0; i < data.length; i++) {
    const code = roundHalfEven(Math.fround(data[i]! / scales[indexOf(i)]!))
    codes[i] = Math.max(low, Math.min(high, code))
  }
  return { format, ...of, codes, ...parameters }
}

const quantize = (
  weights: Tensor.Tensor,
  axis: number,
  format: IntegerWeights,
  fitting: Fitting
): IntegerCodes => {
  const data = Tensor.values(weights)
  const of = { shape: weights.shape, axis }
  return encode(data, of, format, parametersOf(data, of, format, fitting), fitting.objective)
}

const recode = (encoded: IntegerCodes, weights: Tensor.Tensor): IntegerCodes => {
  const { format, shape, axis, scales, zeroPoints } = encoded
  return encode(Tensor.values(weights), { shape, axis }, format, { scales, zeroPoints }, "leastSquares")
}

const levels = (encoded: IntegerCodes): ((i: number) => Float32Array) => {
  const { format, scales, zeroPoints } = encoded
  const { bits } = format
  const codes =
    zeroPoints !== undefined
      ? Array.from({ length: 2 ** bits }, (_, q) => q)
      : bits === 1
        ? [-1, 1]
        : Array.from({ length: 2 ** bits }, (_, q) => q - 2 ** (bits - 1))
  const made = new Map<number, Float32Array>()
  const indexOf = blockIndex(encoded, format.scale)
  return (i) => {
    const s = indexOf(i)
    const known = made.get(s)
    if (known !== undefined) return known
    const values = Float32Array.from(codes, (q) => (q - (zeroPoints?.[s] ?? 0)) * scales[s]!).sort()
    made.set(s, values)
    return values
  }
}

const dequantize = ({ format, shape, axis, codes, scales, zeroPoints }: IntegerCodes): Tensor.Tensor => {
  const indexOf = blockIndex({ shape, axis }, format.scale)
  const values = new Float32Array(codes.length)
  for (let i = 0; i < codes.length; i++) {
    const s = indexOf(i)
    values[i] = (codes[i]! - (zeroPoints?.[s] ?? 0)) * scales[s]!
  }
  return Tensor.float32(shape, values)
}

/** A vector along `axis` in a tensor of rank `rank`, so that it multiplies channel by channel. */
const alongAxis = (length: number, axis: number, rank: number): ReadonlyArray<number> =>
  Array.from({ length: rank }, (_, i) => (i === axis ? length : 1))

/** Products of 8-bit operands; narrower weights are widened to 8 bits when the file is loaded. */
const hasIntegerKernels = ({ bits, scale }: IntegerWeights): boolean => bits <= 8 && typeof scale !== "object"

/** Codes that stay codes: DequantizeLinear before the product, which ONNX Runtime fuses with it. */
const emitForIntegers = (builder: GraphBuilder, name: string, encoded: IntegerCodes): string => {
  const { format, shape, axis, codes, scales, zeroPoints } = encoded
  const { bits } = format
  const perTensor = format.scale === "tensor"
  const scaleShape = perTensor ? [] : [shape[axis]!]
  const attributes = { axis: perTensor ? 0 : axis, blockSize: 0 }
  const scale = builder.constant(stored("float32", scaleShape, scales), `${name}/scale`)
  const dequantized = (wide: string, ...zero: ReadonlyArray<string>) =>
    builder.add("DequantizeLinear", [wide, scale, ...zero], attributes, { name: `${name}/dq` })
  if (zeroPoints === undefined) return dequantized(emitCodes(builder, name, shape, codes, bits, true, "int8"))
  if (bits === 8) {
    const zero = builder.constant(stored("uint8", scaleShape, zeroPoints), `${name}/zero_point`)
    return dequantized(emitCodes(builder, name, shape, codes, bits, false, "uint8"), zero)
  }
  // Taken off beforehand, the zero points leave signed weights, for which kernels are faster.
  const along = perTensor ? [] : alongAxis(shape[axis]!, axis, shape.length)
  const wide = emitCodes(builder, name, shape, codes, bits, false, "int32")
  const zero = emitCodes(builder, `${name}/z`, along, zeroPoints, bits, false, "int32")
  const steps = builder.add("Sub", [wide, zero], {}, { name: `${name}/steps` })
  return dequantized(builder.add("Cast", [steps], { to: "int8" }, { name: `${name}/narrow` }))
}

/** Values by operators that are computed once, when the file is loaded: the product runs as in the float network. */
const emitForFloats = (builder: GraphBuilder, name: string, encoded: IntegerCodes): string => {
  const { format, shape, axis, codes, scales, zeroPoints } = encoded
  const { bits, scale } = format
  const { channels, reduction, block, blocks } = blockSizes(encoded, scale)
  const signed = zeroPoints === undefined
  /** steps · scale, with the codes in `codeShape` and the parameters broadcast from `scaleShape`. */
  const scaled = (
    ordered: typeof codes,
    codeShape: ReadonlyArray<number>,
    scaleShape: ReadonlyArray<number>
  ) => {
    const whole = emitCodes(builder, name, codeShape, ordered, bits, signed, "float32")
    const steps = signed
      ? whole
      : builder.add(
          "Sub",
          [whole, emitCodes(builder, `${name}/z`, scaleShape, zeroPoints, bits, false, "float32")],
          {},
          { name: `${name}/steps` }
        )
    const factor = emitScales(builder, name, scaleShape, scales, scale, bits)
    return builder.add("Mul", [steps, factor], {}, { name: `${name}/scaled` })
  }
  if (typeof scale !== "object")
    return scaled(codes, shape, scale === "tensor" ? [] : alongAxis(shape[axis]!, axis, shape.length))
  const rest = shape.filter((_, i) => i !== axis)
  const order = shape.map((_, i) => (i === axis ? 0 : i < axis ? i + 1 : i))
  const rows = channelsFirst(codes, encoded)
  const inRows =
    reduction % block === 0
      ? scaled(rows, [channels, blocks, block], [channels, blocks, 1])
      : uneven(builder, name, { ...encoded, codes: rows }, [channels, reduction], [channels, blocks], block)
  const apart = builder.add("Reshape", [inRows], { shape: [channels, ...rest] }, { name: `${name}/apart` })
  return axis === 0 ? apart : builder.add("Transpose", [apart], { perm: order }, { name: `${name}/restored` })
}

/** Blocks that do not divide the reduction: the operator made for them, which is computed at every run. */
const uneven = (
  builder: GraphBuilder,
  name: string,
  { format, codes, scales, zeroPoints }: IntegerCodes,
  shape: ReadonlyArray<number>,
  scaleShape: ReadonlyArray<number>,
  block: number
): string => {
  const { bits } = format
  const dtype: Tensor.DType =
    zeroPoints === undefined ? (bits <= 8 ? "int8" : "int16") : bits <= 8 ? "uint8" : "uint16"
  const wide = emitCodes(builder, name, shape, codes, bits, zeroPoints === undefined, dtype)
  const scale = emitScales(builder, name, scaleShape, scales, format.scale, bits)
  const zero =
    zeroPoints === undefined
      ? []
      : [emitCodes(builder, `${name}/z`, scaleShape, zeroPoints, bits, false, dtype)]
  const attributes = { axis: 1, blockSize: block }
  return builder.add("DequantizeLinear", [wide, scale, ...zero], attributes, { name: `${name}/dq` })
}

/** 8-bit codes from 0, with a zero point in the middle: the same values. */
const unsigned = (encoded: IntegerCodes): IntegerCodes => {
  const { format, codes, scales, zeroPoints } = encoded
  if (format.bits !== 8 || zeroPoints !== undefined) return encoded
  return {
    ...encoded,
    codes: Uint16Array.from(codes, (code) => code + 128),
    zeroPoints: new Uint16Array(scales.length).fill(128)
  }
}

const emit = (builder: GraphBuilder, name: string, encoded: IntegerCodes, product: Product): string =>
  product !== "float" && hasIntegerKernels(encoded.format)
    ? emitForIntegers(builder, name, product === "unsigned" ? unsigned(encoded) : encoded)
    : emitForFloats(builder, name, encoded)

const storedBytes = (of: WeightShape, { bits, scale, zeroPoint }: IntegerWeights): number => {
  const scales = blockCount(of, scale)
  return (
    packedBytes(Dim.elements(of.shape), bits) +
    scaleBytes(scale, bits) * scales +
    (zeroPoint ? packedBytes(scales, bits) : 0)
  )
}

const containers = [2, 4, 8, 16] as const
const dtypeOf = ({ bits, zeroPoint }: IntegerWeights): Tensor.DType =>
  `${zeroPoint ? "uint" : "int"}${containers.find((container) => bits <= container) ?? 16}`

const precision = ({ bits, scale, zeroPoint }: IntegerWeights): Precision.Format => {
  const storage = {
    ...(scale === "channel" ? {} : { scale: scale === "tensor" ? ("tensor" as const) : scale.block }),
    ...(zeroPoint ? { zeroPoint } : {})
  }
  return { kind: "int", bits, ...(Object.keys(storage).length === 0 ? {} : { storage }) }
}

export const int: WeightKind<IntegerWeights, IntegerCodes> = {
  describe:
    "integers of 1 to 16 bits; `.t` one scale for the tensor, `.gN` one for N values, `.asym` with zero points",
  examples: [
    { kind: "int", bits: 4, scale: "channel", zeroPoint: false },
    { kind: "int", bits: 3, scale: { block: 32 }, zeroPoint: true }
  ],
  show: ({ bits, scale, zeroPoint }) => `${bits}${showScale(scale)}${zeroPoint ? ".asym" : ""}`,
  parse: (text) => {
    const found = /^([1-9]\d?)(?:\.(?:(t)|(c)|g([1-9]\d*)))?(\.asym)?$/.exec(text)
    if (found === null || Number(found[1]) > 16) return undefined
    const scale =
      found[2] !== undefined ? "tensor" : found[4] === undefined ? "channel" : { block: Number(found[4]) }
    return { kind: "int", bits: Number(found[1]), scale, zeroPoint: found[5] !== undefined }
  },
  quantize,
  recode,
  levels,
  dequantize,
  blank: (of, format) => ({
    format,
    ...of,
    codes: new Int16Array(0),
    scales: new Float32Array(0),
    zeroPoints: format.zeroPoint ? new Uint16Array(0) : undefined
  }),
  storedBytes,
  dtype: dtypeOf,
  emit,
  hasIntegerKernels,
  precision,
  isFiner: (finer, coarser) =>
    finer.bits >= coarser.bits &&
    sameScale(finer.scale, coarser.scale) &&
    finer.zeroPoint === coarser.zeroPoint
}

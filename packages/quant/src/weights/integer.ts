/**
 * Integer weights: q = clip(⌊w/s⌉ + z), ŵ = s·(q − z), rounding half to even, in float32; one scale for the tensor, an
 * output channel, or a block along a channel's reduction.
 *
 * Scales come from the extreme values. Jacob et al., "Quantization and Training of Neural Networks for Efficient
 * Integer-Arithmetic-Only Inference", CVPR 2018. One bit is the sign times the mean magnitude: Rastegari et al.,
 * "XNOR-Net", ECCV 2016.
 */
import { Dim, type GraphBuilder, type Precision, Tensor } from "@bitbudget/graph"
import { affineParameters, largestCode, roundHalfEven, scaleOf } from "../Affine.ts"
import type { IntegerWeights, Scale } from "../format/WeightFormat.ts"
import type { WeightKind, WeightShape } from "./WeightKind.ts"

/** Integer codes with the parameters that give the values back. */
export interface IntegerCodes {
  readonly format: IntegerWeights
  readonly shape: ReadonlyArray<number>
  readonly axis: number
  /** One a value, row-major: signed where there is no zero point, from 0 where there is. */
  readonly codes: Int16Array | Uint16Array
  /** Channel by channel, and block by block within a channel. */
  readonly scales: Float32Array
  readonly zeroPoints: Uint16Array | undefined
}

/** Values along the reduction of one output channel, and blocks these fall into. */
const blocksOf = ({ shape, axis }: WeightShape, scale: Scale) => {
  const channels = scale === "tensor" ? 1 : shape[axis]!
  const reduction = Dim.elements(shape) / Math.max(1, channels)
  const block = typeof scale === "object" ? Math.min(scale.block, reduction) : reduction
  return { channels, reduction, block, blocks: reduction === 0 ? 0 : Math.ceil(reduction / block) }
}

/** Index into the scales of every value, in row-major order. */
const scaleIndices = (of: WeightShape, scale: Scale): ((i: number) => number) => {
  if (scale === "tensor") return () => 0
  const { shape, axis } = of
  const inner = Dim.elements(shape.slice(axis + 1))
  const channels = shape[axis]!
  const channel = (i: number) => Math.floor(i / inner) % channels
  if (scale === "channel") return channel
  const { block, blocks } = blocksOf(of, scale)
  // Position along the reduction: all axes but the channels', in row-major order.
  const along = (i: number) => Math.floor(i / (inner * channels)) * inner + (i % inner)
  return (i) => channel(i) * blocks + Math.floor(along(i) / block)
}

const containers = [2, 4, 8, 16] as const

/** Bits an integer takes in the file: the narrowest ONNX type that holds it. */
const containerBits = (bits: number): (typeof containers)[number] =>
  containers.find((container) => bits <= container) ?? 16

const signedTypes = { 2: "int2", 4: "int4", 8: "int8", 16: "int16" } as const
const unsignedTypes = { 2: "uint2", 4: "uint4", 8: "uint8", 16: "uint16" } as const
const dtypeOf = ({ bits, zeroPoint }: IntegerWeights): Tensor.DType =>
  (zeroPoint ? unsignedTypes : signedTypes)[containerBits(bits)]

interface Extremes {
  readonly low: Float32Array
  readonly high: Float32Array
  /** Mean magnitudes: the scale of signs. */
  readonly magnitude: Float32Array
}

const extremesOf = (data: ArrayLike<number>, indexOf: (i: number) => number, count: number): Extremes => {
  const [low, high, sum, members] = [0, 1, 2, 3].map(() => new Float64Array(count)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array
  ]
  for (let i = 0; i < data.length; i++) {
    const s = indexOf(i)
    low[s] = Math.min(low[s]!, data[i]!)
    high[s] = Math.max(high[s]!, data[i]!)
    sum[s]! += Math.abs(data[i]!)
    members[s]!++
  }
  const magnitude = Float32Array.from(sum, (total, s) => total / Math.max(1, members[s]!))
  return { low: Float32Array.from(low), high: Float32Array.from(high), magnitude }
}

const quantize = (weights: Tensor.Tensor, axis: number, format: IntegerWeights): IntegerCodes => {
  const { bits, scale, zeroPoint } = format
  const { shape } = weights
  const data = Tensor.values(weights)
  const indexOf = scaleIndices({ shape, axis }, scale)
  const { channels, blocks } = blocksOf({ shape, axis }, scale)
  const { low, high, magnitude } = extremesOf(data, indexOf, channels * blocks)
  if (zeroPoint) {
    const parameters = Array.from(low, (bottom, s) => affineParameters(bottom, high[s]!, bits))
    const levels = 2 ** bits - 1
    const codes = new Uint16Array(data.length)
    for (let i = 0; i < data.length; i++) {
      const { scale, zeroPoint } = parameters[indexOf(i)]!
      codes[i] = Math.max(0, Math.min(levels, roundHalfEven(Math.fround(data[i]! / scale)) + zeroPoint))
    }
    const scales = Float32Array.from(parameters, ({ scale }) => scale)
    const zeroPoints = Uint16Array.from(parameters, ({ zeroPoint }) => zeroPoint)
    return { format, shape, axis, codes, scales, zeroPoints }
  }
  const codes = new Int16Array(data.length)
  if (bits === 1) {
    for (let i = 0; i < data.length; i++) codes[i] = data[i]! < 0 ? -1 : 1
    return { format, shape, axis, codes, scales: magnitude, zeroPoints: undefined }
  }
  const limit = largestCode(bits)
  const scales = Float32Array.from(high, (top, s) => scaleOf(Math.max(top, -low[s]!), limit))
  // Loops, here and above: `from` with a function takes ten times as long on typed arrays.
  for (let i = 0; i < data.length; i++) {
    const code = roundHalfEven(Math.fround(data[i]! / scales[indexOf(i)]!))
    codes[i] = Math.max(-limit, Math.min(limit, code))
  }
  return { format, shape, axis, codes, scales, zeroPoints: undefined }
}

const dequantize = ({ format, shape, axis, codes, scales, zeroPoints }: IntegerCodes): Tensor.Tensor => {
  const indexOf = scaleIndices({ shape, axis }, format.scale)
  const values = new Float32Array(codes.length)
  for (let i = 0; i < codes.length; i++) {
    const s = indexOf(i)
    values[i] = (codes[i]! - (zeroPoints?.[s] ?? 0)) * scales[s]!
  }
  return Tensor.float32(shape, values)
}

/** How the codes stand in the file: as they are, or as rows of channels where blocks run along a reduction. */
interface Stored {
  readonly codes: IntegerCodes["codes"]
  readonly shape: ReadonlyArray<number>
  readonly scaleShape: ReadonlyArray<number>
  readonly attributes: { readonly axis: number; readonly blockSize: number }
  /** Back from rows to the weights' own layout; undefined where they are in it. */
  readonly restore: ((builder: GraphBuilder, rows: string, name: string) => string) | undefined
}

const channelsFirst = (codes: IntegerCodes["codes"], { shape, axis }: WeightShape): IntegerCodes["codes"] => {
  if (axis === 0) return codes
  const inner = Dim.elements(shape.slice(axis + 1))
  const [channels, reduction] = [shape[axis]!, codes.length / shape[axis]!]
  const rows = codes.slice()
  for (let i = 0; i < codes.length; i++) {
    const channel = Math.floor(i / inner) % channels
    const along = Math.floor(i / (inner * channels)) * inner + (i % inner)
    rows[channel * reduction + along] = codes[i]!
  }
  return rows
}

const storedForm = (encoded: IntegerCodes): Stored => {
  const { format, shape, axis, codes, scales } = encoded
  const { scale } = format
  if (typeof scale !== "object") {
    const perTensor = scale === "tensor"
    return {
      codes,
      shape,
      scaleShape: perTensor ? [] : [scales.length],
      attributes: { axis: perTensor ? 0 : axis, blockSize: 0 },
      restore: undefined
    }
  }
  const { channels, reduction, block, blocks } = blocksOf(encoded, scale)
  const rest = shape.filter((_, i) => i !== axis)
  const order = shape.map((_, i) => (i === axis ? 0 : i < axis ? i + 1 : i))
  const restore = (builder: GraphBuilder, rows: string, name: string): string => {
    const apart =
      shape.length === 2
        ? rows
        : builder.add("Reshape", [rows], { shape: [channels, ...rest] }, { name: `${name}/apart` })
    return axis === 0
      ? apart
      : builder.add("Transpose", [apart], { perm: order }, { name: `${name}/restored` })
  }
  return {
    codes: channelsFirst(codes, encoded),
    shape: [channels, reduction],
    scaleShape: [channels, blocks],
    attributes: { axis: 1, blockSize: block },
    restore: shape.length === 2 && axis === 0 ? undefined : restore
  }
}

/** A vector along `axis` in a tensor of rank `rank`, so that it multiplies channel by channel. */
const alongAxis = (length: number, axis: number, rank: number): ReadonlyArray<number> =>
  Array.from({ length: rank }, (_, i) => (i === axis ? length : 1))

/**
 * ONNX Runtime 1.30 has integer kernels for 8-bit operands only, but prepares for them at any width: it rounds the bias
 * to multiples of (weight scale × activation scale), which are coarse below 8 bits, and fails on 2-bit types. So only
 * 8-bit weights go straight from DequantizeLinear into the product.
 */
const hasIntegerKernels = ({ bits, scale }: IntegerWeights): boolean =>
  containerBits(bits) === 8 && typeof scale !== "object"

const emit = (builder: GraphBuilder, name: string, encoded: IntegerCodes): string => {
  const { format, shape, axis, scales, zeroPoints } = encoded
  const dtype = dtypeOf(format)
  const stored = storedForm(encoded)
  const codes = builder.constant(
    Tensor.tensor(dtype, stored.shape, stored.codes),
    `${name}/int${format.bits}`
  )
  const zero =
    zeroPoints === undefined
      ? []
      : [builder.constant(Tensor.tensor(dtype, stored.scaleShape, zeroPoints), `${name}/zero_point`)]
  const { attributes, scaleShape } = stored
  if (hasIntegerKernels(format) || typeof format.scale === "object") {
    const scale = builder.constant(Tensor.float32(scaleShape, scales), `${name}/scale`)
    const rows = builder.add("DequantizeLinear", [codes, scale, ...zero], attributes, { name: `${name}/dq` })
    return stored.restore === undefined ? rows : stored.restore(builder, rows, name)
  }
  // Scaling apart from the conversion keeps the product in float; DequantizeLinear only takes off the zero point.
  const unit = builder.constant(
    zeroPoints === undefined ? Tensor.scalar("float32", 1) : Tensor.filled("float32", scaleShape, 1),
    `${name}/unit`
  )
  const steps = builder.add(
    "DequantizeLinear",
    [codes, unit, ...zero],
    zeroPoints === undefined ? { axis: 0, blockSize: 0 } : attributes,
    { name: `${name}/dq` }
  )
  const factors = Tensor.float32(
    format.scale === "tensor" ? [] : alongAxis(scales.length, axis, shape.length),
    scales
  )
  const scale = builder.constant(factors, `${name}/scale`)
  return builder.add("Mul", [steps, scale], {}, { name: `${name}/scaled` })
}

const storedBytes = (of: WeightShape, format: IntegerWeights): number => {
  const container = containerBits(format.bits)
  const { channels, blocks } = blocksOf(of, format.scale)
  const scales = channels * blocks
  const elements = Math.ceil((Dim.elements(of.shape) * container) / 8)
  const zeroPoints = format.zeroPoint ? Math.ceil((scales * container) / 8) : 0
  // Zero points of scaled weights come with unit scales of their own.
  const unitScales =
    format.zeroPoint && !hasIntegerKernels(format) && typeof format.scale !== "object" ? 4 * scales : 0
  return elements + 4 * scales + zeroPoints + unitScales
}

const precision = ({ bits, scale, zeroPoint }: IntegerWeights): Precision.Format => {
  const storage = {
    ...(scale === "channel" ? {} : { scale: scale === "tensor" ? ("tensor" as const) : scale.block }),
    ...(zeroPoint ? { zeroPoint } : {})
  }
  return { kind: "int", bits, ...(Object.keys(storage).length === 0 ? {} : { storage }) }
}

const modifiers = ({ scale, zeroPoint }: IntegerWeights): string =>
  (scale === "tensor" ? ".t" : scale === "channel" ? "" : `.g${scale.block}`) + (zeroPoint ? ".asym" : "")

const sameScale = (a: Scale, b: Scale): boolean =>
  typeof a === "object" && typeof b === "object" ? a.block === b.block : a === b

export const int: WeightKind<IntegerWeights, IntegerCodes> = {
  describe:
    "integers of 1 to 16 bits; `.t` one scale for the tensor, `.gN` one for N values, `.asym` with zero points",
  show: (format) => `${format.bits}${modifiers(format)}`,
  parse: (text) => {
    const found = /^([1-9]\d?)(?:\.(?:(t)|(c)|g([1-9]\d*)))?(\.asym)?$/.exec(text)
    if (found === null || Number(found[1]) > 16) return undefined
    const scale =
      found[2] !== undefined ? "tensor" : found[4] === undefined ? "channel" : { block: Number(found[4]) }
    return { kind: "int", bits: Number(found[1]), scale, zeroPoint: found[5] !== undefined }
  },
  quantize,
  dequantize,
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

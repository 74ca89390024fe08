/**
 * Affine quantization of tensors: q = clip(⌊x/s⌉ + z), x̂ = s·(q − z), rounding half to even, in float32.
 *
 * Scales come from the extreme values (min-max). Jacob et al., "Quantization and Training of Neural Networks for
 * Efficient Integer-Arithmetic-Only Inference", CVPR 2018.
 */
import { Dim, Tensor } from "@bitbudget/graph"
import type { Granularity, Scheme } from "./LayerFormat.ts"

export interface QuantizeOptions {
  /** 2 to 16. */
  readonly bits: number
  readonly scheme: Scheme
  readonly granularity: Granularity
  /** Axis of the output channels; one scale each where the granularity is "channel". */
  readonly axis: number
}

/** Integer codes with the scales that give the values back. */
export interface Quantized {
  readonly shape: ReadonlyArray<number>
  readonly bits: number
  readonly axis: number
  readonly scheme: Scheme
  /** One a value, row-major: signed where symmetric, from 0 where not. */
  readonly codes: Int16Array | Uint16Array
  /** One a channel, or one for all. */
  readonly scales: Float32Array
  readonly zeroPoints: Uint16Array | undefined
}

const { fround } = Math

/** Nearest integer, halves to the even one, as ONNX and IEEE 754 round. */
export const roundHalfEven = (x: number): number => {
  const floor = Math.floor(x)
  const rest = x - floor
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

/** Largest code of a symmetric b-bit format; the smallest is its negative. */
export const largestCode = (bits: number): number => 2 ** (bits - 1) - 1

/** Step of a range; 1 where the range is empty or so small that float32 has no step for it, which makes it all 0. */
const scaleOf = (range: number, steps: number): number => {
  const scale = fround(range / steps)
  return scale === 0 ? 1 : scale
}

/** Scale and zero point of an asymmetric format over [low, high], which is widened to hold 0. */
export const affineParameters = (
  low: number,
  high: number,
  bits: number
): { readonly scale: number; readonly zeroPoint: number } => {
  const [from, to] = [Math.min(0, low), Math.max(0, high)]
  const levels = 2 ** bits - 1
  const scale = scaleOf(to - from, levels)
  return { scale, zeroPoint: Math.min(levels, Math.max(0, roundHalfEven(fround(-from / scale)))) }
}

/** Which scale each value takes: index of the channel, or 0. */
const channelOf = (
  shape: ReadonlyArray<number>,
  axis: number,
  perChannel: boolean
): ((i: number) => number) => {
  if (!perChannel) return () => 0
  const inner = Dim.elements(shape.slice(axis + 1))
  const channels = shape[axis]!
  return (i) => Math.floor(i / inner) % channels
}

export const quantize = (tensor: Tensor.Tensor, options: QuantizeOptions): Quantized => {
  const { bits, scheme, granularity, axis } = options
  const data = Tensor.values(tensor)
  const perChannel = granularity === "channel"
  const count = perChannel ? tensor.shape[axis]! : 1
  const channel = channelOf(tensor.shape, axis, perChannel)
  const low = new Float32Array(count)
  const high = new Float32Array(count)
  for (let i = 0; i < data.length; i++) {
    const c = channel(i)
    low[c] = Math.min(low[c]!, data[i]!)
    high[c] = Math.max(high[c]!, data[i]!)
  }
  const { shape } = tensor
  if (scheme === "symmetric") {
    const limit = largestCode(bits)
    const scales = Float32Array.from(high, (top, c) => scaleOf(Math.max(top, -low[c]!), limit))
    // Loops, here and below: `from` with a function takes ten times as long on typed arrays.
    const codes = new Int16Array(data.length)
    for (let i = 0; i < data.length; i++) {
      const code = roundHalfEven(fround(data[i]! / scales[channel(i)]!))
      codes[i] = Math.max(-limit, Math.min(limit, code))
    }
    return { shape, bits, axis, scheme, codes, scales, zeroPoints: undefined }
  }
  const parameters = Array.from(low, (bottom, c) => affineParameters(bottom, high[c]!, bits))
  const levels = 2 ** bits - 1
  const codes = new Uint16Array(data.length)
  for (let i = 0; i < data.length; i++) {
    const { scale, zeroPoint } = parameters[channel(i)]!
    codes[i] = Math.max(0, Math.min(levels, roundHalfEven(fround(data[i]! / scale)) + zeroPoint))
  }
  return {
    shape,
    bits,
    axis,
    scheme,
    codes,
    scales: Float32Array.from(parameters, ({ scale }) => scale),
    zeroPoints: Uint16Array.from(parameters, ({ zeroPoint }) => zeroPoint)
  }
}

export const dequantize = (quantized: Quantized): Tensor.Tensor => {
  const { shape, axis, codes, scales, zeroPoints } = quantized
  const channel = channelOf(shape, axis, scales.length > 1)
  const values = new Float32Array(codes.length)
  for (let i = 0; i < codes.length; i++) {
    const c = channel(i)
    values[i] = (codes[i]! - (zeroPoints?.[c] ?? 0)) * scales[c]!
  }
  return { dtype: "float32", shape, data: values }
}

/** What is left of a tensor after quantization: x̂. */
export const fakeQuantize = (tensor: Tensor.Tensor, options: QuantizeOptions): Tensor.Tensor =>
  dequantize(quantize(tensor, options))

/** A tensor rounded to half precision and back. */
export const roundToFloat16 = (tensor: Tensor.Tensor): Tensor.Tensor =>
  Tensor.float32(
    tensor.shape,
    Float32Array.from(Tensor.values(tensor), (x) => Math.f16round(x))
  )

/** Signal to quantization noise, 10·log₁₀(Σx² / Σ(x−x̂)²) in decibels; Infinity where nothing is lost. */
export const sqnrDb = (exact: Tensor.Tensor, approximate: Tensor.Tensor): number => {
  const [x, y] = [Tensor.values(exact), Tensor.values(approximate)]
  let signal = 0
  let noise = 0
  for (let i = 0; i < x.length; i++) {
    signal += x[i]! ** 2
    noise += (x[i]! - y[i]!) ** 2
  }
  return 10 * Math.log10(signal / noise)
}

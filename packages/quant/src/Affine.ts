/**
 * The arithmetic of affine quantization: q = clip(⌊x/s⌉ + z), x̂ = s·(q − z), rounding half to even, in float32.
 *
 * Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
 * CVPR 2018.
 */
import { Tensor } from "@bitbudget/graph"

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
export const scaleOf = (range: number, steps: number): number => {
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

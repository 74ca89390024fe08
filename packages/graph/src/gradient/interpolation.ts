/**
 * Resizing as a matrix: which input positions each output position reads, and with what weight.
 *
 * Follows ONNX's coordinate transformations. Interpolation is separable, so one matrix a dimension is enough.
 */
import type { ResizeAttributes } from "../ir/Op.ts"

/** Where output position `at` lies in the input, or undefined for transformations not covered. */
const source = (
  coordinates: ResizeAttributes["coordinates"],
  at: number,
  from: number,
  to: number,
  scale: number
): number | undefined => {
  switch (coordinates) {
    case "half_pixel":
      return (at + 0.5) / scale - 0.5
    case "pytorch_half_pixel":
      return to > 1 ? (at + 0.5) / scale - 0.5 : 0
    case "align_corners":
      return to > 1 ? (at * (from - 1)) / (to - 1) : 0
    case "asymmetric":
      return at / scale
    case "half_pixel_symmetric": {
      const adjustment = to / (scale * from)
      return (from / 2) * (1 - adjustment) + (at + 0.5) / scale - 0.5
    }
    case "tf_crop_and_resize":
      return undefined
  }
}

const nearest: { readonly [K in ResizeAttributes["nearestMode"]]: (x: number) => number } = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil
}

/** Weights [to, from] of one dimension; undefined for cubic and antialiased resizing. */
export const interpolation = (
  attributes: ResizeAttributes,
  from: number,
  to: number,
  axis: number
): Float32Array | undefined => {
  const { mode, coordinates, nearestMode, antialias, scales, sizes } = attributes
  if (mode === "cubic" || antialias) return undefined
  const scale = sizes === undefined ? scales[axis]! : to / from
  const inside = (x: number) => Math.min(from - 1, Math.max(0, x))
  const weights = new Float32Array(to * from)
  for (let at = 0; at < to; at++) {
    const x = source(coordinates, at, from, to, scale)
    if (x === undefined) return undefined
    if (mode === "nearest") {
      weights[at * from + inside(nearest[nearestMode](x))] = 1
      continue
    }
    const position = inside(x)
    const low = Math.floor(position)
    weights[at * from + low]! += 1 - (position - low)
    weights[at * from + inside(low + 1)]! += position - low
  }
  return weights
}

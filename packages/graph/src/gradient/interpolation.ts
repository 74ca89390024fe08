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

/** Keys' cubic kernel: the weights of the elements at −1, 0, 1, 2 for a point t after element 0. */
const cubicWeights = (a: number, t: number): ReadonlyArray<number> => {
  const near = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1
  const far = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
  return [far(1 + t), near(t), near(1 - t), far(2 - t)]
}

/** Weights [to, from] of one dimension; undefined for what is not covered: antialiased, tf_crop_and_resize. */
export const interpolation = (
  attributes: ResizeAttributes,
  from: number,
  to: number,
  axis: number
): Float32Array | undefined => {
  const { mode, coordinates, nearestMode, antialias, scales, sizes } = attributes
  if (antialias) return undefined
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
    if (mode === "cubic") {
      const low = Math.floor(x)
      const four = cubicWeights(attributes.cubicCoefficient, x - low)
      const counts = four.map((_, i) => !attributes.excludeOutside || inside(low - 1 + i) === low - 1 + i)
      const total = four.reduce((sum, weight, i) => (counts[i] ? sum + weight : sum), 0)
      four.forEach((weight, i) => {
        if (counts[i]) weights[at * from + inside(low - 1 + i)]! += weight / total
      })
      continue
    }
    const position = inside(x)
    const low = Math.floor(position)
    weights[at * from + low]! += 1 - (position - low)
    weights[at * from + inside(low + 1)]! += position - low
  }
  return weights
}

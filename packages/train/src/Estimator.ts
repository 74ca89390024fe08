/**
 * Gradients through rounding, which has none: what a quantizer passes on to the value it rounds and to its scale.
 *
 * A quantizer is y = s · q, q = Q(clip(v, lo, hi)), v = x / s, Q the nearest code. "Inside" is lo ≤ v ≤ hi.
 *
 *   identity  ∂y/∂x = 1                    everywhere; the scale stays
 *   clipped   ∂y/∂x = [inside]             the scale stays (Bengio, Léonard & Courville 2013)
 *   lsq       ∂y/∂x = [inside]             ∂y/∂s = q − v inside, q outside, times 1/√(n·hi)
 *                                          (Esser et al., "Learned Step Size Quantization", ICLR 2020)
 *   lsq+      as lsq, and the zero point z of y = s · (clip(⌊v⌉ + z, 0, L) − z) is learned where there is one:
 *             ∂y/∂z = −s outside (Bhalgat et al., "LSQ+", 2020)
 *   pact      ∂y/∂x = [inside]             ∂y/∂s = q outside: the clipping bound is learned, α = s · hi
 *                                          (Choi et al., "PACT", 2018)
 *
 * n is the number of values that share the scale, of activations a sample's.
 */
import type { Gradient } from "@bitbudget/graph"

export const weightEstimators = ["lsq", "clipped", "identity"] as const
export const activationEstimators = ["lsq", "lsq+", "pact", "clipped", "identity"] as const
export type WeightEstimator = (typeof weightEstimators)[number]
export type ActivationEstimator = (typeof activationEstimators)[number]
export type Estimator = WeightEstimator | ActivationEstimator

export const learnsScale = (estimator: Estimator): boolean =>
  estimator === "lsq" || estimator === "lsq+" || estimator === "pact"

/** The values of a quantizer in the graph. */
export interface Quantizer {
  readonly x: string
  /** x / s. */
  readonly v: string
  /** v between the bounds. */
  readonly clipped: string
  /** Q(clipped). */
  readonly q: string
  /** Of a shape that broadcasts against x. */
  readonly scale: string
  /** Zero point, where it is learned. */
  readonly zeroPoint?: string
}

/** 1/√(n·hi), which keeps the relative changes of scales and of what they scale alike. */
export const gradientScale = (n: number, high: number): number => 1 / Math.sqrt(n * Math.max(high, 1e-9))

/**
 * The pullback of a quantizer's result. Gradients to scale and zero point are given value by value: the driver sums what
 * was broadcast.
 */
export const pullback = (
  estimator: Estimator,
  { x, v, clipped, q, scale, zeroPoint }: Quantizer,
  scaleFactor: number
): Gradient.Override => ({
  inputs: [x, ...(learnsScale(estimator) ? [scale] : []), ...(zeroPoint === undefined ? [] : [zeroPoint])],
  pull: (e, g) => {
    if (estimator === "identity") return [g]
    const inside = e.binary("Equal", clipped, v)
    const zero = e.number(0, g)
    const dx = e.where(inside, g, zero)
    if (estimator === "clipped") return [dx]
    if (estimator === "pact") return [dx, dot(e, scale, e.scale(scaleFactor, e.sub(g, dx)), q)]
    const slope = e.sub(q, e.where(inside, v, zero))
    const ds = dot(e, scale, e.scale(1, g), slope, scaleFactor)
    if (zeroPoint === undefined) return [dx, ds]
    const dz = e.neg(e.mul(e.sub(g, dx), scale))
    return [dx, ds, e.scale(scaleFactor, dz)]
  }
})

/** Σ factor·g∘a where one scale serves all values, else factor·g∘a, which the driver sums. */
const dot = (e: Gradient.Algebra, scale: string, g: string, a: string, factor = 1): string => {
  if (e.rank(scale) > 0) return e.scale(factor, e.mul(g, a))
  const length = e.shape(g).reduce((product, dim) => product * dim, 1)
  const product = e.matmul(e.reshape(g, [1, length]), e.reshape(a, [length, 1]))
  return e.scale(factor, e.reshape(product, []))
}

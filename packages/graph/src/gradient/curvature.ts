/**
 * The loss's Hessian in the network's output z, as a product H_z = S Sᵀ, and S applied to directions.
 *
 * Softmax cross-entropy (and KL to any logits) has H_z = diag(p) − ppᵀ, of rank K − 1 for K classes. With r = √p its
 * factor is diag(r)(1 − rrᵀ); turned by the reflection that takes the first axis to r, the column along r, which is
 * zero, becomes the first, and the others are  S ε = r ∘ (ε − (r + e₀)·⟨r,ε⟩/(1 + r₀)),  ε₀ = 0:  K − 1 columns
 * instead of K. Targets of a sample (tokens, pixels) have such a block each, over their number. The mean of squared
 * errors has H_z = 2/elements. No labels enter.
 */
import { elements } from "../ir/Dim.ts"
import { float32 } from "../ir/Tensor.ts"
import type { Algebra } from "./Algebra.ts"

/** What the curvature is of. */
export interface Scored {
  /** Name of the logits or predicted values. */
  readonly output: string
  /** Their shape for one sample. */
  readonly shape: ReadonlyArray<number>
  /** Axis of the classes in that shape; none for squared errors. */
  readonly classAxis: number | undefined
}

/** Positions of a direction ε, row-major in the shape of one sample, that are free; the others are 0. */
export const freePositions = ({ shape, classAxis }: Omit<Scored, "output">): Int32Array => {
  const positions = Int32Array.from({ length: elements(shape) }, (_, i) => i)
  if (classAxis === undefined) return positions
  const [classes, inner] = [shape[classAxis]!, elements(shape.slice(classAxis + 1))]
  return positions.filter((i) => Math.floor(i / inner) % classes !== 0)
}

/** S·ε for directions ε of the output's shape [N,…]. */
export const curvatureOf = (e: Algebra, scored: Scored): ((direction: string) => string) => {
  const { output, shape, classAxis } = scored
  const size = elements(shape)
  if (classAxis === undefined) return (direction) => e.scale(Math.sqrt(2 / size), direction)
  const [axis, classes] = [classAxis + 1, shape[classAxis]!]
  const first = Float32Array.from({ length: classes }, (_, k) => (k === 0 ? 1 : 0))
  const along = e.shape(output).map((_, i) => (i === axis ? classes : 1))
  const root = e.unary("Sqrt", e.apply("Softmax", [output], { axis }))
  const mirror = e.div(
    e.add(root, e.constant(float32(along, first))),
    e.shift(e.slice(root, [axis], [0], [1]), 1)
  )
  const weight = e.scale(Math.sqrt(classes / size), root)
  return (direction) => {
    const projected = e.mul(mirror, e.sum(e.mul(root, direction), [axis], true))
    return e.mul(weight, e.sub(direction, projected))
  }
}

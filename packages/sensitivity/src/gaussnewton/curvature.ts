/**
 * The loss's Hessian in the network's output z, as a product H_z = S Sᵀ, and S applied to directions.
 *
 * Softmax cross-entropy (and KL to any logits) has H_z = diag(p) − ppᵀ, of rank K − 1 for K classes. With r = √p its
 * factor is diag(r)(1 − rrᵀ); turned by the reflection that takes the first axis to r, the column along r, which is
 * zero, becomes the first, and the others are  S ε = r ∘ (ε − (r + e₀)·⟨r,ε⟩/(1 + r₀)),  ε₀ = 0:  K − 1 columns
 * instead of K. Targets of a sample (tokens, pixels) have such a block each, over their number. The mean of squared
 * errors has H_z = 2/elements. No labels enter.
 */
import type { Graph } from "@bitbudget/graph"
import { Dim, Gradient, Tensor } from "@bitbudget/graph"
import type { Data } from "@bitbudget/runtime"
import type { Loss } from "../Loss.ts"

/** What the loss is taken of. */
export interface Target {
  readonly kind: Gradient.LossKind
  /** Name of the logits or predicted values. */
  readonly output: string
  /** Their shape for one sample. */
  readonly shape: ReadonlyArray<number>
  /** Axis of the classes in that shape; none for squared errors. */
  readonly classAxis: number | undefined
  /** Positions of a direction ε, row-major in that shape, that are free; the others are 0. */
  readonly free: Int32Array
}

export const targetOf = (graph: Graph.Graph, loss: Loss, split: Data.Split): Target => {
  const { kind } = loss
  const output = Gradient.scoredOutput(graph, kind)
  const whole = graph.values.get(output)!.shape
  const shape = Dim.shapeAt(whole.slice(1), 1)
  const positions = Int32Array.from({ length: Dim.elements(shape) }, (_, i) => i)
  if (kind === "meanSquaredError") return { kind, output, shape, classAxis: undefined, free: positions }
  const byLabels =
    loss.target === "labels" && split.labels !== undefined
      ? Gradient.classAxisOf(whole, [whole[0]!, ...split.labels.shape])
      : undefined
  const classAxis = (byLabels ?? whole.length - 1) - 1
  const [classes, inner] = [shape[classAxis]!, Dim.elements(shape.slice(classAxis + 1))]
  const free = positions.filter((i) => Math.floor(i / inner) % classes !== 0)
  return { kind, output, shape, classAxis, free }
}

/** S·ε for directions ε of the output's shape [N,…]. */
export const curvatureOf = (e: Gradient.Algebra, target: Target): ((direction: string) => string) => {
  const { output, shape, classAxis } = target
  const size = Dim.elements(shape)
  if (classAxis === undefined) return (direction) => e.scale(Math.sqrt(2 / size), direction)
  const [axis, classes] = [classAxis + 1, shape[classAxis]!]
  const first = Float32Array.from({ length: classes }, (_, k) => (k === 0 ? 1 : 0))
  const along = e.shape(output).map((_, i) => (i === axis ? classes : 1))
  const root = e.unary("Sqrt", e.apply("Softmax", [output], { axis }))
  const mirror = e.div(
    e.add(root, e.constant(Tensor.float32(along, first))),
    e.shift(e.slice(root, [axis], [0], [1]), 1)
  )
  const weight = e.scale(Math.sqrt(classes / size), root)
  return (direction) => {
    const projected = e.mul(mirror, e.sum(e.mul(root, direction), [axis], true))
    return e.mul(weight, e.sub(direction, projected))
  }
}

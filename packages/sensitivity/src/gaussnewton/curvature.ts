/** What the loss's curvature is taken of, and the directions of the output it is probed with (`Gradient.curvatureOf`). */
import type { Graph } from "@bitbudget/graph"
import { Dim, Gradient } from "@bitbudget/graph"
import type { Data } from "@bitbudget/runtime"
import type { Loss } from "../Loss.ts"

/** What the loss is taken of. */
export interface Target extends Gradient.Scored {
  readonly kind: Gradient.LossKind
  /** Positions of a direction ε, row-major in that shape, that are free; the others are 0. */
  readonly free: Int32Array
}

export const targetOf = (graph: Graph.Graph, loss: Loss, split: Data.Split): Target => {
  const { kind } = loss
  const output = Gradient.scoredOutput(graph, kind)
  const whole = graph.values.get(output)!.shape
  const shape = Dim.shapeAt(whole.slice(1), 1)
  const targetWith = (classAxis: number | undefined): Target => {
    const scored = { output, shape, classAxis }
    return { kind, ...scored, free: Gradient.freePositions(scored) }
  }
  if (kind === "meanSquaredError") return targetWith(undefined)
  const byLabels =
    loss.target === "labels" && split.labels !== undefined
      ? Gradient.classAxisOf(whole, [whole[0]!, ...split.labels.shape])
      : undefined
  return targetWith((byLabels ?? whole.length - 1) - 1)
}

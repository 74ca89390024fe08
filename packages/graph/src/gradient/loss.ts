/**
 * Losses as graph ops appended to a network: one loss a sample, so that sums, means and errors are the caller's.
 *
 * Every loss is a function of the network's output z and a fed target t:
 * cross-entropy −log softmax(z)_t with class numbers (of images, or of every token: next-token loss), the mean over
 * a sample's targets; mean squared error; and Kullback–Leibler divergence KL(softmax(t) ‖ softmax(z)) to other
 * logits, such as the float model's. A network that ends in Softmax is taken at the softmax's input.
 */
import type { Shape } from "../ir/Dim.ts"
import { sameShape, showShape } from "../ir/Dim.ts"
import type { Graph } from "../ir/Graph.ts"
import { producers, shapeOf } from "../ir/Graph.ts"
import { GraphBuilder } from "../ir/GraphBuilder.ts"

export type LossKind = "crossEntropy" | "meanSquaredError" | "klDivergence"

/** Names in the graph `withLoss` makes. */
export interface Lossy {
  readonly graph: Graph
  /** What the loss is taken of: logits, or predicted values. */
  readonly output: string
  /** The input to feed the target to: int64 class numbers, or float32 of the output's shape. */
  readonly target: string
  /** float32 [N]. */
  readonly losses: string
  /** Axis of the classes in the output. */
  readonly classAxis: number
}

/** The value scored: the first output, or what goes into a Softmax that ends the network. */
export const scoredOutput = (graph: Graph, kind: LossKind): string => {
  const output = graph.outputs[0]!
  const maker = producers(graph).get(output)
  const endsInSoftmax = maker?.op === "Softmax" || maker?.op === "LogSoftmax"
  return kind !== "meanSquaredError" && endsInSoftmax ? maker.inputs[0]! : output
}

/** The axis whose removal leaves the targets' shape; the last one wins, as in [N,T,C] with [N,T]. */
export const classAxisOf = (output: Shape, targets: Shape): number | undefined =>
  [output.length - 1, 1].find((axis) => sameShape(output.toSpliced(axis, 1), targets))

/**
 * The network with `target` as a new input and `losses` [N] as its first result, `output` the second. Its other outputs
 * come along: what leads to them only has gradients of zero.
 * `labelShape` is one sample's shape of the class numbers, [] for images, [T] for tokens.
 */
export const withLoss = (graph: Graph, kind: LossKind, labelShape: Shape = []): Lossy => {
  const output = scoredOutput(graph, kind)
  const shape = shapeOf(graph, output)
  const builder = GraphBuilder.from(graph)
  const finish = (losses: string) => builder.finish([...new Set([losses, output, ...graph.outputs])])
  const batch = shape[0]!
  const restAxes = Array.from({ length: shape.length - 1 }, (_, i) => i + 1)
  const targetName = builder.fresh("loss/target")

  if (kind === "meanSquaredError") {
    const target = builder.input(targetName, "float32", shape)
    const error = builder.add("Sub", [output, target], {}, { name: "loss/error" })
    const squared = builder.add("Mul", [error, error], {}, { name: "loss/squared" })
    const losses = builder.add("ReduceMean", [squared], { axes: restAxes, keepDims: false }, { name: "loss" })
    return { graph: finish(losses), output, target, losses, classAxis: shape.length - 1 }
  }

  const labels: Shape = [batch, ...labelShape]
  const classAxis = kind === "klDivergence" ? shape.length - 1 : classAxisOf(shape, labels)
  if (classAxis === undefined)
    throw new Error(`withLoss: output ${showShape(shape)} has no class axis over labels ${showShape(labels)}`)
  const classes = shape[classAxis]!
  if (typeof classes !== "number")
    throw new Error("withLoss: the number of classes depends on the batch size")
  const logProbabilities = builder.add("LogSoftmax", [output], { axis: classAxis }, { name: "loss/logp" })
  const perTarget = (name: string): string => {
    const axes = Array.from({ length: shape.length - 2 }, (_, i) => i + 1)
    return axes.length === 0
      ? builder.add("Identity", [name], {}, { name: "loss" })
      : builder.add("ReduceMean", [name], { axes, keepDims: false }, { name: "loss" })
  }

  if (kind === "crossEntropy") {
    const target = builder.input(targetName, "int64", labels)
    const oneHot = builder.add(
      "OneHot",
      [target],
      { axis: classAxis, depth: classes, values: [0, -1] },
      { name: "loss/onehot" }
    )
    const picked = builder.add("Mul", [logProbabilities, oneHot], {}, { name: "loss/picked" })
    const each = builder.add(
      "ReduceSum",
      [picked],
      { axes: [classAxis], keepDims: false },
      { name: "loss/each" }
    )
    const losses = perTarget(each)
    return { graph: finish(losses), output, target, losses, classAxis }
  }

  const target = builder.input(targetName, "float32", shape)
  const reference = builder.add("LogSoftmax", [target], { axis: classAxis }, { name: "loss/reference" })
  const probabilities = builder.add("Softmax", [target], { axis: classAxis }, { name: "loss/probabilities" })
  const ratio = builder.add("Sub", [reference, logProbabilities], {}, { name: "loss/ratio" })
  const weighted = builder.add("Mul", [probabilities, ratio], {}, { name: "loss/weighted" })
  const each = builder.add(
    "ReduceSum",
    [weighted],
    { axes: [classAxis], keepDims: false },
    { name: "loss/each" }
  )
  const losses = perTarget(each)
  return { graph: finish(losses), output, target, losses, classAxis }
}

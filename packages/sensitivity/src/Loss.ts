/**
 * Which loss the sensitivities are of, and where its target comes from: the data's labels, the model's own
 * predictions or outputs (no labels needed).
 */
import { type Gradient, Graph } from "@bitbudget/graph"
import type { Data } from "@bitbudget/runtime"

export interface Loss {
  readonly kind: Gradient.LossKind
  readonly target: "labels" | "predictions" | "outputs"
}

const table = {
  /** −log softmax(z)_label, of images or of every next token. */
  crossEntropy: { kind: "crossEntropy", target: "labels" },
  /** Cross-entropy with the float model's own most likely class. */
  ownPredictions: { kind: "crossEntropy", target: "predictions" },
  meanSquaredError: { kind: "meanSquaredError", target: "labels" },
  /** KL(float ‖ perturbed): 0 at the float weights, so that its gradient is 0 too. */
  klToFloat: { kind: "klDivergence", target: "outputs" },
  /** Squared error against the float model's outputs, 0 there too: of whatever is no class score, and of several outputs. */
  errorToFloat: { kind: "meanSquaredError", target: "outputs" }
} as const satisfies Record<string, Loss>

export type LossName = keyof typeof table

export const names = Object.keys(table) as ReadonlyArray<LossName>

export const named = (name: LossName): Loss => table[name]

/** Whether the first output has scores of classes: it ends in Softmax, or has a row of several numbers a sample. */
const hasClasses = (graph: Graph.Graph): boolean => {
  const output = graph.outputs[0]!
  const maker = Graph.producers(graph).get(output)?.op
  if (maker === "Softmax" || maker === "LogSoftmax") return true
  const shape = Graph.shapeOf(graph, output)
  return maker !== "Sigmoid" && shape.length === 2 && shape[1] !== 1
}

/** What the labels allow: class numbers, values, or none, where what the output is decides. */
export const defaultFor = (graph: Graph.Graph, split: Data.Split): LossName =>
  split.labels === undefined
    ? hasClasses(graph)
      ? "ownPredictions"
      : "errorToFloat"
    : split.labels.kind === "classes"
      ? "crossEntropy"
      : "meanSquaredError"

/**
 * Which loss the sensitivities are of, and where its target comes from: the data's labels, the model's own
 * predictions (no labels needed), or the float model's outputs.
 */
import { Gradient } from "@bitbudget/graph"
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
  klToFloat: { kind: "klDivergence", target: "outputs" }
} as const satisfies Record<string, Loss>

export type LossName = keyof typeof table

export const names = Object.keys(table) as ReadonlyArray<LossName>

export const named = (name: LossName): Loss => table[name]

/** What the labels allow: class numbers, values, or none. */
export const defaultFor = (split: Data.Split): LossName =>
  split.labels === undefined
    ? "ownPredictions"
    : split.labels.kind === "classes"
      ? "crossEntropy"
      : "meanSquaredError"

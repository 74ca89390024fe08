/** Losses and derivatives of networks, as graphs. */
export { freeConstants } from "../passes/freeConstants.ts"
export { classAxisOf, scoredOutput, withLoss } from "./loss.ts"
export type { LossKind, Lossy } from "./loss.ts"
export { bindBatch } from "../passes/bindBatch.ts"
export { Algebra } from "./Algebra.ts"
export { lower, windowColumns } from "./lower.ts"
export { attempt, NotDifferentiable } from "./Pullback.ts"
export { reverse } from "./reverse.ts"

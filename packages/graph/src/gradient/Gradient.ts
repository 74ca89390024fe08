/** Losses and derivatives of networks, as graphs. */
export { freeConstants } from "../passes/freeConstants.ts"
export { classAxisOf, scoredOutput, withLoss } from "./loss.ts"
export type { LossKind, Lossy } from "./loss.ts"

/** Metrics and their confidence intervals: of classes, of values, and of two models on the same samples. */
export { agreement, difference, mcNemar } from "./metrics/Paired.ts"
export type { McNemar } from "./metrics/Paired.ts"
export * as Classification from "./metrics/Classification.ts"
export * as Regression from "./metrics/Regression.ts"
export type { Measured as Distortion } from "./metrics/Distortion.ts"

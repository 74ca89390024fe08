/** Schemas of what commands print and of the documents they read. */
import { PlanFile } from "@bitbudget/quant"

export * from "./results/cost.ts"
export * from "./results/devices.ts"
export * from "./results/fit.ts"
export * from "./results/init.ts"
export * from "./results/network.ts"
export * from "./results/runs.ts"
export { SearchResult } from "./results/search.ts"
export * from "./results/sensitivity.ts"
export * from "./results/solve.ts"
export * from "./results/translate.ts"
export * from "./results/tune.ts"
export const { PlanDocument } = PlanFile

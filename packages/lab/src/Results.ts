/** Schemas of what commands print and of the documents they read. */
import { PlanFile } from "@bitbudget/quant"

export { SearchResult } from "./results/search.ts"
export const { PlanDocument } = PlanFile

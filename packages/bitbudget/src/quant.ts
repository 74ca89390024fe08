/** Number formats, quantizers, recipes, packed files, plan files. */
import "./node20.ts"

export * from "@bitbudget/quant"

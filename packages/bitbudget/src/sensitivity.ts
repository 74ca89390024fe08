/** What layers lose in a format: Hessian traces, Gauss-Newton forms, measured losses. */
import "./node20.ts"

export * from "@bitbudget/sensitivity"

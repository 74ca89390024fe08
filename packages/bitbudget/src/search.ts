/** The exact solver, its rivals, Pareto fronts, certificates. */
import "./node20.ts"

export * from "@bitbudget/search"

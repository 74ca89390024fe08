export * as Problem from "./Problem.ts"
export * as Assignment from "./Assignment.ts"
export * as Solution from "./Solution.ts"
export * as Solver from "./Solver.ts"

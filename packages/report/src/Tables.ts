/** Results as tables for people, one function a command. */
export * from "./tables/cost.ts"
export * from "./tables/devices.ts"
export * from "./tables/network.ts"
export * from "./tables/runs.ts"
export * from "./tables/search.ts"
export * from "./tables/sensitivity.ts"
export * from "./tables/solve.ts"
export { figure, table } from "./tables/table.ts"

/** What `runs` asks of the store, one function a command. */
export { best, diff, pareto, paretoQuantities } from "./Compare.ts"
export { query } from "./query.ts"
export { differences } from "./repetition.ts"
export { annotate, find, groups, list, type Row, running, show, type Value } from "./Runs.ts"
export { collect, exported, importFrom, mergeFrom, remove } from "./Transfer.ts"

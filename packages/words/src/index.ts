/** What users read, wherever it is said: faults of a document in sentences, the nearest name, text that is safe to print. */
export * as Faults from "./Faults.ts"
export * as Names from "./Names.ts"
export * as Printable from "./Printable.ts"
export { figure } from "./figure.ts"

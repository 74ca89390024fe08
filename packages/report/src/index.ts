export * as Tables from "./Tables.ts"
export * as Export from "./Export.ts"

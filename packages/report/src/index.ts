export * as Tables from "./Tables.ts"
export * as Export from "./Export.ts"
export * as Dashboard from "./Dashboard.ts"
export * as Page from "./Page.ts"

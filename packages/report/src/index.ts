export * as Tables from "./Tables.ts"

export * as GaussNewton from "./GaussNewton.ts"
export * as Loss from "./Loss.ts"
export * as Measured from "./Measured.ts"

/** The dialects by the names that users type. Adding one is a file and a row. */
import { aimet } from "./aimet.ts"
import type { Dialect } from "./Dialect.ts"
import { hawq } from "./hawq.ts"
import { liteRt } from "./liteRt.ts"
import { llamaQuantize } from "./llamaQuantize.ts"
import { nncf } from "./nncf.ts"
import { onnxRuntime } from "./onnxRuntime.ts"
import { tensorRt } from "./tensorRt.ts"

export { settle } from "./Dialect.ts"
export type { Dialect, Settled } from "./Dialect.ts"

export const dialectNames = [
  "onnxruntime",
  "aimet",
  "tensorrt",
  "nncf",
  "litert",
  "hawq",
  "llama-quantize"
] as const
export type DialectName = (typeof dialectNames)[number]

export const dialects: { readonly [D in DialectName]: Dialect } = {
  onnxruntime: onnxRuntime,
  aimet,
  tensorrt: tensorRt,
  nncf,
  litert: liteRt,
  hawq,
  "llama-quantize": llamaQuantize
}

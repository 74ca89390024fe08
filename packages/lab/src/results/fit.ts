/** What `fit` prints: whether a language model fits a device, and how fast it speaks there. */
import { Schema } from "effect"
import { Known, Notes } from "./common.ts"

const Row = Schema.Struct({
  plan: Schema.String,
  /** Bytes of the packed file. */
  weightBytes: Schema.Finite,
  /** Keys and values of the context. */
  cacheBytes: Schema.Finite,
  /** Most activations alive at once while a prompt is read in chunks; null where the device cannot run the plan. */
  runtimeBytes: Known,
  totalBytes: Known,
  /** Null where the device's memory is not known. */
  fits: Schema.NullOr(Schema.Boolean),
  /** The longest context that fits; null where nothing limits it, 0 where the weights alone do not fit. */
  longestContext: Known,
  prefillTokensPerS: Known,
  decodeTokensPerS: Known,
  /** Until the first token of the answer to a prompt that fills the context. */
  firstTokenMs: Known,
  /** Of one decoded token. */
  energyPerTokenMj: Known,
  /** Why the device cannot run the plan. */
  why: Schema.NullOr(Schema.String)
})
export type LanguageFitRow = typeof Row.Type

export const LanguageFitResult = Schema.Struct({
  model: Schema.String,
  device: Schema.String,
  context: Schema.Finite,
  /** What the device has for weights, cache and activations together; null where its profile does not say. */
  memoryBytes: Known,
  /** Keys and values of one token in all layers. */
  cacheBytesPerToken: Schema.Finite,
  cacheBits: Schema.Finite,
  rows: Schema.Array(Row),
  notes: Notes
})
export type LanguageFitResult = typeof LanguageFitResult.Type

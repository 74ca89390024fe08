/** What `translate` prints: a plan in another tool's words, layer by layer. */
import { Dialects } from "@bitbudget/quant"
import { Schema } from "effect"
import { Notes } from "./common.ts"

export const TranslateResult = Schema.Struct({
  file: Schema.String,
  dialect: Schema.Literals(Dialects.dialectNames),
  title: Schema.String,
  /** How the document is given to the tool. */
  use: Schema.String,
  layers: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      asked: Schema.String,
      written: Schema.String,
      /** Null where what is written is what was asked. */
      why: Schema.NullOr(Schema.String)
    })
  ),
  notes: Notes
})
export type TranslateResult = typeof TranslateResult.Type

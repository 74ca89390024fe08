/** The form of a plan file, version 2. */
import { Schema } from "effect"

export const PlanDocument = Schema.Struct({
  version: Schema.Literal(2),
  /** The network the plan was made for. Layers are matched by name, so that a retrained network can use it too. */
  model: Schema.optionalKey(Schema.Struct({ sha256: Schema.String })),
  /** Of layers that no entry names; f32 when absent. */
  default: Schema.optionalKey(Schema.String),
  /** Choices by layer id or pattern. An id goes before patterns, of patterns the first one that matches counts. */
  layers: Schema.Record(Schema.String, Schema.String)
})
export type PlanDocument = typeof PlanDocument.Type

/** The form of a plan file, version 2. */
import { Schema } from "effect"
import { recipeNames } from "../recipe/recipes.ts"

export const PlanDocument = Schema.Struct({
  version: Schema.Literal(2),
  /** The network the plan was made for. Layers are matched by name, so that a retrained network can use it too. */
  model: Schema.optionalKey(Schema.Struct({ sha256: Schema.String })),
  /** Of layers that no entry names; f32 when absent. */
  default: Schema.optionalKey(Schema.String),
  /** How the choices are carried out; the best that the network's size allows when absent. The same choices by another recipe are another network. */
  recipe: Schema.optionalKey(Schema.Literals(recipeNames)),
  /** How the weights of the file beside it were trained; absent where they were only rounded. */
  tuning: Schema.optionalKey(
    Schema.Struct({
      /** That the kept weights took. */
      epochs: Schema.Finite,
      loss: Schema.Literals(["task", "distill"]),
      optimizer: Schema.Literals(["sgd", "adam", "adamw"]),
      learningRate: Schema.Finite,
      batch: Schema.Finite,
      /** Samples trained on. */
      samples: Schema.Finite,
      seed: Schema.Finite
    })
  ),
  /** Choices by layer id or pattern. An id goes before patterns, of patterns the first one that matches counts. */
  layers: Schema.Record(Schema.String, Schema.String)
})
export type PlanDocument = typeof PlanDocument.Type

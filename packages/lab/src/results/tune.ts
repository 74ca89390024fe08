/** What `tune` prints: a plan trained without a framework, beside the float network and the plan as it was rounded. */
import { PlanFile, Recipe } from "@bitbudget/quant"
import { Schema } from "effect"
import { Estimate, Known, Notes } from "./common.ts"

const Metrics = Schema.Record(Schema.String, Estimate)

export const TuneResult = Schema.Struct({
  run: Schema.String,
  /** Whether the written network is the tuned one: it was better on the samples held out. */
  taken: Schema.Boolean,
  /** Of these epochs the one that was best on the samples held out; 0: none was better than the start. */
  bestEpoch: Schema.Finite,
  file: Schema.String,
  files: Schema.Array(Schema.String),
  bytes: Schema.Finite,
  predictedBytes: Schema.Finite,
  plan: PlanFile.PlanDocument,
  recipe: Schema.Literals(Recipe.recipeNames),
  /** What was made smaller: the labels' loss or the distance to the float network's outputs. */
  loss: Schema.Literals(["task", "distill"]),
  samples: Schema.Struct({ training: Schema.Finite, heldOut: Schema.Finite }),
  parameters: Schema.Finite,
  /** The start is epoch 0, whose training loss is not known. */
  epochs: Schema.Array(
    Schema.Struct({
      epoch: Schema.Finite,
      trainingLoss: Known,
      heldOutLoss: Known,
      gradientNorm: Known,
      seconds: Known
    })
  ),
  /** On the test split; empty where the data have none, or no labels. */
  measured: Schema.Struct({ float: Metrics, before: Metrics, after: Metrics }),
  /** Test samples that only the tuned or only the untuned plan gets right, exact two-sided p; null without classes. */
  paired: Schema.NullOr(
    Schema.Struct({ onlyTuned: Schema.Finite, onlyUntuned: Schema.Finite, pValue: Schema.Finite })
  ),
  /** Share of test samples for which the packed file predicts what the simulation does; null without classes. */
  agreementWithPacked: Schema.NullOr(Estimate),
  notes: Notes
})
export type TuneResult = typeof TuneResult.Type

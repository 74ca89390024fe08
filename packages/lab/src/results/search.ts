/** What `search` prints and the store keeps: the plan, what it costs and does, and what was proved about it. */
import { PlanFile } from "@bitbudget/quant"
import { Schema } from "effect"
import { Estimates } from "../job/evaluation.ts"
import { Known } from "./common.ts"
import { Stated, Totals } from "./cost.ts"

export const SearchLayer = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  /** Id of the formats, such as w4a8. */
  choice: Schema.String,
  /** Measured increase of the loss with this layer alone at its choice; null where it was not measured. */
  deltaLoss: Known,
  deltaLossStdErr: Known,
  latencyMs: Known,
  energyPj: Known,
  /** Of its weights in the file. */
  bytes: Schema.Finite,
  boundBy: Schema.NullOr(Schema.String)
})

const Baseline = Schema.Struct({
  name: Schema.String,
  plan: PlanFile.PlanDocument,
  /** Null where the device cannot hold it. */
  predicted: Schema.NullOr(Totals),
  modelBytes: Schema.Finite,
  withinBudgets: Schema.Boolean,
  measured: Estimates
})

export const SearchResult = Schema.Struct({
  run: Schema.String,
  status: Schema.Literal("done"),
  device: Schema.String,
  validation: Schema.NullOr(Stated),
  plan: PlanFile.PlanDocument,
  /** Digest of the plan's choices: equal for equal plans. */
  planSha256: Schema.String,
  /** How layers were rounded. */
  recipe: Schema.String,
  /** Which of the candidates the plan is. */
  chosen: Schema.String,
  metric: Schema.String,
  referee: Schema.Array(Schema.Struct({ metric: Schema.String, spearman: Known, n: Schema.Finite })),
  layers: Schema.Array(SearchLayer),
  predicted: Totals,
  /** Average stored bits a weight, scales counted. */
  averageBits: Schema.Finite,
  budgets: Schema.Array(
    Schema.Struct({ name: Schema.String, limit: Schema.Finite, value: Known, slack: Known })
  ),
  measured: Estimates,
  /** On the same samples, exact McNemar tests. */
  paired: Schema.Array(
    Schema.Struct({
      versus: Schema.String,
      onlyChosen: Schema.Finite,
      onlyOther: Schema.Finite,
      pValue: Schema.Finite
    })
  ),
  /** Whole plans on the tuning data, best first. */
  trials: Schema.Array(Schema.Struct({ name: Schema.String, loss: Schema.Finite })),
  /** What the chosen plan was predicted to add to the loss, what it added on the tuning data, whether the two agree. */
  trust: Schema.Struct({
    predicted: Known,
    measured: Known,
    stdErr: Known,
    holds: Schema.NullOr(Schema.Boolean)
  }),
  baselines: Schema.Array(Baseline),
  /** Of the metric's own program, about the simulated network. */
  certificate: Schema.Struct({
    optimal: Schema.Boolean,
    objective: Known,
    bound: Known,
    gap: Known,
    nodes: Schema.Finite,
    simulations: Schema.Finite,
    seconds: Schema.Finite
  }),
  front: Schema.NullOr(
    Schema.Array(
      Schema.Struct({
        limit: Schema.Finite,
        value: Known,
        loss: Schema.Finite,
        optimal: Schema.Boolean,
        plan: PlanFile.PlanDocument
      })
    )
  ),
  files: Schema.Array(Schema.String),
  fileBytes: Schema.Finite,
  notes: Schema.Array(Schema.String)
})
export type SearchResult = typeof SearchResult.Type

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

const Neighbour = Schema.NullOr(
  Schema.Struct({
    choice: Schema.String,
    /** Predicted. */
    loss: Schema.Finite,
    latencyMs: Known,
    energyMj: Known,
    bytes: Schema.Finite,
    keepsBudgets: Schema.Boolean,
    /** Predicted loss of the best plan within the budgets with the layer locked to it; null: there is none. */
    locked: Known
  })
)

const Mean = Schema.Struct({ value: Schema.Finite, stdErr: Schema.Finite })

const Robust = Schema.Struct({
  draws: Schema.Finite,
  /** Predicted loss that the plan gives away against each draw's best. */
  regret: Mean,
  layers: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      choice: Schema.String,
      /** Share of draws whose best plan has the layer's choice. */
      survives: Mean,
      /** Of each choice among the draws' best plans, most frequent first. */
      shares: Schema.Array(Schema.Struct({ choice: Schema.String, share: Schema.Finite }))
    })
  )
})

const Contender = Schema.Struct({
  name: Schema.String,
  /** Its own run in the store, with the curves. */
  run: Schema.String,
  averageBits: Schema.Finite,
  /** 0: no epoch was better than the start. */
  bestEpoch: Schema.Finite,
  heldOutLoss: Schema.Struct({ before: Known, after: Known }),
  /** On data for testing. */
  before: Estimates,
  after: Estimates,
  files: Schema.Array(Schema.String)
})

const Tuned = Schema.Struct({
  epochs: Schema.Finite,
  /** The contender that is better on the training data held out. */
  taken: Schema.String,
  contenders: Schema.Array(Contender)
})

const Why = Schema.Struct({
  /** The quantity of the budget that would buy most: "cheaper" and "dearer" are about it. */
  about: Schema.String,
  /** Predicted loss of the best plan within the budgets. */
  loss: Schema.Finite,
  budgets: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      /** By how much the limit was raised, */
      raisedBy: Schema.Finite,
      /** and how much less the best plan is then predicted to lose. */
      gains: Schema.Finite
    })
  ),
  layers: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      choice: Schema.String,
      cheaper: Neighbour,
      dearer: Neighbour,
      /** On this device; null where no choice has fewer bits. */
      fewerBitsGainNothing: Schema.NullOr(Schema.Boolean)
    })
  )
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
  /** "loss", or the cost whose least was wanted. */
  minimised: Schema.String,
  /** Of a cost's least: how much worse than the float network the plan may be on the tuning data, and how much it is. */
  harm: Schema.NullOr(
    Schema.Struct({
      name: Schema.String,
      limit: Schema.Finite,
      value: Known
    })
  ),
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
  /**
   * Of the metric's own program, about the simulated network. Where a cost's least is wanted: no plan of at most the
   * predicted loss that was arrived at costs less than the bound.
   */
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
  /** Where it was asked for: other searches under the same budgets, by what they measured on the tuning data. */
  methods: Schema.NullOr(
    Schema.Array(
      Schema.Struct({
        method: Schema.String,
        /** Measured; null where the method found no plan within the budgets. */
        loss: Known,
        top1: Known,
        latencyMs: Known,
        energyMj: Known,
        bytes: Known,
        evaluations: Schema.Finite,
        /** Of plans that were not in the store; null for the chosen one. */
        seconds: Known
      })
    )
  ),
  /** Where it was asked for: why the plan is as it is. Changes are of the whole plan if one layer alone changes. */
  why: Schema.NullOr(Why),
  /** The chosen plan and the runner-up trained; null where it was not asked for. */
  tuned: Schema.NullOr(Tuned),
  /** How often each layer's choice survives new draws of the losses; null where it was not asked for. */
  robust: Schema.NullOr(Robust),
  files: Schema.Array(Schema.String),
  fileBytes: Schema.Finite,
  notes: Schema.Array(Schema.String)
})
export type SearchResult = typeof SearchResult.Type

/** What `solve` prints of a problem of the user's own, and what `solve --verify` says of a certificate. */
import type { Chance, Explain, Infeasibility, Pareto, Robust, Solution } from "@bitbudget/search"
import { Solution as Solutions } from "@bitbudget/search"
import { Schema } from "effect"
import { Assignment, Costs, Known, same } from "./common.ts"

const Method = Schema.Literals(Solutions.methods)

const solution = {
  status: Schema.Literals(["optimal", "feasible", "infeasible"]),
  method: Method,
  minimise: Schema.String,
  objective: Known,
  bound: Known,
  gap: Known,
  nodes: Schema.Finite,
  evaluations: Schema.Finite,
  measured: Known,
  history: Schema.Array(Schema.Finite),
  seconds: Schema.Finite,
  choice: Assignment,
  loss: Known,
  costs: Costs,
  slack: Costs
}
const Plain = Schema.Struct(solution)

const Pair = Schema.Tuple([Schema.Finite, Schema.Finite])
const Point = Schema.Struct({ limit: Schema.Finite, value: Schema.Finite, solution: Plain })
const Point2 = Schema.Struct({ limits: Pair, values: Pair, solution: Plain })

/** Why the budgets cannot be met, and the nearest that can. */
const Explanation = Schema.Struct({
  feasible: Schema.Boolean,
  budgets: Schema.Array(
    Schema.Struct({
      budget: Schema.String,
      limit: Schema.Finite,
      least: Schema.Finite,
      choice: Assignment,
      reachable: Schema.Boolean
    })
  ),
  conflict: Schema.Array(Schema.String),
  relaxation: Schema.NullOr(
    Schema.Struct({
      factor: Schema.Finite,
      atLeast: Schema.Finite,
      choice: Assignment,
      loss: Schema.Finite,
      costs: Costs,
      binding: Schema.Array(Schema.String)
    })
  ),
  sentence: Schema.String
})

const Neighbour = Schema.NullOr(
  Schema.Struct({
    choice: Schema.String,
    objective: Schema.Finite,
    costs: Costs,
    keepsBudgets: Schema.Boolean,
    locked: Known
  })
)

/** Prices of budgets, and each decision's next cheaper and dearer choice. */
const Why = Schema.Struct({
  lead: Schema.NullOr(Schema.String),
  prices: Schema.Array(
    Schema.Struct({
      budget: Schema.String,
      limit: Schema.Finite,
      price: Schema.Finite,
      slack: Schema.Finite,
      step: Schema.NullOr(Schema.Struct({ by: Schema.Finite, gain: Schema.Finite }))
    })
  ),
  decisions: Schema.Array(
    Schema.Struct({
      groups: Schema.Array(Schema.String),
      choice: Schema.String,
      cheaper: Neighbour,
      dearer: Neighbour,
      fewerBitsGainNothing: Schema.NullOr(Schema.Boolean)
    })
  )
})

const Mean = Schema.Struct({ value: Schema.Finite, stdErr: Schema.Finite })

const Robustness = Schema.Struct({
  draws: Schema.Finite,
  groups: Schema.Array(
    Schema.Struct({
      group: Schema.String,
      choice: Schema.String,
      survives: Mean,
      shares: Schema.Array(Schema.Struct({ choice: Schema.String, share: Schema.Finite }))
    })
  ),
  regret: Mean,
  keepsBudgets: Mean
})

/** Probability that a budget holds. */
const Sampled = Schema.Struct({
  budget: Schema.String,
  asked: Schema.Finite,
  probability: Schema.Finite,
  sampled: Schema.Finite,
  stdErr: Schema.Finite
})

/** How a method did beside the others. */
const Compared = Schema.Struct({
  method: Method,
  objective: Known,
  /** Relative to the best objective of all methods. */
  regret: Known,
  evaluations: Schema.Finite,
  seconds: Schema.Finite,
  /** Why there is no plan. */
  note: Schema.NullOr(Schema.String)
})
export type Compared = typeof Compared.Type

export const SolveResult = Schema.Struct({
  ...solution,
  front: Schema.optionalKey(Schema.Array(Point)),
  /** Index into the front of its knee; null: it has none. */
  knee: Schema.optionalKey(Known),
  frontOverTwo: Schema.optionalKey(Schema.Array(Point2)),
  explanation: Schema.optionalKey(Explanation),
  why: Schema.optionalKey(Why),
  robustness: Schema.optionalKey(Robustness),
  chances: Schema.optionalKey(Schema.Array(Sampled)),
  comparison: Schema.optionalKey(Schema.Array(Compared)),
  certificate: Schema.optionalKey(Schema.Struct({ file: Schema.String, bound: Known, proved: Known }))
})
export type SolveResult = typeof SolveResult.Type

export const VerifyResult = Schema.Struct({
  confirmed: Schema.Boolean,
  /** What the certificate claims, and what its tree proves; null: that no plan is within the budgets. */
  claimed: Known,
  proved: Known,
  minimise: Schema.String,
  nodes: Schema.Finite,
  /** Names the problem does not know. */
  faults: Schema.Array(Schema.String)
})
export type VerifyResult = typeof VerifyResult.Type

same<typeof Plain.Type, Solution.Solution>()
same<typeof Point.Type, Pareto.Point>()
same<typeof Point2.Type, Pareto.Point2>()
same<typeof Explanation.Type, Infeasibility.Explanation>()
same<typeof Why.Type, Explain.Explanation>()
same<typeof Robustness.Type, Robust.Robustness>()
same<typeof Sampled.Type, Chance.Sampled>()

/** What can be wrong with a request as a whole, beyond its files. */
import type { Measurement, Profiles } from "@bitbudget/device"
import type { LayerList, Model } from "@bitbudget/graph"
import type { PlanFile } from "@bitbudget/quant"
import type { Evaluate } from "@bitbudget/runtime"
import type { Problem, Solution } from "@bitbudget/search"
import type { Sensitivity } from "@bitbudget/sensitivity"
import { Schema } from "effect"
import type { InvalidBudget } from "./Budget.ts"
import type { FileFailure } from "./files.ts"
import type { AmbiguousRun, RunNotFound, StoreFailure, UnusableQuery } from "./store/failures.ts"

const Unmet = Schema.Struct({
  name: Schema.String,
  limit: Schema.Finite,
  /** No assignment gets below this, whatever it does to the other budgets. */
  least: Schema.Finite,
  /** Whether the budget is one of those that contradict each other. */
  inConflict: Schema.Boolean,
  /** What the nearest plan has. */
  nearest: Schema.NullOr(Schema.Finite),
  shownLimit: Schema.String,
  shownLeast: Schema.String,
  shownNearest: Schema.NullOr(Schema.String)
})

/** The budgets cannot be met; says what each could reach alone, which contradict each other, and the nearest plan. */
export class Infeasible extends Schema.TaggedError<Infeasible>()("Infeasible", {
  limits: Schema.Array(Unmet),
  /** Choices of the plan nearest to the budgets, by layer. */
  nearest: Schema.NullOr(Schema.Record(Schema.String, Schema.String)),
  /** Whether it is proved; else no plan that keeps the budgets was found among those simulated. */
  proved: Schema.Boolean
}) {
  override get message() {
    const one = this.limits.length === 1
    const lines = this.limits.map(
      ({ name, limit, least, inConflict, shownLeast, shownLimit, shownNearest }) => {
        const reach =
          least > limit
            ? `no assignment gets below ${shownLeast}`
            : `${shownLeast} can be reached${one ? "" : " on its own"}`
        const near = shownNearest === null ? "" : `; the nearest plan has ${shownNearest}`
        return `  ${name}: at most ${shownLimit}, but ${reach}${near}${inConflict && !one ? " (in conflict)" : ""}`
      }
    )
    return [
      this.proved
        ? `the ${one ? "budget" : "budgets"} cannot be met${one ? "" : " together"}:`
        : `no plan that keeps the ${one ? "budget" : "budgets"} was found:`,
      ...lines,
      "raise a limit, or allow narrower formats with --weights and --activations"
    ].join("\n")
  }
}

export class UnusableRequest extends Schema.TaggedError<UnusableRequest>()("UnusableRequest", {
  why: Schema.String
}) {
  override get message() {
    return this.why
  }
}

/** Everything that can be wrong with what a task is given; each names its file, node or field and the mend. */
export type RequestFailure =
  | UnusableRequest
  | Infeasible
  | FileFailure
  | Model.MalformedModel
  | Model.ModelFileError
  | Model.UnsupportedModel
  | LayerList.MalformedLayerList
  | Profiles.LoadError
  | Measurement.MalformedMeasurements
  | PlanFile.InvalidPlan
  | Problem.InvalidProblem
  | Solution.SolverFailure
  | Evaluate.Failure
  | Sensitivity.MetricUnavailable

/** Everything that a command may fail with. */
export type Failure =
  | RequestFailure
  | InvalidBudget
  | StoreFailure
  | RunNotFound
  | AmbiguousRun
  | UnusableQuery

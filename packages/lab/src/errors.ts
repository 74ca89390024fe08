/** What can be wrong with a request as a whole, beyond its files. */
import type { Measurement, Profiles } from "@bitbudget/device"
import type { LayerList, Model } from "@bitbudget/graph"
import type { BitPlan } from "@bitbudget/quant"
import type { Evaluate } from "@bitbudget/runtime"
import type { Problem, Solution } from "@bitbudget/search"
import type { Sensitivity } from "@bitbudget/sensitivity"
import { Schema } from "effect"
import type { FileFailure } from "./files.ts"

/** The budgets cannot be met together; says what each could reach alone, in ms, mJ, bytes or operations. */
export class Infeasible extends Schema.TaggedError<Infeasible>()("Infeasible", {
  limits: Schema.Array(Schema.Struct({ name: Schema.String, limit: Schema.Finite, least: Schema.Finite }))
}) {
  override get message() {
    const shown = (value: number) => Number(value.toPrecision(4))
    const lines = this.limits.map(({ name, limit, least }) =>
      least > limit
        ? `  ${name}: at most ${shown(limit)}, but no assignment gets below ${shown(least)}`
        : `  ${name}: at most ${shown(limit)} (on its own, ${shown(least)} at best)`
    )
    return [
      "the budgets cannot be met together:",
      ...lines,
      "raise one, or allow narrower formats with --bits"
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
  | FileFailure
  | Model.MalformedModel
  | Model.ModelFileError
  | Model.UnsupportedModel
  | LayerList.MalformedLayerList
  | Profiles.LoadError
  | Measurement.MalformedMeasurements
  | BitPlan.InvalidPlan
  | Problem.InvalidProblem
  | Solution.SolverFailure
  | Evaluate.Failure
  | Sensitivity.MetricUnavailable

/** What can be wrong with a request as a whole, beyond its files. */
import { Schema } from "effect"

/** The budgets cannot be met together; says what can be reached. */
export class Infeasible extends Schema.TaggedError<Infeasible>()("Infeasible", {
  limits: Schema.Array(
    Schema.Struct({ name: Schema.String, limit: Schema.Finite, least: Schema.Finite, plan: Schema.String })
  )
}) {
  override get message() {
    const lines = this.limits.map(({ name, limit, least }) =>
      least > limit
        ? `  ${name}: at most ${limit}, but no assignment gets below ${least}`
        : `  ${name}: at most ${limit} (reachable on its own: ${least})`
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

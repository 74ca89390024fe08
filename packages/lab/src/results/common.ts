/** What several results have in common. */
import { Schema } from "effect"

/** Null: not known, or not to be had. */
export const Known = Schema.NullOr(Schema.Finite)

export const Notes = Schema.Array(Schema.String)

/** A measured number with its 95 % confidence interval over `n` samples or targets. */
export const Estimate = Schema.Struct({
  value: Schema.Finite,
  low: Schema.Finite,
  high: Schema.Finite,
  n: Schema.Finite
})

/** Nine in ten lie between. */
export const Interval = Schema.Struct({ low: Schema.Finite, high: Schema.Finite })

/** Costs by name, in the units of the tables they come from. */
export const Costs = Schema.Record(Schema.String, Schema.Finite)

/** What a group, or a layer, gets, by its id. */
export const Assignment = Schema.Record(Schema.String, Schema.String)

/** Does not compile where a schema says other than the package that computes the result, as after a field is added. */
export const same = <A, B>(..._: [A, B] extends [B, A] ? [] : [differs: never]): void => {}

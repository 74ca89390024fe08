/**
 * A number with where it comes from. Every figure of a profile is one, so that a prediction can always be traced
 * to a publication, an assumption or a fit, and a reader sees at once how far to trust it.
 */
import { Schema } from "effect"

/**
 * `read`: taken from the cited source. `recalled`: the source is known to say so, not checked against it.
 * `derived`: computed from other published figures. `assumed`: nobody published it. `fitted`: by `devices fit`.
 */
export const Confidence = Schema.Literals(["read", "recalled", "derived", "assumed", "fitted"])
export type Confidence = typeof Confidence.Type

const figureOf = (value: Schema.Codec<number>) =>
  Schema.Struct({ value, source: Schema.NonEmptyString, confidence: Confidence })

/** A figure above zero: clocks, bandwidths, capacities. */
export const Positive = figureOf(Schema.Finite.check(Schema.isGreaterThan(0)))
/** A figure of zero or more: energies, overheads. */
export const NonNegative = figureOf(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)))

export interface Figure {
  readonly value: number
  readonly source: string
  readonly confidence: Confidence
}

export const assumed = (value: number, source: string): Figure => ({ value, source, confidence: "assumed" })

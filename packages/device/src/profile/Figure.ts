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
/** A whole number above zero: rows, cores, ways a loop is unrolled. */
export const Count = figureOf(Schema.Int.check(Schema.isGreaterThan(0)))
/** A figure of zero or more: energies, overheads. */
export const NonNegative = figureOf(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)))

const outside = (unit: string, least: number, most: number) =>
  Schema.makeFilter((value: number) =>
    value > 0 && value < Infinity && (value < least || value > most)
      ? `a figure in ${unit}, from ${least} to ${most}: ${value} is in another unit`
      : undefined
  )

const quantity = (unit: string, least: number, most: number) =>
  figureOf(Schema.Finite.check(Schema.isGreaterThan(0), outside(unit, least, most)))

/** Figures with a unit, and the range no real device leaves: what lies outside was written in another unit. */
export const ClockMhz = quantity("MHz", 0.01, 20_000)
export const NodeNm = quantity("nm", 0.5, 1000)
export const GbPerS = quantity("10⁹ bytes a second", 1e-5, 1e5)
export const Bytes = quantity("bytes", 1, 1e14)
export const AreaMm2 = quantity("mm²", 1e-5, 1e5)
export const Mw = quantity("mW", 1e-4, 1e7)
export const PjPerBit = figureOf(
  Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0), outside("pJ a bit", 0, 1e5))
)
/** 0 to 1. */
export const Share = figureOf(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })))
export const Us = figureOf(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0), outside("µs", 0, 1e8)))

export interface Figure {
  readonly value: number
  readonly source: string
  readonly confidence: Confidence
}

export const assumed = (value: number, source: string): Figure => ({ value, source, confidence: "assumed" })

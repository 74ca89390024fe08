/**
 * Which number formats a device can store, and which native arithmetic computes them. A format that is no native
 * one is stored at its own bits and computed at the fastest native pair wide enough for both operands; integers
 * may be computed in floating point of enough mantissa, never the other way round.
 */
import { Schema } from "effect"
import { Precision } from "@bitbudget/graph"
import { refusal } from "./KernelRules.ts"
import type { Profile } from "./Profile.ts"

export interface NativePair {
  readonly precision: Precision.Precision
  /** The precision's shorthand. */
  readonly name: string
  readonly rate: number
}

export type Holding =
  | {
      readonly held: true
      /** The nominal one: what a measurement of this format is taken to have run at. */
      readonly native: NativePair
      readonly exact: boolean
      /** Every native pair wide enough, the nominal one first. */
      readonly wide: ReadonlyArray<NativePair>
    }
  | { readonly held: false; readonly why: string }

/** A layer's format the device cannot store or compute. */
export class UnsupportedPrecision extends Schema.TaggedError<UnsupportedPrecision>()("UnsupportedPrecision", {
  device: Schema.String,
  layer: Schema.String,
  precision: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `${this.layer}: ${this.device} cannot run ${this.precision}: ${this.why}`
  }
}

/** Integer bits a float format represents exactly. */
const mantissa = (bits: number): number => (bits >= 32 ? 24 : 11)

const covers = (native: Precision.Format, format: Precision.Format): boolean =>
  native.kind === format.kind
    ? native.bits >= format.bits
    : native.kind === "float" && mantissa(native.bits) >= format.bits

const same = (a: Precision.Format, b: Precision.Format): boolean => a.kind === b.kind && a.bits === b.bits

/** Whether a device can run a format, and the native pair that computes it; else why not. */
export const canHold = (
  profile: Profile,
  precision: Precision.Precision,
  software = profile.stacks?.[0]?.software ?? ""
): Holding => {
  const refused = refusal(profile.kernels ?? [], software, precision)
  if (refused !== undefined) return { held: false, why: refused.says }
  const natives = profile.native.map((entry) => ({
    precision: Precision.parsePrecision(entry.precision)!,
    name: entry.precision,
    rate: entry.rate.value
  }))
  const arithmetic = profile.native.map((entry) => entry.precision).join(", ")
  const stored = (format: Precision.Format, widths: ReadonlyArray<number>): boolean =>
    format.kind === "float"
      ? natives.some(
          ({ precision: { weights, activations } }) => same(weights, format) || same(activations, format)
        )
      : widths.includes(format.bits)
  const { weights, activations } = precision
  const refuse = (what: string, format: Precision.Format, widths: ReadonlyArray<number>): Holding => ({
    held: false,
    why:
      format.kind === "float"
        ? `it has no ${format.bits}-bit floating-point ${what}; its arithmetic is ${arithmetic}`
        : `it stores ${what} of ${widths.join(", ") || "no"} bits`
  })
  if (!stored(weights, profile.storage.weightBits))
    return refuse("weights", weights, profile.storage.weightBits)
  if (!stored(activations, profile.storage.activationBits))
    return refuse("activations", activations, profile.storage.activationBits)
  const wide = natives.filter(
    ({ precision: native }) => covers(native.weights, weights) && covers(native.activations, activations)
  )
  if (wide.length === 0)
    return {
      held: false,
      why: `none of its arithmetic (${arithmetic}) is wide enough`
    }
  const isExact = (each: NativePair): boolean =>
    same(each.precision.weights, weights) && same(each.precision.activations, activations)
  const fastest = wide.reduce((best, each) => (each.rate > best.rate ? each : best))
  const native = wide.find((each) => isExact(each) && each.rate >= fastest.rate) ?? fastest
  const exact = wide.some(isExact)
  return { held: true, native, exact, wide: [native, ...wide.filter((each) => each !== native)] }
}

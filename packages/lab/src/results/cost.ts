/** Costs as JSON: what `simulate`, `compare` and `search` print of a network on a device. */
import type { Simulate, Validation } from "@bitbudget/device"
import { Schema } from "effect"

const Known = Schema.NullOr(Schema.Number)

/** Nine in ten lie between; null where nothing was measured. */
const Interval = Schema.NullOr(Schema.Struct({ low: Schema.Number, high: Schema.Number }))

export const Breakdown = Schema.Struct({
  latencyMs: Schema.Record(Schema.String, Schema.Number),
  latencyMsByClass: Schema.Record(Schema.String, Schema.Number),
  energyMj: Schema.Struct({ mac: Known, register: Known, sram: Known, dram: Known, static: Known })
})

export const Totals = Schema.Struct({
  latencyMs: Schema.Number,
  latencyIntervalMs: Interval,
  throughputPerS: Schema.Number,
  energyMj: Known,
  energyIntervalMj: Interval,
  dramBytes: Known,
  modelBytes: Schema.Number,
  peakActivationBytes: Schema.Number,
  peakActivationBytesBestOrder: Schema.Number,
  macs: Schema.Number,
  bops: Schema.Number,
  computeCycles: Schema.Number,
  utilisation: Known,
  breakdown: Breakdown
})

/** Error a device's predictions are known to have, in percent. */
export const Stated = Schema.Struct({
  medianApePct: Schema.Number,
  rows: Schema.Number,
  leftOut: Schema.Struct({
    networkApePct: Known,
    stackApePct: Known,
    classApePct: Known,
    coveragePct: Known,
    reachPct: Known
  })
})

// The schemas say exactly what the device package says: a field added there is named here by the compiler.
type Same<A, B> = [A, B] extends [B, A] ? true : never
export const checked: readonly [
  Same<typeof Totals.Type, Simulate.Totals>,
  Same<typeof Stated.Type, Validation.Stated>
] = [true, true]

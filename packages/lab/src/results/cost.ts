/** Costs as JSON: what `simulate`, `compare` and `search` print of a network on a device. */
import type { Simulate, Validation } from "@bitbudget/device"
import { Schema } from "effect"

const Known = Schema.NullOr(Schema.Finite)

/** Nine in ten lie between; null where nothing was measured. */
const Interval = Schema.NullOr(Schema.Struct({ low: Schema.Finite, high: Schema.Finite }))

export const Breakdown = Schema.Struct({
  latencyMs: Schema.Record(Schema.String, Schema.Finite),
  latencyMsByClass: Schema.Record(Schema.String, Schema.Finite),
  energyMj: Schema.Struct({ mac: Known, register: Known, sram: Known, dram: Known, static: Known })
})

export const Totals = Schema.Struct({
  latencyMs: Schema.Finite,
  latencyIntervalMs: Interval,
  throughputPerS: Schema.Finite,
  energyMj: Known,
  energyIntervalMj: Interval,
  dramBytes: Known,
  modelBytes: Schema.Finite,
  peakActivationBytes: Schema.Finite,
  peakActivationBytesBestOrder: Schema.Finite,
  macs: Schema.Finite,
  bops: Schema.Finite,
  computeCycles: Schema.Finite,
  utilisation: Known,
  breakdown: Breakdown
})

/** Error a device's predictions are known to have, in percent. */
export const Stated = Schema.Struct({
  medianApePct: Schema.Finite,
  rows: Schema.Finite,
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

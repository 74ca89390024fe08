/** Costs as JSON: what `simulate`, `compare` and `search` print of a network on a device. */
import type { Capacity, Simulate, Validation, Why } from "@bitbudget/device"
import { Schema } from "effect"
import { Estimates } from "../job/evaluation.ts"
import { Interval, Known, Notes, same } from "./common.ts"

export const Breakdown = Schema.Struct({
  latencyMs: Schema.Record(Schema.String, Schema.Finite),
  latencyMsByClass: Schema.Record(Schema.String, Schema.Finite),
  energyMj: Schema.Struct({ mac: Known, register: Known, sram: Known, dram: Known, static: Known })
})

export const Totals = Schema.Struct({
  latencyMs: Schema.Finite,
  latencyIntervalMs: Schema.NullOr(Interval),
  throughputPerS: Schema.Finite,
  energyMj: Known,
  energyIntervalMj: Schema.NullOr(Interval),
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

/** Bytes that a memory of the device cannot hold. */
const Overflow = Schema.Struct({
  memory: Schema.String,
  contents: Schema.Literals(["weights", "activations", "weights and activations"]),
  neededBytes: Schema.Finite,
  availableBytes: Schema.Finite
})

const Step = Schema.Struct({
  id: Schema.String,
  op: Schema.String,
  weightBits: Known,
  activationBits: Schema.Finite,
  macs: Schema.Finite,
  computeCycles: Schema.Finite,
  stallCycles: Schema.Finite,
  latencyMs: Schema.Finite,
  utilisation: Known,
  boundBy: Schema.String,
  roofline: Schema.NullOr(
    Schema.Struct({
      level: Schema.NullOr(Schema.String),
      intensityOpsPerByte: Known,
      ridgeOpsPerByte: Known,
      peakOpsPerS: Schema.Finite,
      attainableOpsPerS: Schema.Finite,
      attainedOpsPerS: Schema.Finite
    })
  ),
  energyPj: Schema.Struct({
    mac: Known,
    register: Known,
    sram: Known,
    dram: Known,
    static: Known,
    total: Known
  }),
  trafficBytes: Schema.Record(Schema.String, Schema.Finite),
  tile: Schema.NullOr(
    Schema.Struct({
      filters: Schema.Finite,
      channels: Schema.Finite,
      rows: Schema.Finite,
      order: Schema.Literals([
        "weights stay",
        "inputs stay",
        "outputs stay",
        "partial sums spill",
        "nothing fits"
      ])
    })
  )
})

const NetworkCost = {
  device: Schema.String,
  batch: Schema.Finite,
  clockMhz: Schema.Finite,
  totals: Totals,
  area: Schema.Struct({
    mm2: Known,
    parts: Schema.Array(Schema.Struct({ id: Schema.String, mm2: Known }))
  }),
  layers: Schema.Array(Step),
  overflows: Schema.Array(Overflow),
  notes: Notes
}

const LayerWhy = Schema.Struct({
  id: Schema.String,
  precision: Schema.String,
  latencyMs: Schema.Finite,
  boundBy: Schema.String,
  paysBelowGbPerS: Known,
  narrower: Schema.Array(
    Schema.Struct({ precision: Schema.String, deltaMs: Schema.Finite, deltaPct: Schema.Finite })
  ),
  sentence: Schema.String
})

/** What `simulate` prints. */
export const SimulateResult = Schema.Struct({
  ...NetworkCost,
  plan: Schema.String,
  /** What the device's predictions are known to be off by. */
  validation: Schema.NullOr(Stated),
  /** Where it was asked for: by layer, what fewer bits buy and what holds them back. */
  why: Schema.optionalKey(Schema.Array(LayerWhy))
})
export type SimulateResult = typeof SimulateResult.Type

/** Null where the device cannot hold the plan (`why` says so) or has no figure. */
const ComparisonRow = Schema.Struct({
  device: Schema.String,
  plan: Schema.String,
  validation: Schema.NullOr(Stated),
  latencyMs: Known,
  latencyIntervalMs: Schema.NullOr(Interval),
  /** Times faster than the first row. */
  speedUp: Known,
  throughputPerS: Known,
  energyMj: Known,
  energyIntervalMj: Schema.NullOr(Interval),
  modelBytes: Known,
  dramBytes: Known,
  peakActivationBytes: Known,
  utilisation: Known,
  areaMm2: Known,
  /** Where the plan is the best that a search found for the device. */
  search: Schema.optionalKey(
    Schema.Struct({
      run: Schema.String,
      /** What the plan was chosen by: "ilp", "refined", …, as in `search`. */
      chosen: Schema.String,
      proved: Schema.Boolean,
      averageBits: Schema.Finite,
      measured: Estimates,
      /** Plan and packed network. */
      files: Schema.Array(Schema.String)
    })
  ),
  why: Schema.NullOr(Schema.String)
})
export type ComparisonRow = typeof ComparisonRow.Type

/** What `compare` prints. */
export const CompareResult = Schema.Struct({
  model: Schema.String,
  batch: Schema.Finite,
  rows: Schema.Array(ComparisonRow),
  /** Pairs of rows whose intervals overlap, so that the order of their times is not sure. */
  open: Schema.Array(
    Schema.Struct({
      faster: Schema.String,
      slower: Schema.String,
      /** That the order is really the other way round. */
      probability: Schema.Finite
    })
  ),
  notes: Notes
})
export type CompareResult = typeof CompareResult.Type

const Network = Schema.Struct(NetworkCost)

same<typeof Totals.Type, Simulate.Totals>()
same<typeof Stated.Type, Validation.Stated>()
same<typeof Overflow.Type, Capacity.Overflow>()
same<typeof Network.Type, Simulate.NetworkCost>()
same<typeof LayerWhy.Type, Why.LayerWhy>()

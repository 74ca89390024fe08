/** What `devices list|validate|fit|ops` print; `devices show` prints the profile as its own schema says. */
import { type Fit, type Ops, Profile, type Validation } from "@bitbudget/device"
import { Schema } from "effect"
import { Known, same } from "./common.ts"
import { Stated } from "./cost.ts"

export const DeviceProfile = Profile.Profile

export const DevicesResult = Schema.Struct({
  devices: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      name: Schema.String,
      description: Schema.NullOr(Schema.String),
      nodeNm: Known,
      precisions: Schema.Array(Schema.String),
      validation: Schema.NullOr(Stated)
    })
  )
})
export type DevicesResult = typeof DevicesResult.Type

export const CheckResult = Schema.Struct({
  devices: Schema.Array(
    Schema.Struct({ id: Schema.String, name: Schema.String, validation: Schema.NullOr(Stated) })
  )
})
export type CheckResult = typeof CheckResult.Type

export const ValidateResult = Schema.Struct({
  rows: Schema.Array(
    Schema.Struct({
      device: Schema.String,
      software: Schema.String,
      network: Schema.String,
      onnx: Schema.String,
      layer: Schema.String,
      precision: Schema.String,
      batch: Schema.String,
      metric: Schema.String,
      measured: Schema.Finite,
      predicted: Known,
      apePct: Known,
      note: Schema.String
    })
  ),
  summary: Schema.Array(
    Schema.Struct({
      device: Schema.String,
      metric: Schema.String,
      n: Schema.Finite,
      missing: Schema.Finite,
      medianApePct: Known,
      mapePct: Known,
      spearman: Known,
      precisionRatioErrPct: Known
    })
  )
})

const FitReport = Schema.Struct({
  device: Schema.String,
  software: Schema.String,
  precision: Schema.String,
  rows: Schema.Finite,
  medianApePct: Schema.Finite,
  leftOut: Stated.fields.leftOut
})

const FitRow = Schema.Struct({
  device: Schema.String,
  software: Schema.String,
  precision: Schema.String,
  network: Schema.String,
  kind: Schema.Literals(["time", "power", "energy"]),
  measured: Schema.Finite,
  fitted: Schema.Finite,
  leftOut: Schema.Array(
    Schema.Struct({
      without: Schema.Literals(["network", "stack", "class"]),
      logError: Schema.Finite,
      reach: Schema.Struct({ down: Schema.Finite, up: Schema.Finite })
    })
  )
})

export const FitResult = Schema.Struct({
  device: Schema.String,
  file: Schema.String,
  stacks: Schema.Array(FitReport),
  rows: Schema.Array(FitRow)
})
export type FitResult = typeof FitResult.Type

const Op = Schema.Struct({
  op: Schema.Literals(["add", "mul"]),
  type: Schema.Literals(["int", "float"]),
  bits: Schema.Finite,
  energyPj: Schema.Finite,
  areaUm2: Known,
  library: Schema.String,
  source: Schema.String,
  /** Times less than 32-bit float. */
  energyGain: Known,
  areaGain: Known
})

export const OpsResult = Schema.Struct({ device: Schema.String, ops: Schema.Array(Op) })
export type OpsResult = typeof OpsResult.Type

export const ProbeResult = Schema.Struct({
  device: Schema.String,
  software: Schema.String,
  precision: Schema.String,
  /** How far a 90 % interval of such networks reaches now, %. */
  reachPct: Schema.Finite,
  /** In the order to measure them. */
  probes: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      says: Schema.String,
      /** Where the network was written; null where no folder was asked for. */
      file: Schema.NullOr(Schema.String),
      /** The same reach with this one and those before it measured, %. */
      reachPct: Schema.Finite
    })
  ),
  /** A file of measurements to fill in; null where no folder was asked for. */
  measurements: Schema.NullOr(Schema.String)
})
export type ProbeResult = typeof ProbeResult.Type

same<typeof ValidateResult.Type, Validation.Validation>()
same<typeof FitReport.Type, Fit.FitReport>()
same<typeof FitRow.Type, Fit.FitRow>()
same<typeof Op.Type, Ops.OpRow>()

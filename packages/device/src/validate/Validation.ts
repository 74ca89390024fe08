/**
 * A profile against published measurements: what `devices validate` prints and `docs/validation.md` is made of.
 * Rows are predicted in their own unit. A row that cannot be predicted says why and counts as missing, never as
 * right.
 */
import { Precision, Work } from "@bitbudget/graph"
import { areaOf } from "../energy/Area.ts"
import { prepare } from "../cost/Prepare.ts"
import { network, type NetworkCost } from "../cost/Simulate.ts"
import { machineFor, stackFor } from "../cost/Machine.ts"
import { canHold } from "../profile/Holding.ts"
import type { LeftOut, Profile } from "../profile/ProfileSchema.ts"
import { anySoftware } from "../profile/Software.ts"
import {
  batchOf,
  isPerImage,
  layerIndex,
  pointOf,
  precisionsOf,
  workloadOfRow,
  type Measurement,
  type WorkloadOf
} from "./Measurement.ts"
import { summarise, type Summary, type ValidationRow } from "./Score.ts"

export type { WorkloadOf } from "./Measurement.ts"
export type { ValidationRow } from "./Score.ts"

export interface Validation {
  readonly rows: ReadonlyArray<ValidationRow>
  readonly summary: ReadonlyArray<Summary>
}

type Prediction = number | { readonly why: string }

const metrics: {
  readonly [metric: string]: (cost: Target, samples: number) => number | null
} = {
  latency_ms: (cost, samples) => cost.latencyMs / samples,
  throughput_per_s: (cost) => (cost.batch / cost.intervalMs) * 1000,
  cycles: (cost, samples) => (cost.latencyMs * cost.cyclesPerMs) / samples,
  gops: (cost) => (2 * cost.macs) / cost.intervalMs / 1e6,
  energy_mJ: (cost, samples) => (cost.energyMj === null ? null : cost.energyMj / samples),
  power_mW: (cost) => (cost.energyMj === null ? null : (cost.energyMj / cost.intervalMs) * 1000),
  utilisation_pct: (cost) => (cost.utilisation === null ? null : cost.utilisation * 100),
  dram_MB: (cost, samples) => (cost.dramBytes === null ? null : cost.dramBytes / samples / 1e6)
}

/** The part of a network's cost a row measured. */
interface Target {
  readonly batch: number
  readonly cyclesPerMs: number
  readonly latencyMs: number
  /** Between one batch and the next; less than the latency in a pipeline. */
  readonly intervalMs: number
  readonly macs: number
  readonly energyMj: number | null
  readonly dramBytes: number | null
  readonly utilisation: number | null
}

const target = (
  profile: Profile,
  cost: NetworkCost,
  index: number | undefined,
  cyclesPerMs: number,
  alone: number
): Target | undefined => {
  const { batch, totals } = cost
  const intervalMs = (batch / totals.throughputPerS) * 1000
  if (index === undefined) return { batch, cyclesPerMs, intervalMs, ...totals }
  const layer = cost.layers.filter((each) => each.weightBits !== null)[index]
  if (layer === undefined) return undefined
  const far = profile.memory.filter((level) => ["dram", "link", "flash"].includes(level.kind))
  return {
    batch,
    cyclesPerMs,
    latencyMs: layer.latencyMs * alone,
    intervalMs: (layer.latencyMs * alone * intervalMs) / totals.latencyMs,
    macs: layer.macs,
    energyMj: layer.energyPj.total === null ? null : layer.energyPj.total / 1e9,
    dramBytes: far.reduce((sum, level) => sum + (layer.trafficBytes[level.id] ?? 0), 0),
    utilisation: layer.utilisation
  }
}

/** A product large enough to fill any array. */
const largest: Work.Workload = {
  name: "peak",
  batch: 1,
  steps: [
    {
      id: "peak",
      op: "MatMul",
      work: { kind: "matmul", batch: 1, m: 4096, n: 4096, k: 4096, constantWeights: true },
      inputs: ["in"],
      outputs: ["out"],
      weightElements: 4096 * 4096,
      biasElements: 0,
      weightChannels: 4096,
      weightName: "weights",
      weightsOnly: false
    }
  ],
  tensorElements: new Map([
    ["in", 4096 * 4096],
    ["out", 4096 * 4096]
  ]),
  inputs: ["in"],
  outputs: ["out"]
}

/** Peak rates need no model: what the array could do, and that over its active power. */
const peak = (profile: Profile, row: Measurement, precision: Precision.Precision): Prediction => {
  const { physical, machine } = prepare(profile, largest, () => precision, { software: row.software })
    .flows[0]!
  const gops = (2 * physical.peakMacsPerCycle * machine.cyclesPerMs) / 1e6
  if (row.metric === "gops") return gops
  if (row.metric === "tops_per_w" && profile.energy?.kind === "power")
    return gops / profile.energy.activeMw.value
  return { why: `no prediction of a peak ${row.metric}` }
}

const predict = (profile: Profile, row: Measurement, workloadOf: WorkloadOf): Prediction => {
  if (row.metric === "area_mm2") {
    const { mm2 } = areaOf(profile)
    return mm2 ?? { why: "the profile has no area" }
  }
  const precision = Precision.parsePrecision(row.precision)
  if (precision === undefined) return { why: `"${row.precision}" is no precision` }
  const holding = canHold(profile, precision)
  if (!holding.held) return { why: holding.why }
  if (row.onnx === "" && row.network === "peak") return peak(profile, row, precision)
  const metric = metrics[row.metric]
  if (metric === undefined) return { why: `no prediction of ${row.metric}` }
  if (row.onnx === "") return { why: "the row names no model file" }
  const workload = workloadOfRow(row, workloadOf)
  if (typeof workload === "string") return { why: workload }
  const cost = network(profile, workload, precisionsOf(row, precision, workload), {
    software: row.software,
    at: pointOf(profile, row).point
  })
  const { alone } = machineFor(profile, row.software, holding.native.name, new WeakMap())
  const found = target(profile, cost, layerIndex(row), cost.clockMhz * 1000, alone)
  if (found === undefined) return { why: `the model has no layer ${row.layer}` }
  const value = metric(found, isPerImage(row) ? batchOf(row) : 1)
  return value ?? { why: `the profile has no figures for ${row.metric}` }
}

/** What is known of a profile's errors: on the rows of its fit, and on rows left out of it. */
export interface Stated {
  /** Median error on the rows of the fit, %. */
  readonly medianApePct: number
  readonly rows: number
  readonly leftOut: LeftOut
}

/**
 * The error a profile carries with it, over all its software or that of one: to print beside every prediction. Null
 * where no measurement stands behind it. One software at several precisions has row-weighted means of medians.
 */
export const stated = (profile: Profile, software?: string): Stated | null => {
  if (software === undefined)
    return profile.fit === undefined
      ? null
      : { medianApePct: profile.fit.medianApePct, rows: profile.fit.rows, leftOut: profile.fit.leftOut }
  const fits = (profile.stacks ?? [])
    .filter((stack) => stack.software === software)
    .flatMap(({ fit }) => fit ?? [])
  const rows = fits.reduce((sum, fit) => sum + fit.rows, 0)
  if (rows === 0) return null
  const mean = (of: (leftOut: LeftOut) => number | null): number | null => {
    const known = fits.flatMap((fit) => {
      const value = of(fit.leftOut)
      return value === null ? [] : [{ value, rows: fit.rows }]
    })
    const total = known.reduce((sum, each) => sum + each.rows, 0)
    return total === 0 ? null : known.reduce((sum, each) => sum + each.value * each.rows, 0) / total
  }
  return {
    medianApePct: fits.reduce((sum, fit) => sum + fit.medianApePct * fit.rows, 0) / rows,
    rows,
    leftOut: {
      networkApePct: mean(({ networkApePct }) => networkApePct),
      stackApePct: mean(({ stackApePct }) => stackApePct),
      classApePct: mean(({ classApePct }) => classApePct),
      coveragePct: mean(({ coveragePct }) => coveragePct),
      reachPct: mean(({ reachPct }) => reachPct)
    }
  }
}

/** What the software of a row was taken for, and settings in its name that say nothing of the device. */
const likened = (profile: Profile, row: Measurement): string => {
  const { software } = row
  const stack = stackFor(profile, software, "")
  const { unknown } = pointOf(profile, row)
  if (stack === undefined) return ""
  const taken =
    stack.software === software
      ? ""
      : `no figures for software "${software}": predicted as ${stack.software === anySoftware ? "software nobody measured here" : stack.software}`
  // A measured stack of that name has the point's effect in its factors.
  const settings =
    unknown.length === 0 || stack.software === software
      ? ""
      : `${taken === "" ? "" : "; "}nothing is known of ${unknown.join(", ")}`
  return `${taken}${settings}`
}

/** Measured, predicted and error of every row of this device, and the summary. */
export const run = (
  profile: Profile,
  measurements: ReadonlyArray<Measurement>,
  workloadOf: WorkloadOf
): Validation => {
  const rows = measurements
    .filter((row) => row.device === profile.id)
    .map((row): ValidationRow => {
      const { batch, device, layer, metric, network, onnx, precision, software } = row
      const prediction = predict(profile, row, workloadOf)
      const predicted = typeof prediction === "number" ? prediction : null
      return {
        device,
        software,
        network,
        onnx,
        layer,
        precision,
        batch,
        metric,
        measured: row.value,
        predicted,
        apePct: predicted === null || row.value === 0 ? null : Math.abs(predicted / row.value - 1) * 100,
        note: typeof prediction === "number" ? likened(profile, row) : prediction.why
      }
    })
  return { rows, summary: summarise(rows) }
}

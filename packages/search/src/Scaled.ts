/**
 * The dense problem in solver units. In every quantity the least choice of each decision is moved to 0 and
 * the quantity divided by the range that is left, so objective and rows run from 0 (everybody at the least)
 * to 1 (everybody at the most), whether the inputs are joules or nanoseconds, 1e-9 or 1e9.
 *
 * A row with limit ≥ 1 never binds and is dropped; a limit below 0 cannot be met by any assignment. Limits
 * are wider by the rounding band of their sums: a solver may propose what the referee refuses, but never
 * overlooks what the referee would accept. Where sums come in steps (`lattice`), limits are on a step.
 */
import type { Dense } from "./Dense.ts"
import { exactSum } from "@bitbudget/numerics"
import { lowered, stepOf } from "./lattice.ts"

export interface Scaled {
  readonly starts: Int32Array
  readonly objective: Float64Array
  /** Rows that can bind: indices into `Dense.rows`. */
  readonly rows: ReadonlyArray<number>
  /** `costs[i * rows.length + k]` */
  readonly costs: Float64Array
  readonly limits: Float64Array
  readonly edges: ReadonlyArray<ScaledEdge>
  /** objective in the problem's units = objectiveBase + objectiveUnit × scaled objective */
  readonly objectiveBase: number
  readonly objectiveUnit: number
  /** Most that rounding can move the objective, in the problem's units. */
  readonly objectiveBand: number
  /** The scaled objective of every assignment is a multiple of this; 0: of nothing. */
  readonly objectiveStep: number
}

export interface ScaledEdge {
  readonly a: number
  readonly b: number
  readonly labelsA: Int32Array
  readonly labelsB: Int32Array
  readonly objective: number
  readonly costs: Float64Array
}

interface Normalised {
  readonly values: Float64Array
  /** Least value of each decision. */
  readonly least: Float64Array
  readonly unit: number
  /** Sums differ from that of the least by multiples of this; 0: by anything. */
  readonly step: number
  /** Most that rounding can move a sum of this quantity. */
  readonly band: number
}

/** One quantity: `value(i)` of choice i, `hops` = what each edge can add. */
const normalise = (
  starts: Int32Array,
  value: (i: number) => number,
  hops: ReadonlyArray<number>
): Normalised => {
  const decisions = starts.length - 1
  const extra = exactSum(hops)
  const values = new Float64Array(starts[decisions]!)
  const least = new Float64Array(decisions)
  let range = extra
  let magnitude = extra
  for (let d = 0; d < decisions; d++) {
    let low = Infinity
    let high = -Infinity
    for (let i = starts[d]!; i < starts[d + 1]!; i++) {
      low = Math.min(low, value(i))
      high = Math.max(high, value(i))
    }
    for (let i = starts[d]!; i < starts[d + 1]!; i++) values[i] = value(i) - low
    least[d] = low
    range += high - low
    magnitude += Math.max(Math.abs(low), Math.abs(high))
  }
  const unit = range > 0 ? range : 1
  const perDecision = Array.from(least, (_, d) =>
    Array.from({ length: starts[d + 1]! - starts[d]! }, (_, c) => value(starts[d]! + c))
  )
  return {
    values: values.map((v) => v / unit),
    least,
    unit,
    step: stepOf(perDecision, hops),
    band: (decisions + 8) * 2 ** -52 * magnitude
  }
}

export const scale = (dense: Dense): Scaled => {
  const { starts, edges, rows: names } = dense
  const objective = normalise(
    starts,
    (i) => dense.objective[i]!,
    edges.map((edge) => edge.objective)
  )
  const all = names.map((_, k) =>
    normalise(
      starts,
      (i) => dense.costs[i * names.length + k]!,
      edges.map((edge) => edge.costs[k]!)
    )
  )
  const limitOf = (k: number): number => {
    const { least, unit, step, band } = all[k]!
    const rest = exactSum([dense.limits[k]!, band, ...least.map((value) => -value)])
    return (lowered(rest, step) + band) / unit + 1e-13
  }
  const rows = names.map((_, k) => k).filter((k) => limitOf(k) < 1)
  const costs = new Float64Array(objective.values.length * rows.length)
  rows.forEach((k, r) => all[k]!.values.forEach((value, i) => (costs[i * rows.length + r] = value)))
  return {
    starts,
    objective: objective.values,
    rows,
    costs,
    limits: Float64Array.from(rows, limitOf),
    edges: edges.map((edge) => ({
      a: edge.a,
      b: edge.b,
      labelsA: edge.labelsA,
      labelsB: edge.labelsB,
      objective: edge.objective / objective.unit,
      costs: Float64Array.from(rows, (k) => edge.costs[k]! / all[k]!.unit)
    })),
    objectiveBase: exactSum(objective.least),
    objectiveUnit: objective.unit,
    objectiveBand: objective.band,
    objectiveStep: objective.step / objective.unit
  }
}

/**
 * The dense problem in solver units. In every quantity the least choice of each decision is moved to 0 and
 * the quantity divided by the range that is left, so objective and rows run from 0 (everybody at the least)
 * to 1 (everybody at the most), whether the inputs are joules or nanoseconds, 1e-9 or 1e9.
 *
 * A row with limit ≥ 1 never binds and is dropped, and so is one that another row implies (of the many
 * moments of a peak few matter); a limit below 0 cannot be met by any assignment. Limits are wider by the rounding band of their sums: a solver may propose what the referee refuses, but never
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
  /** Of each row: its quantity in the problem's units per unit of the row. */
  readonly rowUnits: Float64Array
  readonly edges: ReadonlyArray<ScaledEdge>
  /** objective in the problem's units = objectiveBase + objectiveUnit × scaled objective */
  readonly objectiveBase: number
  /** Least objective of each decision, in the problem's units: they add up to the base. */
  readonly objectiveLeast: Float64Array
  readonly objectiveUnit: number
  /** How far apart objectives can be, in the problem's units; 0: all are equal. */
  readonly objectiveRange: number
  /** Most that rounding can move the objective, in the problem's units. */
  readonly objectiveBand: number
  /** The scaled objective of every assignment is a multiple of this; 0: of nothing. */
  readonly objectiveStep: number
}

export interface ScaledEdge {
  readonly a: number
  readonly b: number
  readonly hard: boolean
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
  readonly range: number
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
  const all = Float64Array.from(values, (_, i) => value(i))
  const perDecision = Array.from(least, (_, d) => all.subarray(starts[d]!, starts[d + 1]!))
  return {
    values: values.map((v) => v / unit),
    least,
    unit,
    range,
    step: stepOf(perDecision, hops),
    band: (decisions + 8) * 2 ** -52 * magnitude
  }
}

interface Row {
  readonly values: Float64Array
  readonly hops: ReadonlyArray<number>
  readonly limit: number
}

/** Rows that no other row implies. Row j implies k if it uses up at least as much of its limit everywhere. */
const undominated = (rows: ReadonlyArray<number>, rowOf: (k: number) => Row): ReadonlyArray<number> => {
  const implies = (j: Row, k: Row): boolean => {
    if (!(j.limit > 0 && k.limit > 0)) return false
    const ratio = k.limit / j.limit
    for (let i = 0; i < k.values.length; i++) if (k.values[i]! > j.values[i]! * ratio) return false
    return k.hops.every((hop, e) => hop <= j.hops[e]! * ratio)
  }
  const all = rows.map(rowOf)
  const dropped = new Set<number>()
  all.forEach((row, r) => {
    if (all.some((other, o) => o !== r && !dropped.has(o) && implies(other, row))) dropped.add(r)
  })
  return rows.filter((_, r) => !dropped.has(r))
}

/** `steps` false: limits and bounds are left where they are between the steps of their sums. */
export const scale = (dense: Dense, steps = true): Scaled => {
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
    return (
      (lowered(rest, !steps || (dense.pairs.length > 0 && names[k] === "loss") ? 0 : step) + band) / unit +
      1e-13
    )
  }
  const limits = names.map((_, k) => limitOf(k))
  const rows = undominated(
    names.map((_, k) => k).filter((k) => limits[k]! < 1),
    (k) => ({
      values: all[k]!.values,
      hops: edges.map((edge) => edge.costs[k]! / all[k]!.unit),
      limit: limits[k]!
    })
  )
  const costs = new Float64Array(objective.values.length * rows.length)
  rows.forEach((k, r) => all[k]!.values.forEach((value, i) => (costs[i * rows.length + r] = value)))
  return {
    starts,
    objective: objective.values,
    rows,
    costs,
    limits: Float64Array.from(rows, (k) => limits[k]!),
    rowUnits: Float64Array.from(rows, (k) => all[k]!.unit),
    edges: edges.map((edge) => ({
      a: edge.a,
      b: edge.b,
      hard: edge.hard,
      labelsA: edge.labelsA,
      labelsB: edge.labelsB,
      objective: edge.objective / objective.unit,
      costs: Float64Array.from(rows, (k) => edge.costs[k]! / all[k]!.unit)
    })),
    objectiveBase: exactSum(objective.least),
    objectiveLeast: objective.least,
    objectiveUnit: objective.unit,
    objectiveRange: objective.range,
    objectiveBand: objective.band,
    objectiveStep: !steps || dense.pairs.length > 0 ? 0 : objective.step / objective.unit
  }
}

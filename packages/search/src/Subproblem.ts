/**
 * What is left to decide: a node of the branch-and-bound tree as a smaller problem of the same kind.
 *
 * `restrict` keeps some choices, drops what no longer fits any budget, folds decisions with one choice left
 * into the limits and the constant, and turns an edge with a decided end into an ordinary cost of the other
 * end. So nodes shrink as the search goes down, and nothing else has to know about fixing.
 */
import { agree } from "./Presolve.ts"
import type { Scaled, ScaledEdge } from "./Scaled.ts"

export interface Subproblem {
  /** Index of each open decision in the scaled problem. */
  readonly decisions: Int32Array
  /** Open decision d has choices `starts[d] .. starts[d+1]`. */
  readonly starts: Int32Array
  /** Index of each open choice in the scaled problem. */
  readonly choices: Int32Array
  readonly objective: Float64Array
  /** `costs[i * limits.length + k]` */
  readonly costs: Float64Array
  /** What the decided leave of each budget. */
  readonly limits: Float64Array
  /** Edges between open decisions (`a`, `b` count open decisions). */
  readonly edges: ReadonlyArray<ScaledEdge>
  /** Objective of what is decided. */
  readonly constant: number
  /** Per decision of the scaled problem: its choice, or -1 while open. */
  readonly picks: Int32Array
}

export const whole = ({ starts, objective, costs, limits, edges }: Scaled): Subproblem => ({
  decisions: Int32Array.from({ length: starts.length - 1 }, (_, d) => d),
  starts,
  choices: Int32Array.from({ length: objective.length }, (_, i) => i),
  objective,
  costs,
  limits,
  edges,
  constant: 0,
  picks: new Int32Array(starts.length - 1).fill(-1)
})

/**
 * Clears `keep` of choices that break a tie, or a budget even with the cheapest of everything else, until none is
 * left. False: a budget cannot be met, or a decision has no choice.
 */
const fit = ({ starts, costs, limits, edges }: Subproblem, keep: Uint8Array): boolean => {
  const rows = limits.length
  const decisions = starts.length - 1
  const least = new Float64Array(decisions)
  for (let again = true; again;) {
    again = false
    agree(starts, edges, keep)
    for (let d = 0; d < decisions; d++)
      if (!keep.subarray(starts[d]!, starts[d + 1]!).includes(1)) return false
    for (let k = 0; k < rows; k++) {
      let rest = limits[k]!
      for (let d = 0; d < decisions; d++) {
        let low = Infinity
        for (let i = starts[d]!; i < starts[d + 1]!; i++)
          if (keep[i] === 1 && costs[i * rows + k]! < low) low = costs[i * rows + k]!
        least[d] = low
        rest -= low
      }
      if (rest < 0) return false
      for (let d = 0; d < decisions; d++) {
        for (let i = starts[d]!; i < starts[d + 1]!; i++) {
          if (keep[i] === 0 || costs[i * rows + k]! - least[d]! <= rest) continue
          keep[i] = 0
          again = true
        }
      }
    }
  }
  return true
}

/** The one label of the choices kept, or -1. */
const onlyLabel = (labels: Int32Array, keep: Uint8Array, from: number): number => {
  let only = -1
  for (let c = 0; c < labels.length; c++) {
    if (keep[from + c] === 0 || labels[c] === only) continue
    if (only >= 0) return -1
    only = labels[c]!
  }
  return only
}

/** Objective and costs with what the edges towards a settled label add, and the edges that stay open. */
const settle = (sub: Subproblem, keep: Uint8Array) => {
  if (sub.edges.length === 0) return sub
  const rows = sub.limits.length
  const objective = sub.objective.slice()
  const costs = sub.costs.slice()
  const addTo = (edge: ScaledEdge, d: number, labels: Int32Array, label: number): void => {
    // Of a hard edge `fit` left only what agrees.
    if (edge.hard) return
    for (let i = sub.starts[d]!; i < sub.starts[d + 1]!; i++) {
      if (labels[i - sub.starts[d]!] === label) continue
      objective[i]! += edge.objective
      for (let k = 0; k < rows; k++) costs[i * rows + k]! += edge.costs[k]!
    }
  }
  const edges = sub.edges.filter((edge) => {
    const a = onlyLabel(edge.labelsA, keep, sub.starts[edge.a]!)
    const b = onlyLabel(edge.labelsB, keep, sub.starts[edge.b]!)
    if (a >= 0) addTo(edge, edge.b, edge.labelsB, a)
    else if (b >= 0) addTo(edge, edge.a, edge.labelsA, b)
    return a < 0 && b < 0
  })
  return { objective, costs, edges }
}

/** Objective and costs of one choice per open decision, every open edge counted; +Infinity where a tie is broken. */
export const totals = (sub: Subproblem, picks: Int32Array) => {
  const rows = sub.limits.length
  const costs = new Float64Array(rows)
  let objective = 0
  for (const i of picks) {
    objective += sub.objective[i]!
    for (let k = 0; k < rows; k++) costs[k]! += sub.costs[i * rows + k]!
  }
  for (const edge of sub.edges) {
    const a = edge.labelsA[picks[edge.a]! - sub.starts[edge.a]!]
    const b = edge.labelsB[picks[edge.b]! - sub.starts[edge.b]!]
    if (a === b) continue
    if (edge.hard) return { objective: Infinity, costs }
    objective += edge.objective
    for (let k = 0; k < rows; k++) costs[k]! += edge.costs[k]!
  }
  return { objective, costs }
}

/** The subproblem over the choices marked in `keep` (changed in place); null: nothing fits the budgets. */
export const restrict = (sub: Subproblem, keep: Uint8Array): Subproblem | null => {
  if (!fit(sub, keep)) return null
  const { starts } = sub
  const rows = sub.limits.length
  const decisions = starts.length - 1
  /** The one choice left, or -1. */
  const decided = new Int32Array(decisions).fill(-1)
  let openChoices = 0
  const open: Array<number> = []
  for (let d = 0; d < decisions; d++) {
    const first = keep.indexOf(1, starts[d]!)
    let left = 0
    for (let i = first; i < starts[d + 1]!; i++) left += keep[i]!
    if (left === 1) decided[d] = first
    else {
      open.push(d)
      openChoices += left
    }
  }
  const settled = settle(sub, keep)

  const picks = sub.picks.slice()
  const limits = sub.limits.slice()
  let constant = sub.constant
  for (let d = 0; d < decisions; d++) {
    const i = decided[d]!
    if (i < 0) continue
    picks[sub.decisions[d]!] = sub.choices[i]!
    constant += settled.objective[i]!
    for (let k = 0; k < rows; k++) limits[k]! -= settled.costs[i * rows + k]!
  }

  const next = {
    decisions: new Int32Array(open.length),
    starts: new Int32Array(open.length + 1),
    choices: new Int32Array(openChoices),
    objective: new Float64Array(openChoices),
    costs: new Float64Array(openChoices * rows)
  }
  const renumbered = new Int32Array(decisions).fill(-1)
  let to = 0
  open.forEach((d, n) => {
    renumbered[d] = n
    next.decisions[n] = sub.decisions[d]!
    for (let i = starts[d]!; i < starts[d + 1]!; i++) {
      if (keep[i] === 0) continue
      next.choices[to] = sub.choices[i]!
      next.objective[to] = settled.objective[i]!
      for (let k = 0; k < rows; k++) next.costs[to * rows + k] = settled.costs[i * rows + k]!
      to++
    }
    next.starts[n + 1] = to
  })
  const kept = (labels: Int32Array, d: number): Int32Array =>
    labels.filter((_, c) => keep[starts[d]! + c] === 1)
  const edges = settled.edges.map((edge) => ({
    a: renumbered[edge.a]!,
    b: renumbered[edge.b]!,
    hard: edge.hard,
    labelsA: kept(edge.labelsA, edge.a),
    labelsB: kept(edge.labelsB, edge.b),
    objective: edge.objective,
    costs: edge.costs
  }))
  return { ...next, limits, edges, constant, picks }
}

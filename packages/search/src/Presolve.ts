/**
 * What can be said of a problem in its own units, before anything is scaled: choices that no answer can
 * use are dropped, so that a penalty of 1e12 written on a forbidden choice does not set the scale of the rest.
 *
 * Dropped are choices that break a budget, or cannot beat a known answer, even beside the least of everything
 * else; values of an attribute that a tied group lacks; and, where any assignment within the budgets is an
 * answer, choices that another of the same decision equals or beats in everything. Sums are exact
 * (`exactSum`) and compared with the referee's rounding band, so nothing it would accept is lost.
 */
import type { Dense, Edge } from "./Dense.ts"
import { exactSum } from "@bitbudget/numerics"

export interface Known {
  /** Objective of an answer in hand; +Infinity without one. */
  readonly upper: number
  /** Whether every assignment within the budgets is an answer. */
  readonly dominance: boolean
}

/** Clears `keep` of choices whose label the other end of a hard edge has not; whether any was cleared. */
export const agree = (
  starts: Int32Array,
  edges: ReadonlyArray<Pick<Edge, "a" | "b" | "hard" | "labelsA" | "labelsB">>,
  keep: Uint8Array
): boolean => {
  let changed = false
  for (let again = true; again;) {
    again = false
    for (const { a, b, hard, labelsA, labelsB } of edges) {
      if (!hard) continue
      for (const [end, labels, other, others] of [
        [a, labelsA, b, labelsB],
        [b, labelsB, a, labelsA]
      ] as const) {
        const offered = new Set<number>()
        others.forEach((label, c) => keep[starts[other]! + c] === 1 && offered.add(label))
        labels.forEach((label, c) => {
          const i = starts[end]! + c
          if (keep[i] === 0 || offered.has(label)) return
          keep[i] = 0
          again = changed = true
        })
      }
    }
  }
  return changed
}

/**
 * Clears `keep` of choices above the limit beside the least of the others; null: the least of all is above it.
 * `rest` is what the least of all leaves of the limit.
 */
const within = (
  starts: Int32Array,
  keep: Uint8Array,
  value: (i: number) => number,
  limit: number
): { readonly changed: boolean; readonly rest: number } | null => {
  const decisions = starts.length - 1
  const least = new Float64Array(decisions)
  let magnitude = Math.abs(limit)
  for (let d = 0; d < decisions; d++) {
    let low = Infinity
    let most = 0
    for (let i = starts[d]!; i < starts[d + 1]!; i++) {
      if (keep[i] === 0) continue
      const v = value(i)
      if (v < low) low = v
      if (Math.abs(v) > most) most = Math.abs(v)
    }
    if (low === Infinity) return null
    least[d] = low
    magnitude += most
  }
  const rest = limit - exactSum(least) + (decisions + 8) * 2 ** -52 * magnitude
  if (rest < 0) return null
  let changed = false
  for (let d = 0; d < decisions; d++) {
    const most = rest + least[d]!
    for (let i = starts[d]!; i < starts[d + 1]!; i++) {
      if (keep[i] === 0 || value(i) <= most) continue
      keep[i] = 0
      changed = true
    }
  }
  return { changed, rest }
}

/** Of one decision's choices at most this many are compared with each other one. */
const comparisons = (choices: number): number => (choices > 4000 ? 32 : 1000)

/** Clears `keep` of choices that another one of the decision equals or beats in everything, labels included. */
const dropDominated = ({ starts, objective, costs, rows, edges }: Dense, keep: Uint8Array): void => {
  const width = rows.length
  const labels = new Map<number, Array<Int32Array>>()
  for (const { a, b, labelsA, labelsB } of edges) {
    labels.set(a, [...(labels.get(a) ?? []), labelsA])
    labels.set(b, [...(labels.get(b) ?? []), labelsB])
  }
  for (let d = 0; d + 1 < starts.length; d++) {
    const from = starts[d]!
    const seen = labels.get(d) ?? []
    const order: Array<number> = []
    for (let i = from; i < starts[d + 1]!; i++) if (keep[i] === 1) order.push(i)
    order.sort((i, j) => objective[i]! - objective[j]! || i - j)
    const kept: Array<number> = []
    const most = comparisons(order.length)
    const beats = (i: number, j: number): boolean => {
      for (let k = 0; k < width; k++) if (costs[i * width + k]! > costs[j * width + k]!) return false
      return seen.every((label) => label[i - from] === label[j - from])
    }
    for (const j of order) {
      if (kept.some((i) => beats(i, j))) keep[j] = 0
      else if (kept.length < most) kept.push(j)
    }
  }
}

const subset = (dense: Dense, keep: Uint8Array): Dense => {
  const { starts, choiceIds, objective, costs, rows, edges } = dense
  const width = rows.length
  const at: Array<number> = []
  const next = new Int32Array(starts.length)
  for (let d = 0; d + 1 < starts.length; d++) {
    for (let i = starts[d]!; i < starts[d + 1]!; i++) if (keep[i] === 1) at.push(i)
    next[d + 1] = at.length
  }
  if (at.length === choiceIds.length) return dense
  const kept = (labels: Int32Array, d: number): Int32Array =>
    labels.filter((_, c) => keep[starts[d]! + c] === 1)
  const fewer = new Float64Array(at.length * width)
  at.forEach((i, to) => {
    for (let k = 0; k < width; k++) fewer[to * width + k] = costs[i * width + k]!
  })
  return {
    ...dense,
    starts: next,
    choiceIds: at.map((i) => choiceIds[i]!),
    objective: Float64Array.from(at, (i) => objective[i]!),
    costs: fewer,
    origin: Int32Array.from(at, (i) => dense.origin[i]!),
    edges: edges.map(({ a, b, hard, labelsA, labelsB, objective: hop, costs: amounts }) => ({
      a,
      b,
      hard,
      labelsA: kept(labelsA, a),
      labelsB: kept(labelsB, b),
      objective: hop,
      costs: amounts
    }))
  }
}

/** The problem over the choices that an answer better than `upper` could use; null: there is none. */
export const presolve = (dense: Dense, { upper, dominance }: Known): Dense | null => {
  const { starts, objective, costs, rows, limits } = dense
  const keep = new Uint8Array(objective.length).fill(1)
  let edges = dense.edges
  for (let again = true; again;) {
    again = agree(starts, edges, keep)
    for (let k = -1; k < rows.length; k++) {
      const limit = k < 0 ? upper : limits[k]!
      if (limit === Infinity) continue
      const value = (i: number): number => (k < 0 ? objective[i]! : costs[i * rows.length + k]!)
      const narrowed = within(starts, keep, value, limit)
      if (narrowed === null) return null
      // A transition nobody can pay ties its ends.
      const paid = edges.filter(
        ({ hard, objective, costs }) => !hard && (k < 0 ? objective : costs[k]!) > narrowed.rest
      )
      if (paid.length > 0)
        edges = edges.map((edge) =>
          paid.includes(edge) ? { ...edge, hard: true, objective: 0, costs: edge.costs.map(() => 0) } : edge
        )
      again ||= narrowed.changed || paid.length > 0
    }
  }
  for (let d = 0; d + 1 < starts.length; d++)
    if (!keep.subarray(starts[d]!, starts[d + 1]!).includes(1)) return null
  if (dominance) dropDominated({ ...dense, edges }, keep)
  return subset({ ...dense, edges }, keep)
}

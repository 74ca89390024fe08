/**
 * Exact branch and bound for the multiple-choice, multi-budget knapsack (plus transitions).
 *
 * At every node the best prices give a lower bound and a mix of assignments (`Relaxation`). Choices whose
 * regret lifts the bound past the best known answer are dropped (reduced-cost fixing), so most decisions
 * settle near the root; what stays mixed is split by its share of the priced costs, the side with more weight
 * searched first (`Frontier`). Assignments the oracle meets on the way are the candidates; one counts only
 * after the caller has accepted it on the problem's own numbers.
 *
 * Deterministic: no clock and no randomness decide anything but when to stop.
 */
import { Frontier } from "./Frontier.ts"
import { oracle } from "./Lagrangian.ts"
import { raised } from "./lattice.ts"
import { relax, type Relaxation } from "./Relaxation.ts"
import type { Scaled } from "./Scaled.ts"
import { restrict, totals, undominated, whole, type Subproblem } from "./Subproblem.ts"

/** Objectives in solver units closer than this are one. */
export const resolution = 1e-12

export interface Search {
  /** Choice of each decision of the scaled problem; null: none found. */
  readonly picks: Int32Array | null
  /** Proven lower bound in solver units; +Infinity: nothing fits. */
  readonly bound: number
  readonly nodes: number
}

export interface Request {
  readonly scaled: Scaled
  /** Relative to the objective in the problem's units. */
  readonly gap: number
  /** Whether the picks keep the budgets on the problem's own numbers. */
  readonly accept: (picks: Int32Array) => boolean
}

interface Node {
  readonly sub: Subproblem
  readonly size: number
  readonly bound: number
  readonly prices: Float64Array
}

/** Choices of the first child's side of a split: 1 there, 0 on the other side; other decisions untouched. */
type Split = { readonly decision: number; readonly first: ReadonlySet<number> }

const range = (from: number, to: number): Array<number> =>
  Array.from({ length: to - from }, (_, c) => from + c)

/** The decision the mix disagrees about most, cut where the mix's mean priced cost falls. */
const splitMixed = (sub: Subproblem, mix: Relaxation["mix"], prices: Float64Array): Split | null => {
  const { starts, objective, costs, limits } = sub
  const rows = limits.length
  const share = new Float64Array(objective.length)
  for (const { minimiser, weight } of mix) for (const i of minimiser.picks) share[i]! += weight
  let decision = -1
  let widest = 1e-12
  for (let d = 0; d + 1 < starts.length; d++) {
    let mean = 0
    for (let i = starts[d]!; i < starts[d + 1]!; i++) mean += share[i]! * objective[i]!
    let spread = 0
    for (let i = starts[d]!; i < starts[d + 1]!; i++) spread += share[i]! * Math.abs(objective[i]! - mean)
    if (spread <= widest) continue
    widest = spread
    decision = d
  }
  if (decision < 0) return null
  const pricedCost = (i: number): number => {
    let sum = 0
    for (let k = 0; k < rows; k++) sum += prices[k]! * costs[i * rows + k]!
    return sum
  }
  const order = range(starts[decision]!, starts[decision + 1]!).sort(
    (i, j) => pricedCost(i) - pricedCost(j) || i - j
  )
  const mean = order.reduce((sum, i) => sum + share[i]! * pricedCost(i), 0)
  const cut = order.findIndex((i) => pricedCost(i) > mean)
  const cheap = order.slice(0, cut > 0 ? cut : Math.ceil(order.length / 2))
  const dear = order.slice(cheap.length)
  const weight = cheap.reduce((sum, i) => sum + share[i]!, 0)
  return { decision, first: new Set(weight >= 0.5 ? cheap : dear) }
}

/** Where the mix agrees with itself: by label at the dearest transition it pays, else halves of the first decision. */
const splitSettled = (sub: Subproblem, picks: Int32Array): Split => {
  const { starts, edges } = sub
  const paid = edges
    .map(({ a, b, labelsA, labelsB, objective, costs }) => ({
      decision: a,
      labels: labelsA,
      label: labelsA[picks[a]! - starts[a]!]!,
      other: labelsB[picks[b]! - starts[b]!]!,
      weight: costs.reduce((sum, cost) => sum + cost, objective)
    }))
    .filter(({ label, other }) => label !== other)
    .reduce<{ decision: number; labels: Int32Array; label: number; weight: number } | null>(
      (most, edge) => (most === null || edge.weight > most.weight ? edge : most),
      null
    )
  if (paid !== null) {
    const { decision, labels, label } = paid
    const choices = range(starts[decision]!, starts[decision + 1]!)
    return { decision, first: new Set(choices.filter((_, c) => labels[c] === label)) }
  }
  const choices = range(starts[0]!, starts[1]!)
  return { decision: 0, first: new Set(choices.slice(0, Math.ceil(choices.length / 2))) }
}

/** One node a step: yields after each, and stops when the driver answers false. */
export function* search({ scaled, gap, accept }: Request): Generator<void, Search, boolean> {
  let best: Int32Array | null = null
  let incumbent = Infinity
  /** A bound at or above this promises nothing better, or nothing better than the gap. */
  let cutoff = Infinity
  /** Least bound given up at the cutoff. */
  let floor = Infinity
  let nodes = 0

  const offer = (sub: Subproblem, picks: Int32Array): void => {
    const { objective, costs } = totals(sub, picks)
    if (sub.constant + objective >= incumbent - resolution) return
    if (costs.some((cost, k) => cost > sub.limits[k]!)) return
    const full = sub.picks.slice()
    picks.forEach((i, d) => (full[sub.decisions[d]!] = sub.choices[i]!))
    if (!accept(full)) return
    best = full
    incumbent = sub.constant + objective
    // A hair less than asked, so that the reported gap is within what was asked after rounding.
    const allowed = 0.999999 * gap * Math.abs(incumbent + scaled.objectiveBase / scaled.objectiveUnit)
    cutoff = incumbent - Math.max(resolution, allowed)
  }

  const frontier = new Frontier<Node>()
  /** Whether the bound leaves hope of something better. */
  const open = (bound: number): boolean => {
    const lifted = raised(bound, scaled.objectiveStep)
    if (lifted < cutoff) return true
    floor = Math.min(floor, lifted)
    return false
  }
  /** A node for what is left of a subproblem; null where nothing is. */
  const nodeOf = (sub: Subproblem | null, above: number, prices: Float64Array): Node | null => {
    if (sub === null) return null
    const bound = raised(Math.max(above, sub.constant), scaled.objectiveStep)
    if (sub.decisions.length === 0) offer(sub, new Int32Array(0))
    else if (open(bound)) return { sub, size: sub.choices.length, bound, prices }
    return null
  }
  const root = whole(scaled)
  const prices = new Float64Array(scaled.limits.length)
  frontier.branch(nodeOf(restrict(root, undominated(root)), -Infinity, prices), null)
  for (let node = frontier.next(); node !== undefined; node = frontier.next()) {
    if (!open(node.bound)) continue
    nodes++
    const { sub } = node
    const ask = oracle(sub)
    const {
      bound: above,
      prices,
      mix
    } = relax({
      oracle: ask,
      limits: sub.limits,
      prices: node.prices,
      cutoff: cutoff - sub.constant - 0.9 * scaled.objectiveStep,
      found: ({ picks }) => offer(sub, picks)
    })
    const bound = sub.constant + above
    if (!open(bound)) continue
    const { decision, first } =
      splitMixed(sub, mix, prices) ?? splitSettled(sub, ask.minimise(prices, 1).picks)
    const regrets = ask.regrets(prices)
    const from = sub.starts[decision]!
    const to = sub.starts[decision + 1]!
    const { bound: parent } = node
    const child = (side: boolean): Node | null => {
      const keep = Uint8Array.from(regrets, (regret) => (open(bound + regret) ? 1 : 0))
      let least = Infinity
      for (let i = from; i < to; i++) {
        if (first.has(i) === side) least = Math.min(least, regrets[i]!)
        else keep[i] = 0
      }
      return nodeOf(restrict(sub, keep), Math.max(parent, bound + least), prices)
    }
    frontier.branch(child(true), child(false))
    const goOn = yield
    if (!goOn) return { picks: best, bound: Math.min(frontier.bound(), floor, incumbent), nodes }
  }
  return { picks: best, bound: Math.min(floor, incumbent), nodes }
}

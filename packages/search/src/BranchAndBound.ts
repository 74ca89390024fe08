/**
 * Exact branch and bound for the multiple-choice, multi-budget knapsack (plus transitions).
 *
 * At every node the best prices give a lower bound and a mix of assignments (`Relaxation`). Choices whose
 * regret lifts the bound past the best known answer are dropped (reduced-cost fixing), so most decisions
 * settle near the root; what stays mixed is split by its share of the priced costs, the side with more weight
 * searched first (`Frontier`). Assignments the oracle meets on the way are the candidates, polished now and
 * then (`Polish`); one counts only after the caller has accepted it. Where the best assignment of a node is
 * refused, the node is split into the plans that leave it at the least regret and the rest, so that refused
 * plans are met in about the order of their bound (Murty 1968, with two children at a time).
 *
 * Deterministic: no clock and no randomness decide anything but when to stop.
 */
import { Frontier } from "./Frontier.ts"
import { oracle, type Minimiser } from "./Lagrangian.ts"
import { raised } from "./lattice.ts"
import { polisher } from "./Polish.ts"
import { relax, type Relaxation } from "./Relaxation.ts"
import type { Scaled } from "./Scaled.ts"
import { restrict, totals, whole, type Subproblem } from "./Subproblem.ts"

/** Objectives in solver units closer than this are one. */
export const resolution = 1e-12

export interface Search {
  /** Choice of each decision of the scaled problem; null: none found. */
  readonly picks: Int32Array | null
  /** Proven lower bound in solver units; +Infinity: nothing fits. */
  readonly bound: number
  readonly nodes: number
  /** The tree, where nodes were recorded. */
  readonly proof: Proof | null
}

/** accepted · refused for good · not looked at, since no more evaluations are allowed. */
export type Verdict = "accepted" | "refused" | "unknown"

export interface Request {
  readonly scaled: Scaled
  /** Relative to the objective in the problem's units. */
  readonly gap: number
  /** Whether the picks are an answer on the problem's own numbers. */
  readonly judge: (picks: Int32Array) => Verdict
  /** Answers in hand, accepted already. */
  readonly start: ReadonlyArray<Int32Array>
  /** Whether time is up; asked within a node. */
  readonly expired: () => boolean
  /** Of a program with interactions: its objective, and lower bounds of it that are linear. */
  readonly beyond?: Beyond | undefined
  /** Nodes to keep for a proof; 0: none. */
  readonly recorded: number
}

/** A node of the tree as a proof keeps it: the prices that bound it, how it was split, what came of it. */
export interface Proof {
  prices: Float64Array
  /** The prices prove that nothing fits, whatever the objective. */
  nothingFits: boolean
  /** The first child takes decision's choices in `first`, the other the rest; indices of the whole problem. */
  split: { readonly decision: number; readonly first: ReadonlyArray<number> } | null
  /** null: closed by this node's own prices. */
  children: readonly [Proof | null, Proof | null]
}

const proofOf = (prices: Float64Array): Proof => ({
  prices,
  nothingFits: false,
  split: null,
  children: [null, null]
})

/** All in solver units; x are shares of the choices. */
export interface Beyond {
  readonly valueOf: (picks: Int32Array) => number
  readonly tangentAt: (x: Float64Array) => { readonly objective: Float64Array; readonly constant: number }
  /** How far from x towards y the convex bound falls, between 0 and 1. */
  readonly stepTowards: (x: Float64Array, y: Float64Array) => number
}

interface Node {
  readonly sub: Subproblem
  readonly size: number
  readonly bound: number
  readonly prices: Float64Array
  readonly proof: Proof | null
}

/** Choices of the first child's side of a split: 1 there, 0 on the other side; other decisions untouched. */
type Split = { readonly decision: number; readonly first: ReadonlySet<number> }

const range = (from: number, to: number): Array<number> =>
  Array.from({ length: to - from }, (_, c) => from + c)

/** The decision the mix disagrees about most, cut where the mix's mean priced cost falls. */
const splitMixed = (sub: Subproblem, mix: Relaxation["mix"], prices: Float64Array): Split | null => {
  const { starts, objective, costs, limits, edges } = sub
  const rows = limits.length
  const share = new Float64Array(objective.length)
  for (const { minimiser, weight } of mix) for (const i of minimiser.picks) share[i]! += weight
  // What a tie agrees on first: with it decided, its members fall apart.
  for (const { b, labelsB } of edges.filter(({ hard }) => hard)) {
    const shares = new Map<number, number>()
    labelsB.forEach((label, c) => shares.set(label, (shares.get(label) ?? 0) + share[starts[b]! + c]!))
    const [most, next] = [...shares].sort(([, x], [, y]) => y - x)
    if (next === undefined || next[1] < 1e-9) continue
    const first = range(starts[b]!, starts[b + 1]!).filter((_, c) => labelsB[c] === most![0])
    return { decision: b, first: new Set(first) }
  }
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

/** Where the mix agrees with itself: by label at the dearest transition that its bound leaves out, if any. */
const splitUnpaid = (sub: Subproblem, picks: Int32Array): Split | null => {
  const { starts, edges } = sub
  const weightOf = ({ hard, objective, costs }: (typeof edges)[number]): number =>
    hard ? Infinity : costs.reduce((sum, cost) => sum + cost, objective)
  const paid = edges
    .map((edge) => ({
      decision: edge.a,
      labels: edge.labelsA,
      label: edge.labelsA[picks[edge.a]! - starts[edge.a]!]!,
      other: edge.labelsB[picks[edge.b]! - starts[edge.b]!]!,
      weight: weightOf(edge)
    }))
    .filter(({ label, other }) => label !== other)
  const [most] = paid.sort((x, y) => y.weight - x.weight)
  if (most === undefined) return null
  const { decision, labels, label } = most
  const choices = range(starts[decision]!, starts[decision + 1]!)
  return { decision, first: new Set(choices.filter((_, c) => labels[c] === label)) }
}

/** The plan is refused: away from it where that costs the least. */
const splitRefused = (sub: Subproblem, picks: Int32Array, regrets: Float64Array): Split => {
  const { starts } = sub
  let decision = 0
  let least = Infinity
  for (let d = 0; d + 1 < starts.length; d++) {
    let regret = Infinity
    for (let i = starts[d]!; i < starts[d + 1]!; i++)
      if (i !== picks[d]) regret = Math.min(regret, regrets[i]!)
    if (regret >= least) continue
    least = regret
    decision = d
  }
  const others = range(starts[decision]!, starts[decision + 1]!).filter((i) => i !== picks[decision])
  return { decision, first: new Set(others) }
}

/** Plans whose verdict is remembered, of problems up to so many decisions. */
const rememberedDecisions = 4096

/** Nodes whose mix is rounded and polished: none of a search that ends soon, of a long one now and then. */
const isPolished = (node: number, choices: number): boolean =>
  choices <= 2e5 && (node === 16 || node % 128 === 0)

/** Every decision's choice with the most weight in the mix, as picks of the whole problem. */
const rounded = (sub: Subproblem, mix: Relaxation["mix"]): Int32Array => {
  const share = new Float64Array(sub.objective.length)
  for (const { minimiser, weight } of mix) for (const i of minimiser.picks) share[i]! += weight
  const full = sub.picks.slice()
  for (let d = 0; d + 1 < sub.starts.length; d++) {
    let most = sub.starts[d]!
    for (let i = most + 1; i < sub.starts[d + 1]!; i++) if (share[i]! > share[most]!) most = i
    full[sub.decisions[d]!] = sub.choices[most]!
  }
  return full
}

/** Tangents tried at a node. */
const tangents = 12

/** Shares of the whole problem's choices in a node's mix. */
const sharesOf = (root: Subproblem, sub: Subproblem, mix: Relaxation["mix"]): Float64Array => {
  const x = new Float64Array(root.objective.length)
  for (const i of sub.picks) if (i >= 0) x[i] = 1
  const weights = mix.reduce((sum, { weight }) => sum + weight, 0)
  for (const { minimiser, weight } of mix)
    for (const i of minimiser.picks) x[sub.choices[i]!]! += weight / weights
  return x
}

/** The whole problem's choices that a node leaves. */
const keptOf = (root: Subproblem, sub: Subproblem): Uint8Array => {
  const keep = new Uint8Array(root.objective.length)
  for (const i of sub.picks) if (i >= 0) keep[i] = 1
  for (const i of sub.choices) keep[i] = 1
  return keep
}

/** One node a step: yields after each, and stops when the driver answers false. */
export function* search({
  scaled,
  gap,
  judge,
  start,
  expired,
  beyond,
  recorded
}: Request): Generator<void, Search, boolean> {
  let best: Int32Array | null = null
  let incumbent = Infinity
  /** A bound at or above this promises nothing better, or nothing better than the gap. */
  let cutoff = Infinity
  /** Least bound given up at the cutoff. */
  let floor = Infinity
  let nodes = 0

  const refused = new Set<string>()
  /** The verdict on the picks of the whole problem, asked once for each. */
  const verdictOf = (picks: Int32Array): Verdict => {
    if (picks.length > rememberedDecisions) return judge(picks)
    const key = picks.join()
    if (refused.has(key)) return "refused"
    const verdict = judge(picks)
    if (verdict === "refused") refused.add(key)
    return verdict
  }
  const take = (picks: Int32Array, objective: number): void => {
    best = picks
    incumbent = objective
    // A hair less than asked, so that the reported gap is within what was asked after rounding.
    const allowed = 0.999999 * gap * Math.abs(incumbent + scaled.objectiveBase / scaled.objectiveUnit)
    cutoff = incumbent - Math.max(resolution, allowed)
  }
  const root = whole(scaled)
  for (const picks of start) {
    const objective = beyond?.valueOf(picks) ?? totals(root, picks).objective
    if (objective < incumbent) take(picks, objective)
  }

  const offer = (
    sub: Subproblem,
    picks: Int32Array,
    { objective, costs }: Pick<Minimiser, "objective" | "costs"> = totals(sub, picks)
  ): void => {
    if (sub.constant + objective >= incumbent - resolution) return
    if (costs.some((cost, k) => cost > sub.limits[k]!)) return
    const full = sub.picks.slice()
    picks.forEach((i, d) => (full[sub.decisions[d]!] = sub.choices[i]!))
    const value = beyond?.valueOf(full) ?? sub.constant + objective
    if (value >= incumbent - resolution) return
    const verdict = verdictOf(full)
    if (verdict === "accepted") take(full, value)
    // A plan nobody looked at may be better than all that are known.
    if (verdict === "unknown") floor = Math.min(floor, sub.constant + objective)
  }

  let kept = 0
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
    else if (open(bound)) {
      const proof = kept < recorded ? proofOf(prices) : null
      if (proof !== null) kept++
      return { sub, size: sub.choices.length, bound, prices, proof }
    }
    return null
  }
  const prices = new Float64Array(scaled.limits.length)
  const everything = new Uint8Array(root.objective.length).fill(1)
  const top = nodeOf(restrict(root, everything), -Infinity, prices)
  const tree = recorded > 0 ? (top?.proof ?? proofOf(prices)) : null
  frontier.branch(top, null)
  const polish = polisher(scaled)
  for (let node = frontier.next(); node !== undefined; node = frontier.next()) {
    if (!open(node.bound)) continue
    nodes++
    let { sub } = node
    let ask = oracle(sub)
    const relaxed = (prices: Float64Array): Relaxation =>
      relax({
        oracle: ask,
        limits: sub.limits,
        prices,
        cutoff: cutoff - sub.constant - 0.9 * scaled.objectiveStep,
        found: (minimiser) => offer(sub, minimiser.picks, sub.edges.length === 0 ? minimiser : undefined),
        expired
      })
    let { bound: above, prices, mix } = relaxed(node.prices)
    let bound = sub.constant + above
    if (beyond !== undefined) {
      // Frank–Wolfe on the convex bound: tangents at the mix, each a program of its own.
      let x = sharesOf(root, sub, mix)
      for (let step = 0; step < tangents && open(bound) && mix.length > 0 && !expired(); step++) {
        const tangent = beyond.tangentAt(x)
        const next = restrict({ ...root, ...tangent }, keptOf(root, sub))
        if (next === null || next.decisions.length === 0) break
        const before = { sub, ask, above, prices, bound, mix }
        sub = next
        ask = oracle(sub)
        const found = relaxed(prices)
        const reached = sub.constant + found.bound
        const y = sharesOf(root, sub, found.mix)
        const towards = beyond.stepTowards(x, y)
        const gained = reached - bound
        ;({ bound: above, prices, mix } = found)
        if (gained > 0) bound = reached
        else ({ sub, ask, above, prices, bound, mix } = before)
        if (gained < 0.01 * (cutoff - bound) && step > 1) break
        x = x.map((share, i) => share + towards * (y[i]! - share))
      }
    }
    if (node.proof !== null) {
      node.proof.prices = prices
      node.proof.nothingFits = above === Infinity
    }
    if (!open(bound)) continue
    if (isPolished(nodes, root.objective.length) && mix.length > 0) {
      const polished = polish(rounded(sub, mix), incumbent)
      if (polished !== null) offer(root, polished)
      if (!open(bound)) continue
    }
    const regrets = ask.regrets(prices)
    const { picks } = ask.minimise(prices, 1)
    const { decision, first } =
      splitMixed(sub, mix, prices) ?? splitUnpaid(sub, picks) ?? splitRefused(sub, picks, regrets)
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
    const [one, other] = [child(true), child(false)]
    if (node.proof !== null) {
      node.proof.split = {
        decision: sub.decisions[decision]!,
        first: Array.from(first, (i) => sub.choices[i]!)
      }
      node.proof.children = [one?.proof ?? null, other?.proof ?? null]
    }
    frontier.branch(one, other)
    const goOn = yield
    if (!goOn) return { picks: best, bound: Math.min(frontier.bound(), floor, incumbent), nodes, proof: tree }
  }
  return { picks: best, bound: Math.min(floor, incumbent), nodes, proof: tree }
}

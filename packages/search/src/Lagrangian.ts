/**
 * The budgets priced instead of kept: min over assignments of objective + Σ λₖ·costₖ, which falls apart into
 * one argmin per decision (Shih 1979 for the multiple-choice knapsack).
 *
 * Edges make neighbours depend on each other; a hard edge costs +Infinity where its ends disagree. On a forest the minimum is still exact by one pass of
 * messages from the leaves to the roots (min-sum); edges that would close a cycle are left out, which keeps
 * a lower bound because transition costs are never negative. Branching decides their ends in time.
 */
import type { ScaledEdge } from "./Scaled.ts"
import type { Subproblem } from "./Subproblem.ts"

/** Edges of a spanning forest, children before parents. */
interface Link {
  readonly edge: ScaledEdge
  readonly child: number
  readonly parent: number
  readonly childLabels: Int32Array
  readonly parentLabels: Int32Array
}

/** Labels of either end are below this. */
const labelCount = ({ labelsA, labelsB }: ScaledEdge): number => 1 + Math.max(...labelsA, ...labelsB)

/** Heaviest edges first (Kruskal), then each tree hung from its first decision. */
const forest = ({ starts, edges }: Subproblem): ReadonlyArray<Link> => {
  const decisions = starts.length - 1
  const weight = ({ hard, objective, costs }: ScaledEdge): number =>
    hard ? Number.MAX_VALUE : costs.reduce((sum, cost) => sum + cost, objective)
  const tree = Int32Array.from({ length: decisions }, (_, d) => d)
  const rootOf = (d: number): number => {
    let root = d
    while (tree[root] !== root) root = tree[root]!
    return root
  }
  const neighbours = new Map<number, Array<ScaledEdge>>()
  for (const edge of [...edges].sort((x, y) => weight(y) - weight(x))) {
    const [a, b] = [rootOf(edge.a), rootOf(edge.b)]
    if (a === b) continue
    tree[a] = b
    for (const end of [edge.a, edge.b]) neighbours.set(end, [...(neighbours.get(end) ?? []), edge])
  }
  const links: Array<Link> = []
  const reached = new Uint8Array(decisions)
  for (const root of neighbours.keys()) {
    if (reached[root] === 1) continue
    reached[root] = 1
    const queue = [root]
    for (const parent of queue) {
      for (const edge of neighbours.get(parent)!) {
        const child = edge.a === parent ? edge.b : edge.a
        if (reached[child] === 1) continue
        reached[child] = 1
        queue.push(child)
        const [childLabels, parentLabels] =
          edge.a === child ? [edge.labelsA, edge.labelsB] : [edge.labelsB, edge.labelsA]
        links.push({ edge, child, parent, childLabels, parentLabels })
      }
    }
  }
  return links.toReversed()
}

/** A minimiser of the priced problem: its own objective and costs, left-out edges not counted. */
export interface Minimiser {
  /** Choice of each open decision, an index into the subproblem's choices. */
  readonly picks: Int32Array
  readonly objective: number
  readonly costs: Float64Array
  /** weight·objective + λ·costs, without −λ·limits */
  readonly priced: number
}

export interface Oracle {
  /** `weight` 0 leaves the objective out: the cheapest assignment under the prices. */
  readonly minimise: (prices: Float64Array, weight: 0 | 1) => Minimiser
  /** By how much the priced minimum rises if choice i must be taken. */
  readonly regrets: (prices: Float64Array) => Float64Array
  /** Relative rounding error of `priced`, against the sum of what it adds up. */
  readonly rounding: number
}

export const oracle = (sub: Subproblem): Oracle => {
  const { starts, objective, costs, limits, edges } = sub
  const rows = limits.length
  const decisions = starts.length - 1
  const links = edges.length === 0 ? [] : forest(sub)
  const isChild = new Uint8Array(decisions)
  for (const { child } of links) isChild[child] = 1
  /** Priced cost of each choice, with what its subtree adds at best. */
  const score = new Float64Array(objective.length)
  /** Message of each link to its parent, by label. */
  const messages = links.map(({ edge }) => new Float64Array(labelCount(edge)))

  const price = (prices: Float64Array, weight: 0 | 1): void => {
    const priced: Array<number> = []
    for (let k = 0; k < rows; k++) if (prices[k]! !== 0) priced.push(k)
    for (let i = 0; i < score.length; i++) {
      let sum = weight * objective[i]!
      for (let n = 0; n < priced.length; n++) sum += prices[priced[n]!]! * costs[i * rows + priced[n]!]!
      score[i] = sum
    }
  }
  const priceOf = (edge: ScaledEdge, prices: Float64Array, weight: 0 | 1): number => {
    if (edge.hard) return Infinity
    let sum = weight * edge.objective
    for (let k = 0; k < rows; k++) sum += prices[k]! * edge.costs[k]!
    return sum
  }
  const argmin = (d: number): number => {
    let best = starts[d]!
    for (let i = best + 1; i < starts[d + 1]!; i++) if (score[i]! < score[best]!) best = i
    return best
  }
  /** message[l] = least of: any choice and the edge's price, or a choice with label l without it. */
  const fillMessage = (
    message: Float64Array,
    labels: Int32Array,
    from: number,
    values: Float64Array,
    hop: number
  ): void => {
    let least = Infinity
    for (let c = 0; c < labels.length; c++) least = Math.min(least, values[from + c]!)
    message.fill(least + hop)
    for (let c = 0; c < labels.length; c++)
      message[labels[c]!] = Math.min(message[labels[c]!]!, values[from + c]!)
  }
  const upward = (prices: Float64Array, weight: 0 | 1): void => {
    price(prices, weight)
    links.forEach(({ edge, child, parent, childLabels, parentLabels }, n) => {
      const message = messages[n]!
      fillMessage(message, childLabels, starts[child]!, score, priceOf(edge, prices, weight))
      for (let c = 0; c < parentLabels.length; c++) score[starts[parent]! + c]! += message[parentLabels[c]!]!
    })
  }

  const minimise = (prices: Float64Array, weight: 0 | 1): Minimiser => {
    upward(prices, weight)
    const picks = new Int32Array(decisions)
    // Neumaier's sum: the error of a bound over a million decisions stays that of a few terms.
    let priced = 0
    let lost = 0
    for (let d = 0; d < decisions; d++) {
      if (isChild[d] === 1) continue
      picks[d] = argmin(d)
      const term = score[picks[d]!]!
      const sum = priced + term
      lost += Math.abs(priced) >= Math.abs(term) ? priced - sum + term : term - sum + priced
      priced = sum
    }
    priced += lost
    const total = { objective: 0, costs: new Float64Array(rows) }
    for (let n = links.length - 1; n >= 0; n--) {
      const { edge, child, parent, childLabels, parentLabels } = links[n]!
      const label = parentLabels[picks[parent]! - starts[parent]!]!
      const hop = priceOf(edge, prices, weight)
      let best = starts[child]!
      let least = Infinity
      for (let c = 0; c < childLabels.length; c++) {
        const value = score[starts[child]! + c]! + (childLabels[c] === label ? 0 : hop)
        if (value < least) {
          least = value
          best = starts[child]! + c
        }
      }
      picks[child] = best
      if (childLabels[best - starts[child]!] === label) continue
      total.objective += edge.objective
      for (let k = 0; k < rows; k++) total.costs[k]! += edge.costs[k]!
    }
    for (let d = 0; d < decisions; d++) {
      const i = picks[d]!
      total.objective += objective[i]!
      for (let k = 0; k < rows; k++) total.costs[k]! += costs[i * rows + k]!
    }
    return { picks, priced, ...total }
  }

  const regrets = (prices: Float64Array): Float64Array => {
    upward(prices, 1)
    // Downwards: what the rest of the tree, seen through the parent, adds to each choice of the child.
    const full = score.slice()
    for (let n = links.length - 1; n >= 0; n--) {
      const { edge, child, parent, childLabels, parentLabels } = links[n]!
      const rest = new Float64Array(parentLabels.length)
      for (let c = 0; c < rest.length; c++)
        rest[c] = full[starts[parent]! + c]! - messages[n]![parentLabels[c]!]!
      const message = new Float64Array(messages[n]!.length)
      fillMessage(message, parentLabels, 0, rest, priceOf(edge, prices, 1))
      for (let c = 0; c < childLabels.length; c++) full[starts[child]! + c]! += message[childLabels[c]!]!
    }
    for (let d = 0; d < decisions; d++) {
      const least = full.subarray(starts[d]!, starts[d + 1]!).reduce((a, b) => Math.min(a, b), Infinity)
      for (let i = starts[d]!; i < starts[d + 1]!; i++) full[i]! -= least
    }
    return full
  }
  return { minimise, regrets, rounding: (rows + links.length + 4) * 2 ** -53 }
}

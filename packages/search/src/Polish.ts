/**
 * From a rounded mix to a good answer: first repair (while a budget is overrun, the change that costs the
 * least objective per unit of overrun removed), then exchange (one decision, then two at once, as long as
 * the objective falls within the budgets). What branch and bound needs to start pruning.
 *
 * Members of a tie on an attribute only move within the value they agree on.
 */
import type { Scaled } from "./Scaled.ts"

/** Exchanges of two are tried up to so many pairs of choices a round. */
const mostPairs = 4e6
const mostRounds = 200
/** Choices looked at in all rounds together. */
const mostLooks = 2e7

/** Picks of the whole problem that keep its limits and are better than `incumbent`, if it finds such. */
export const polisher = (scaled: Scaled) => {
  const { starts, objective, costs, limits, edges } = scaled
  const rows = limits.length
  const decisions = starts.length - 1
  const choices = objective.length
  const rounds = Math.min(mostRounds, Math.ceil(mostLooks / choices))
  const edgesOf = new Map<number, Array<(typeof edges)[number]>>()
  for (const edge of edges)
    for (const end of [edge.a, edge.b]) edgesOf.set(end, [...(edgesOf.get(end) ?? []), edge])
  const decisionOf = new Int32Array(choices)
  for (let d = 0; d < decisions; d++) decisionOf.fill(d, starts[d]!, starts[d + 1]!)

  return (picks: Int32Array, incumbent: number): Int32Array | null => {
    const rest = limits.slice()
    let value = 0
    for (const i of picks) {
      value += objective[i]!
      for (let k = 0; k < rows; k++) rest[k]! -= costs[i * rows + k]!
    }
    const paid = ({ a, b, labelsA, labelsB }: (typeof edges)[number]): boolean =>
      labelsA[picks[a]! - starts[a]!] !== labelsB[picks[b]! - starts[b]!]
    for (const edge of edges) {
      if (!paid(edge)) continue
      if (edge.hard) return null
      value += edge.objective
      for (let k = 0; k < rows; k++) rest[k]! -= edge.costs[k]!
    }
    /** Decisions with edges stay where they are once repaired; the others move freely. */
    const free = (d: number): boolean => !edgesOf.has(d)
    /** For linked decisions: whether choice i has the same labels as the pick. */
    const alike = (d: number, i: number): boolean =>
      edgesOf.get(d)!.every(({ a, labelsA, labelsB }) => {
        const labels = a === d ? labelsA : labelsB
        return labels[i - starts[d]!] === labels[picks[d]! - starts[d]!]
      })
    const may = (d: number, i: number): boolean => i !== picks[d] && (free(d) || alike(d, i))
    const move = (d: number, i: number): void => {
      const from = picks[d]!
      value += objective[i]! - objective[from]!
      for (let k = 0; k < rows; k++) rest[k]! += costs[from * rows + k]! - costs[i * rows + k]!
      picks[d] = i
    }
    const overrun = (): number => {
      let sum = 0
      for (let k = 0; k < rows; k++) if (rest[k]! < 0) sum -= rest[k]!
      return sum
    }
    const overrunAfter = (from: number, to: number): number => {
      let sum = 0
      for (let k = 0; k < rows; k++) {
        const left = rest[k]! + costs[from * rows + k]! - costs[to * rows + k]!
        if (left < 0) sum -= left
      }
      return sum
    }
    for (let round = 0, over = overrun(); over > 0; over = overrun()) {
      let rate = Infinity
      let best = -1
      for (let i = 0; i < choices; i++) {
        const d = decisionOf[i]!
        if (!may(d, i)) continue
        const relief = over - overrunAfter(picks[d]!, i)
        if (relief <= 1e-15) continue
        const cost = (objective[i]! - objective[picks[d]!]!) / relief
        if (cost >= rate) continue
        rate = cost
        best = i
      }
      if (best < 0 || ++round > rounds) return null
      move(decisionOf[best]!, best)
    }

    const fits = (from: number, to: number): boolean => {
      for (let k = 0; k < rows; k++)
        if (costs[to * rows + k]! - costs[from * rows + k]! > rest[k]!) return false
      return true
    }
    const single = (): boolean => {
      let gain = -1e-12
      let best = -1
      for (let i = 0; i < choices; i++) {
        const d = decisionOf[i]!
        const change = objective[i]! - objective[picks[d]!]!
        if (change >= gain || !may(d, i) || !fits(picks[d]!, i)) continue
        gain = change
        best = i
      }
      if (best >= 0) move(decisionOf[best]!, best)
      return best >= 0
    }
    const change = new Float64Array(choices)
    const double = (): boolean => {
      const moves: Array<number> = []
      for (let i = 0; i < choices; i++) {
        const d = decisionOf[i]!
        change[i] = objective[i]! - objective[picks[d]!]!
        if (may(d, i)) moves.push(i)
      }
      if (moves.length ** 2 > 2 * mostPairs) return false
      moves.sort((i, j) => change[i]! - change[j]! || i - j)
      let gain = -1e-12
      let pair: readonly [number, number] | null = null
      for (const i of moves) {
        if (change[i]! >= 0) break
        const from = picks[decisionOf[i]!]!
        for (const j of moves) {
          if (change[i]! + change[j]! >= gain) break
          if (decisionOf[j] === decisionOf[i]) continue
          const other = picks[decisionOf[j]!]!
          let ok = true
          for (let k = 0; k < rows && ok; k++)
            ok =
              costs[i * rows + k]! -
                costs[from * rows + k]! +
                costs[j * rows + k]! -
                costs[other * rows + k]! <=
              rest[k]!
          if (!ok) continue
          gain = change[i]! + change[j]!
          pair = [i, j]
        }
      }
      if (pair !== null) for (const i of pair) move(decisionOf[i]!, i)
      return pair !== null
    }
    for (let round = 0; round < rounds && (single() || double()); round++);
    return value < incumbent ? picks : null
  }
}

/**
 * Tree-structured Parzen estimator (Bergstra et al. 2011) over categories: the plans so far are split into
 * the best quarter and the rest, each decision's choices get smoothed frequencies in both, and of some draws
 * from the good ones the one with the highest ratio good : bad is tried next.
 */
import { spaceOf, type Proposals, type Searcher } from "./Searcher.ts"

const startup = 20
const draws = 24
const goodShare = 0.25
/** Of the good ones at most this many count. */
const mostGood = 25

export const tpe: Searcher = function* (setting) {
  const { dense, decisions, sizeOf, plan, repair, draw, random } = spaceOf(setting)
  const tried: Array<{ readonly picks: Int32Array; readonly objective: number; readonly feasible: boolean }> =
    []
  const next = function* (picks: Int32Array): Proposals {
    const judgement = yield plan(picks)
    tried.push({ picks, ...judgement })
  }
  for (let n = 0; n < startup; n++) yield* next(repair(draw()))
  for (;;) {
    const sorted = [...tried].sort(
      (a, b) => Number(b.feasible) - Number(a.feasible) || a.objective - b.objective
    )
    const good = Math.min(mostGood, Math.max(2, Math.ceil(goodShare * sorted.length)))
    /** log frequency of every choice among plans from..to, one pseudo-count spread over the decision. */
    const frequencies = (from: number, to: number): Float64Array => {
      const counts = new Float64Array(dense.objective.length)
      for (const { picks } of sorted.slice(from, to)) for (const i of picks) counts[i]!++
      for (const d of decisions)
        for (let i = dense.starts[d]!; i < dense.starts[d + 1]!; i++)
          counts[i] = (counts[i]! + 1 / sizeOf(d)) / (to - from + 1)
      return counts
    }
    const [l, g] = [frequencies(0, good), frequencies(good, sorted.length)]
    let best: Int32Array | null = null
    let highest = -Infinity
    for (let n = 0; n < draws; n++) {
      const picks = sorted[0]!.picks.slice()
      for (const d of decisions)
        picks[d] = dense.starts[d]! + random.weighted(l.subarray(dense.starts[d]!, dense.starts[d + 1]!))
      const ratio = decisions.reduce((sum, d) => sum + Math.log(l[picks[d]!]! / g[picks[d]!]!), 0)
      if (ratio <= highest) continue
      highest = ratio
      best = picks
    }
    yield* next(repair(best!))
  }
}

/**
 * Ranking by one number a group (HAWQ's trace or top eigenvalue, Dong et al. 2019): the most sensitive groups
 * get the dearest choices, the split points found by trying. The number does not know what a format does to
 * a group, which is what the integer program adds.
 *
 * Without a ranking given, the spread of each group's objective stands in.
 */
import { spaceOf, type Searcher } from "./Searcher.ts"

export const traceRank: Searcher = function* (setting) {
  const { dense, scaled, decisions, plan, tie, overrun, sizeOf } = spaceOf(setting)
  const { starts } = dense
  const rows = scaled.limits.length
  const spread = (d: number): number => {
    const own = scaled.objective.subarray(starts[d]!, starts[d + 1]!)
    return own.reduce((a, b) => Math.max(a, b), 0)
  }
  const sensitivity = (d: number): number => {
    const { ranking } = setting
    if (ranking === undefined) return spread(d)
    return dense.members[d]!.reduce((most, id) => Math.max(most, ranking[id] ?? 0), 0)
  }
  const ranked = [...decisions].sort((x, y) => sensitivity(y) - sensitivity(x) || x - y)
  const costOf = (i: number): number => {
    let sum = 0
    for (let k = 0; k < rows; k++) sum += scaled.costs[i * rows + k]!
    return sum
  }
  /** A decision's choices from cheap to dear. */
  const ladder = new Map(
    decisions.map((d) => [
      d,
      Array.from({ length: sizeOf(d) }, (_, c) => starts[d]! + c).sort(
        (i, j) => costOf(i) - costOf(j) || i - j
      )
    ])
  )
  const picks = Int32Array.from(dense.members, (_, d) => ladder.get(d)?.[0] ?? starts[d]!)
  // From the most sensitive on, each takes the dearest choice that still fits.
  for (const d of ranked)
    for (const i of ladder.get(d)!.toReversed()) {
      const raised = picks.slice()
      raised[d] = i
      if (overrun(tie(raised)) > 0) continue
      picks.set(tie(raised))
      break
    }
  yield plan(tie(picks))
  const steps = Math.max(...ranked.map(sizeOf))
  // The other classic: the first n ranked get step s, the rest the step below.
  for (let step = steps - 1; step > 0; step--)
    for (let n = ranked.length; n >= 0; n--) {
      const split = Int32Array.from(dense.members, (_, d) => {
        const own = ladder.get(d)
        if (own === undefined) return starts[d]!
        return own[Math.min(own.length - 1, ranked.indexOf(d) < n ? step : step - 1)]!
      })
      const tied = tie(split)
      if (overrun(tied) > 0) continue
      yield plan(tied)
      break
    }
}

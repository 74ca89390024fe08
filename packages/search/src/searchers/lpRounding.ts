/**
 * The linear relaxation, rounded: every decision takes its choice with the most weight, then choices are
 * drawn by their weights (Raghavan and Thompson 1987), each plan moved at random until it keeps the budgets.
 */
import { oracle } from "../Lagrangian.ts"
import { relax } from "../Relaxation.ts"
import { restrict, whole } from "../Subproblem.ts"
import { spaceOf, type Searcher } from "./Searcher.ts"

export const lpRounding: Searcher = function* (setting) {
  const { scaled, dense, plan, repair, random } = spaceOf(setting)
  const { starts } = dense
  const root = whole(scaled)
  const sub = restrict(root, new Uint8Array(root.objective.length).fill(1))
  if (sub === null) return
  const shares = new Float64Array(root.objective.length)
  for (const i of sub.picks) if (i >= 0) shares[i] = 1
  if (sub.decisions.length > 0) {
    const { mix } = relax({
      oracle: oracle(sub),
      limits: sub.limits,
      prices: new Float64Array(sub.limits.length),
      cutoff: Infinity,
      found: () => {},
      expired: () => false
    })
    for (const { minimiser, weight } of mix)
      for (const i of minimiser.picks) shares[sub.choices[i]!]! += weight
  }
  const own = (d: number): Float64Array => shares.subarray(starts[d]!, starts[d + 1]!)
  yield plan(
    repair(Int32Array.from(dense.members, (_, d) => starts[d]! + own(d).indexOf(Math.max(...own(d)))))
  )
  for (;;) yield plan(repair(Int32Array.from(dense.members, (_, d) => starts[d]! + random.weighted(own(d)))))
}

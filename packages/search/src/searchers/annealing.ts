/**
 * Simulated annealing (Kirkpatrick et al. 1983), as EXL2 allocates bits: one decision moves at a time, a worse
 * plan is taken with probability exp(−Δ/T), T falls geometrically from the spread of first moves to 10⁻⁴ of
 * it over the evaluations allowed. Moves that overrun a budget are repaired before they are judged.
 */
import { spaceOf, type Searcher } from "./Searcher.ts"

export const annealing: Searcher = function* (setting) {
  const { dense, decisions, sizeOf, plan, repair, draw, random } = spaceOf(setting)
  const movable = decisions.filter((d) => sizeOf(d) > 1)
  let here = repair(draw())
  let value = (yield plan(here)).objective
  if (movable.length === 0) return
  let spread = 0
  for (let step = 1; ; step++) {
    const d = movable[random.below(movable.length)]!
    const moved = here.slice()
    moved[d] = dense.starts[d]! + random.below(sizeOf(d))
    const next = repair(moved)
    const { objective, feasible } = yield plan(next)
    const change = objective - value
    if (step <= 20) spread = Math.max(spread, Math.abs(change))
    const temperature = spread * 1e-4 ** (step / setting.evaluations)
    if (!feasible || (change > 0 && random.uniform() >= Math.exp(-change / temperature))) continue
    here = next
    value = objective
  }
}

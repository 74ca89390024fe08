/**
 * HAWQ-v3's program: the least loss under one budget, the others not looked at (Yao et al. 2021). Each budget
 * in turn; where the plan breaks another, its own budget is tightened until the plan keeps all.
 */
import { exact } from "../Exact.ts"
import { type Assignment } from "../Assignment.ts"
import type { Problem } from "../Problem.ts"
import type { Searcher } from "./Searcher.ts"

const tighter = 0.95
const mostTries = 40

const solved = (problem: Problem): Assignment | null => {
  const run = exact({ problem, gap: 1e-6, expired: () => false })
  let state = run.next(true)
  while (state.done !== true) state = run.next(true)
  return state.value.assignment
}

export const oneBudget: Searcher = function* ({ problem }) {
  const budgets = Object.entries(problem.budgets ?? {})
  if (budgets.length === 0) {
    const plan = solved(problem)
    if (plan !== null) yield plan
  }
  for (const [name, limit] of budgets) {
    for (let factor = 1, tries = 0; tries < mostTries; factor *= tighter, tries++) {
      const plan = solved({ ...problem, budgets: { [name]: limit * factor } })
      if (plan === null) break
      const { feasible } = yield plan
      if (feasible) break
    }
  }
}

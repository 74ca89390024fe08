/**
 * Drives the rival searchers under one set of rules: plans outside the budgets or ties, or that the caller does not
 * accept, are told so and cost nothing; every other plan is judged once, by the tables or by the caller's oracle (who measures it), and
 * counts as an evaluation; the best accepted plan is kept. The bound is that of the exact search's root.
 */
import { Effect } from "effect"
import { evaluator, objectiveOf, type Assignment } from "./Assignment.ts"
import { compile, picksOf } from "./Dense.ts"
import { exact } from "./Exact.ts"
import type { Problem } from "./Problem.ts"
import type { Rival, Outcome, SolverFailure } from "./Solution.ts"
import { annealing } from "./searchers/annealing.ts"
import { greedyByGain, greedyByRate } from "./searchers/greedy.ts"
import { lpRounding } from "./searchers/lpRounding.ts"
import { nsga2 } from "./searchers/nsga2.ts"
import { oneBudget } from "./searchers/oneBudget.ts"
import { policyGradient } from "./searchers/policyGradient.ts"
import { randomSearch } from "./searchers/randomSearch.ts"
import type { Judgement, Searcher } from "./searchers/Searcher.ts"
import { tpe } from "./searchers/tpe.ts"
import { traceRank } from "./searchers/traceRank.ts"
import { uniform } from "./searchers/uniform.ts"

/** What measuring a whole plan says: `objective` in whatever the caller minimises, lower is better. */
export interface Measured {
  readonly objective: number
  readonly accepted: boolean
}

/** Measures whole plans. */
export type Oracle = (choice: Assignment) => Effect.Effect<Measured, SolverFailure>

export interface Limits {
  readonly seconds: number
  readonly seed?: number | undefined
  /** Plans that may be judged; default 2000. */
  readonly evaluations?: number | undefined
  readonly oracle?: Oracle | undefined
  readonly accept?: ((choice: Assignment) => boolean) | undefined
  readonly ranking?: { readonly [group: string]: number } | undefined
}

export const searchers: { readonly [M in Rival]: Searcher } = {
  uniform,
  random: randomSearch,
  greedy: greedyByRate,
  "greedy-gain": greedyByGain,
  "one-budget": oneBudget,
  "trace-rank": traceRank,
  "lp-rounding": lpRounding,
  annealing,
  nsga2,
  tpe,
  "policy-gradient": policyGradient
}

const usualEvaluations = 2000
/** Proposals in a row that bring no new plan, after which a searcher has run dry. */
const mostRepeats = 300
/** Proposals a searcher may make for each evaluation: plans seen before, or outside the budgets, are free. */
const proposalsEach = 20
/** Milliseconds between two looks at the fiber. */
const sliceMs = 50

/** The bound of the exact search's root. */
const rootBound = (problem: Problem): Outcome => {
  const run = exact({ problem, gap: 0, expired: () => false })
  let state = run.next(true)
  while (state.done !== true) state = run.next(false)
  return state.value
}

export const drive = Effect.fnUntraced(function* (method: Rival, problem: Problem, limits: Limits) {
  const { seconds, seed = 0, evaluations = usualEvaluations, oracle, accept = () => true, ranking } = limits
  const deadline = performance.now() + seconds * 1e3
  const root = rootBound(problem)
  const dense = compile(problem)
  const evaluate = evaluator(problem)
  const judged = new Map<string, Judgement>()
  const history: Array<number> = []
  let best: { readonly choice: Assignment; readonly objective: number } | null = null
  const judge = Effect.fnUntraced(function* (choice: Assignment) {
    const evaluation = evaluate(choice)
    const objective = objectiveOf(problem, evaluation)
    const isWithin = evaluation.feasible && picksOf(dense, choice) !== null && accept(choice)
    if (!isWithin) return { objective, feasible: false }
    const measured = oracle === undefined ? { objective, accepted: true } : yield* oracle(choice)
    history.push(measured.objective)
    if (measured.accepted && (best === null || measured.objective < best.objective))
      best = { choice, objective: measured.objective }
    return { objective: measured.objective, feasible: measured.accepted }
  })
  const proposals = searchers[method]({ problem, evaluations, seed, ranking })
  let state = proposals.next()
  let slice = performance.now() + sliceMs
  let repeats = 0
  for (let proposed = 0; state.done !== true && proposed < proposalsEach * evaluations; proposed++) {
    if (history.length >= evaluations || repeats > mostRepeats || performance.now() >= deadline) break
    const key = problem.groups.map(({ id }) => (state.value as Assignment)[id]).join("\n")
    const known = judged.get(key)
    repeats = known === undefined ? 0 : repeats + 1
    const judgement: Judgement = known ?? (yield* judge(state.value))
    judged.set(key, judgement)
    state = proposals.next(judgement)
    if (performance.now() < slice) continue
    yield* Effect.yieldNow
    slice = performance.now() + sliceMs
  }
  const found = best as { readonly choice: Assignment; readonly objective: number } | null
  const outcome: Outcome = {
    ...root,
    assignment: found?.choice ?? null,
    evaluations: history.length,
    measured: oracle === undefined ? null : (found?.objective ?? null),
    history
  }
  return outcome
})

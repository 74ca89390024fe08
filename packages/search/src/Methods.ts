/**
 * The methods behind one signature: a checked problem, limits and perhaps an oracle to what the method knows
 * when it stops. `ilp` and `highs` prove; the rivals (`Rivals`) only search.
 *
 * The exact search is driven in slices, so that a fiber running it can be interrupted and other work goes on.
 */
import { Effect } from "effect"
import { exact, type Request } from "./Exact.ts"
import { solveHighs } from "./Highs.ts"
import type { Problem } from "./Problem.ts"
import { drive, type Limits as RivalLimits } from "./Rivals.ts"
import { rivals, type Method, type Outcome, type Rival, type SolverFailure } from "./Solution.ts"

export interface Limits extends Pick<Request, "gap" | "accept" | "start" | "evaluations">, RivalLimits {}

/** Milliseconds of search between two looks at the fiber. */
const sliceMs = 50

const branchAndBound = Effect.fnUntraced(function* (problem: Problem, limits: Limits) {
  const { gap, seconds, accept, start, evaluations } = limits
  const deadline = performance.now() + seconds * 1e3
  const expired = (): boolean => performance.now() >= deadline
  const run = exact({ problem, gap, expired, accept, start, evaluations })
  let state = run.next(true)
  while (state.done !== true) {
    const until = Math.min(deadline, performance.now() + sliceMs)
    do state = run.next(performance.now() < deadline)
    while (state.done !== true && performance.now() < until)
    yield* Effect.yieldNow
  }
  return state.value
})

type Run = (problem: Problem, limits: Limits) => Effect.Effect<Outcome, SolverFailure>

const rival =
  (method: Rival): Run =>
  (problem, limits) =>
    drive(method, problem, limits)

export const run: { readonly [M in Method]: Run } = {
  ilp: branchAndBound,
  highs: (problem, limits) => Effect.suspend(() => solveHighs(problem, limits)),
  uniform: rival("uniform"),
  random: rival("random"),
  greedy: rival("greedy"),
  "greedy-gain": rival("greedy-gain"),
  "one-budget": rival("one-budget"),
  "trace-rank": rival("trace-rank"),
  "lp-rounding": rival("lp-rounding"),
  annealing: rival("annealing"),
  nsga2: rival("nsga2"),
  tpe: rival("tpe"),
  "policy-gradient": rival("policy-gradient")
}

const isRival = (method: Method): method is Rival => rivals.some((name) => name === method)

/** Why a method ended with neither an assignment nor a proof. */
export const unanswered = (method: Method): string => {
  if (method === "uniform")
    return "no choice taken everywhere keeps the budgets; mix choices with another method"
  if (!isRival(method))
    return "found no assignment within the budgets in the time given, nor a proof that there is none; allow more time"
  return "found no plan within the budgets, which proves nothing; use an exact method (ilp)"
}

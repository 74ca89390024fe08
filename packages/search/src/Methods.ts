/**
 * The methods behind one signature: a checked problem to what the method knows when it stops.
 *
 * The exact search is driven in slices, so that a fiber running it can be interrupted and other work goes
 * on. The baselines prove nothing themselves: their bound is the search's root bound.
 */
import { Effect } from "effect"
import { evaluate } from "./Assignment.ts"
import { compile, expand } from "./Dense.ts"
import { exact, type Request } from "./Exact.ts"
import { greedy } from "./Greedy.ts"
import { solveHighs } from "./Highs.ts"
import type { Problem } from "./Problem.ts"
import { scale } from "./Scaled.ts"
import type { Method, Outcome, SolverFailure } from "./Solution.ts"
import { best } from "./Uniform.ts"

export interface Limits extends Pick<Request, "gap" | "accept" | "start" | "evaluations"> {
  readonly seconds: number
}

/** Milliseconds of search between two looks at the fiber. */
const sliceMs = 50

const branchAndBound = Effect.fnUntraced(function* (problem: Problem, { gap, seconds, ...rest }: Limits) {
  const deadline = performance.now() + seconds * 1e3
  const run = exact({ problem, gap, expired: () => performance.now() >= deadline, ...rest })
  let state = run.next(true)
  while (state.done !== true) {
    const until = Math.min(deadline, performance.now() + sliceMs)
    do state = run.next(performance.now() < deadline)
    while (state.done !== true && performance.now() < until)
    yield* Effect.yieldNow
  }
  return state.value
})

/** The bound of the search's root. */
const rootBound = (problem: Problem): Outcome => {
  const run = exact({ problem, gap: 0, expired: () => false })
  let state = run.next(true)
  while (state.done !== true) state = run.next(false)
  return state.value
}

const baseline = (problem: Problem, method: "greedy" | "uniform"): Outcome => {
  const root = rootBound(problem)
  const dense = compile(problem)
  const picks = method === "greedy" ? greedy(scale(dense)) : null
  const proposed = picks === null ? null : expand(dense, picks)
  const kept = proposed !== null && evaluate(problem, proposed).feasible ? proposed : null
  return { ...root, assignment: method === "uniform" ? (best(problem)?.choice ?? null) : kept }
}

export const run: {
  readonly [M in Method]: (problem: Problem, limits: Limits) => Effect.Effect<Outcome, SolverFailure>
} = {
  ilp: branchAndBound,
  highs: (problem, limits) => Effect.suspend(() => solveHighs(problem, limits)),
  greedy: (problem) => Effect.sync(() => baseline(problem, "greedy")),
  uniform: (problem) => Effect.sync(() => baseline(problem, "uniform"))
}

/** Why a method ended with neither an assignment nor a proof. */
export const unanswered: { readonly [M in Method]: string } = {
  ilp: "found no assignment within the budgets in the time given, nor a proof that there is none; allow more time",
  highs:
    "found no assignment within the budgets in the time given, nor a proof that there is none; allow more time",
  greedy: "no single change brings it nearer to the budgets, which proves nothing; use an exact method",
  uniform: "no choice taken everywhere keeps the budgets; mix choices with another method"
}

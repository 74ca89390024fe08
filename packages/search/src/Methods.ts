/**
 * The methods behind one signature: a checked problem to what the method knows when it stops.
 *
 * The exact search is driven in slices, so that a fiber running it can be interrupted and other work goes
 * on. The baselines prove nothing themselves: their bound is the search's root bound.
 */
import { Effect } from "effect"
import { evaluate } from "./Assignment.ts"
import { resolution, search } from "./BranchAndBound.ts"
import { compile, expand } from "./Dense.ts"
import { greedy } from "./Greedy.ts"
import { solveHighs } from "./Highs.ts"
import type { Problem } from "./Problem.ts"
import { scale } from "./Scaled.ts"
import type { Method, Outcome, SolverFailure } from "./Solution.ts"
import { best } from "./Uniform.ts"

export interface Limits {
  /** Relative gap at which an exact method stops. */
  readonly gap: number
  readonly seconds: number
}

/** Milliseconds of search between two looks at the fiber. */
const sliceMs = 50

/** The problem in solver units, its search, and the way back to the problem's units. */
const prepare = (problem: Problem, gap: number) => {
  const dense = compile(problem)
  const scaled = scale(dense)
  return {
    dense,
    scaled,
    run: search({ scaled, gap, accept: (picks) => evaluate(problem, expand(dense, picks)).feasible }),
    inUnits: (bound: number): number => scaled.objectiveBase + scaled.objectiveUnit * bound,
    resolution: scaled.objectiveUnit * resolution * 2 + scaled.objectiveBand
  }
}

const branchAndBound = Effect.fnUntraced(function* (problem: Problem, { gap, seconds }: Limits) {
  const deadline = performance.now() + seconds * 1e3
  const { dense, run, inUnits, resolution } = prepare(problem, gap)
  let state = run.next(true)
  while (state.done !== true) {
    const until = Math.min(deadline, performance.now() + sliceMs)
    do state = run.next(performance.now() < deadline)
    while (state.done !== true && performance.now() < until)
    yield* Effect.yieldNow
  }
  const { picks, bound, nodes } = state.value
  const assignment = picks === null ? null : expand(dense, picks)
  return { assignment, bound: inUnits(bound), resolution, nodes }
})

const stopped = <A>(state: IteratorResult<void, A>): A => {
  if (state.done !== true) throw new Error("the search went on after it was told to stop")
  return state.value
}

const baseline = (problem: Problem, method: "greedy" | "uniform"): Outcome => {
  const { dense, scaled, run, inUnits, resolution } = prepare(problem, 0)
  const first = run.next(true)
  const { bound, nodes } = first.done === true ? first.value : stopped(run.next(false))
  const picks = method === "greedy" ? greedy(scaled) : null
  const proposed = picks === null ? null : expand(dense, picks)
  const kept = proposed !== null && evaluate(problem, proposed).feasible ? proposed : null
  const assignment = method === "uniform" ? (best(problem)?.choice ?? null) : kept
  return { assignment, bound: inUnits(bound), resolution, nodes }
}

export const run: {
  readonly [M in Method]: (problem: Problem, limits: Limits) => Effect.Effect<Outcome, SolverFailure>
} = {
  ilp: branchAndBound,
  highs: (problem, limits) => Effect.suspend(() => solveHighs(problem, compile(problem), limits)),
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

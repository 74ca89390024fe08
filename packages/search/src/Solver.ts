/**
 * `solve`: a problem and a method to a solution, the one door to every solver.
 *
 * Solvers see the dense form and propose; what they propose is evaluated on the problem's own numbers here
 * (`Solution.solution`), so a solver's tolerances never reach the user.
 */
import { Effect } from "effect"
import { evaluate } from "./Assignment.ts"
import { resolution, search } from "./BranchAndBound.ts"
import { compile, expand } from "./Dense.ts"
import { solveHighs } from "./Highs.ts"
import { scale } from "./Scaled.ts"
import { decode, type InvalidProblem, type Problem } from "./Problem.ts"
import { infeasible, solution, SolverFailure, type Method, type Outcome, type Solution } from "./Solution.ts"

export interface Options {
  readonly method?: Method
  /** Default: no limit. An exact method then gives the best found and how far it can be from the best. */
  readonly timeLimitSeconds?: number
  /** Relative gap at which to stop; default 0: prove it. */
  readonly gap?: number
}

/** Milliseconds of search between two looks at the fiber: interruption, other work. */
const sliceMs = 50

const branchAndBound = Effect.fnUntraced(function* (
  problem: Problem,
  gap: number,
  deadline: number
): Effect.fn.Return<Outcome> {
  const dense = compile(problem)
  const scaled = scale(dense)
  const accept = (picks: Int32Array): boolean => evaluate(problem, expand(dense, picks)).feasible
  const run = search({ scaled, gap, accept })
  let state = run.next(true)
  while (state.done !== true) {
    const until = Math.min(deadline, performance.now() + sliceMs)
    do state = run.next(performance.now() < deadline)
    while (state.done !== true && performance.now() < until)
    yield* Effect.yieldNow
  }
  const { picks, bound, nodes } = state.value
  return {
    assignment: picks === null ? null : expand(dense, picks),
    bound: scaled.objectiveBase + scaled.objectiveUnit * bound,
    resolution: scaled.objectiveUnit * resolution * 2 + scaled.objectiveBand,
    nodes
  }
})

const outcomeOf = (
  problem: Problem,
  method: Method,
  gap: number,
  seconds: number
): Effect.Effect<Outcome, SolverFailure> =>
  method === "highs"
    ? solveHighs(problem, compile(problem), { gap, seconds })
    : branchAndBound(problem, gap, performance.now() + seconds * 1e3)

/** Fails with `InvalidProblem` on faulty input, with `SolverFailure` where a method ends without any answer. */
export const solve = Effect.fn("search.solve")(function* (
  input: Problem,
  { method = "ilp", timeLimitSeconds = Infinity, gap = 0 }: Options = {}
): Effect.fn.Return<Solution, SolverFailure | InvalidProblem> {
  const problem = yield* Effect.fromResult(decode(input))
  const start = performance.now()
  const outcome = yield* outcomeOf(problem, method, gap, timeLimitSeconds)
  const seconds = (performance.now() - start) / 1e3
  const { assignment, bound, nodes } = outcome
  if (assignment !== null) return solution(problem, method, { ...outcome, assignment }, gap, seconds)
  if (bound === Infinity) return infeasible(problem, method, nodes, seconds)
  return yield* new SolverFailure({
    method,
    why: `found no assignment within the budgets in ${seconds.toFixed(1)} s, nor a proof that there is none; allow more time`
  })
})

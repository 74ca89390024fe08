/**
 * `solve`: a problem and a method to a solution, the one door to every solver.
 *
 * Solvers see the dense form and propose; what they propose is evaluated on the problem's own numbers here
 * (`Solution.solution`), so a solver's tolerances never reach the user.
 */
import { Effect } from "effect"
import { compile } from "./Dense.ts"
import { solveHighs } from "./Highs.ts"
import { decode, type InvalidProblem, type Problem } from "./Problem.ts"
import { infeasible, solution, SolverFailure, type Method, type Outcome, type Solution } from "./Solution.ts"

export interface Options {
  readonly method?: Method
  /** Default: no limit. An exact method then gives the best found and how far it can be from the best. */
  readonly timeLimitSeconds?: number
  /** Relative gap at which to stop; default 0: prove it. */
  readonly gap?: number
}

const outcomeOf = (problem: Problem, gap: number, seconds: number): Effect.Effect<Outcome, SolverFailure> =>
  Effect.suspend(() => {
    return solveHighs(problem, compile(problem), { gap, seconds })
  })

/** Fails with `InvalidProblem` on faulty input, with `SolverFailure` where a method ends without any answer. */
export const solve = Effect.fn("search.solve")(function* (
  input: Problem,
  { method = "ilp", timeLimitSeconds = Infinity, gap = 0 }: Options = {}
): Effect.fn.Return<Solution, SolverFailure | InvalidProblem> {
  const problem = yield* Effect.fromResult(decode(input))
  const start = performance.now()
  const outcome = yield* outcomeOf(problem, gap, timeLimitSeconds)
  const seconds = (performance.now() - start) / 1e3
  const { assignment, bound, nodes } = outcome
  if (assignment !== null) return solution(problem, method, { ...outcome, assignment }, gap, seconds)
  if (bound === Infinity) return infeasible(problem, method, nodes, seconds)
  return yield* new SolverFailure({
    method,
    why: `found no assignment within the budgets in ${seconds.toFixed(1)} s, nor a proof that there is none; allow more time`
  })
})

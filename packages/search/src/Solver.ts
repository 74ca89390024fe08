/**
 * `solve`: a problem and a method to a solution, the one door to every solver.
 *
 * Solvers see the dense form and propose; what they propose is evaluated on the problem's own numbers
 * (`Solution.solution`), so a solver's tolerances never reach the user.
 */
import { Effect } from "effect"
import type { Assignment } from "./Assignment.ts"
import { run, unanswered } from "./Methods.ts"
import { decode, type InvalidProblem, type Problem } from "./Problem.ts"
import { infeasible, solution, SolverFailure, type Method, type Solution } from "./Solution.ts"

export interface Options {
  readonly method?: Method
  /** Default: no limit. An exact method then gives the best found and how far it can be from the best. */
  readonly timeLimitSeconds?: number
  /** Relative gap at which to stop; default 0: prove it. */
  readonly gap?: number
  /**
   * An assignment is an answer only if this takes it: the caller simulates the whole plan, of which losses
   * and costs must be lower bounds. "optimal" is then proved about what is accepted. Exact methods only.
   */
  readonly accept?: (choice: Assignment) => boolean
  /** Assignments known to be accepted, to start from; those that break ties or budgets are passed over. */
  readonly start?: ReadonlyArray<Assignment>
  /** How often `accept` may be asked; default: as often as the proof needs. */
  readonly evaluations?: number
}

/** `solve` of a problem that has been decoded already. */
export const solveDecoded = Effect.fnUntraced(function* (
  problem: Problem,
  { method = "ilp", timeLimitSeconds = Infinity, gap = 0, accept, start, evaluations }: Options = {}
): Effect.fn.Return<Solution, SolverFailure> {
  const began = performance.now()
  const outcome = yield* run[method](problem, { gap, seconds: timeLimitSeconds, accept, start, evaluations })
  const seconds = (performance.now() - began) / 1e3
  const { assignment, bound } = outcome
  if (assignment !== null) return solution(problem, method, { ...outcome, assignment }, gap, seconds)
  if (bound === Infinity) return infeasible(problem, method, outcome, seconds)
  return yield* new SolverFailure({ method, why: unanswered[method] })
})

/** Fails with `InvalidProblem` on faulty input, with `SolverFailure` where a method ends without any answer. */
export const solve = Effect.fn("search.solve")(function* (
  problem: Problem,
  options: Options = {}
): Effect.fn.Return<Solution, SolverFailure | InvalidProblem> {
  return yield* solveDecoded(yield* Effect.fromResult(decode(problem)), options)
})

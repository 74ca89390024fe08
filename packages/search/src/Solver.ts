/**
 * `solve`: a problem and a method to a solution, the one door to every solver.
 *
 * Solvers see the dense form and propose; what they propose is evaluated on the problem's own numbers
 * (`Solution.solution`), so a solver's tolerances never reach the user.
 */
import { Effect } from "effect"
import { evaluate, type Assignment } from "./Assignment.ts"
import { linearised } from "./Chance.ts"
import { run, unanswered } from "./Methods.ts"
import { nameOf, orderOf } from "./Objective.ts"
import type { Oracle } from "./Rivals.ts"
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
  /** How many plans may be judged; default: exact methods as many as the proof needs, rivals 2000. */
  readonly evaluations?: number
  /** Of every random choice of a rival; default 0. */
  readonly seed?: number
  /** Measures whole plans for a rival, instead of the tables. */
  readonly oracle?: Oracle
  /** A sensitivity of each group, for `trace-rank`. */
  readonly ranking?: { readonly [group: string]: number }
}

const solveOne = Effect.fnUntraced(function* (
  problem: Problem,
  { method = "ilp", timeLimitSeconds = Infinity, gap = 0, ...limits }: Options = {}
): Effect.fn.Return<Solution, SolverFailure> {
  const began = performance.now()
  const outcome = yield* run[method](problem, { gap, seconds: timeLimitSeconds, ...limits })
  const seconds = (performance.now() - began) / 1e3
  const { assignment, bound } = outcome
  if (assignment !== null) return solution(problem, method, { ...outcome, assignment }, gap, seconds)
  if (bound === Infinity) return infeasible(problem, method, outcome, seconds)
  return yield* new SolverFailure({ method, why: unanswered(method) })
})

/**
 * The optimum of the first quantity; among its optima that of the next, and so on. Objective and bound are
 * the first's. A first answer that is not proved optimal is the answer.
 */
const inOrder = Effect.fnUntraced(function* (
  problem: Problem,
  order: ReadonlyArray<string>,
  options: Options
): Effect.fn.Return<Solution, SolverFailure> {
  const [lead, ...others] = order
  const first = yield* solveOne({ ...problem, minimise: lead! }, options)
  if (first.status !== "optimal" || first.gap !== 0) return first
  const limits = new Map([...Object.entries(problem.budgets ?? {}), [lead!, first.objective!] as const])
  let last = first
  let { nodes, seconds, evaluations } = first
  for (const name of others) {
    const budgets = Object.fromEntries(limits)
    const next = yield* solveOne(
      { ...problem, budgets, minimise: name },
      { ...options, start: [last.choice] }
    )
    if (next.objective === null) break
    nodes += next.nodes
    seconds += next.seconds
    evaluations += next.evaluations
    last = next
    limits.set(name, next.objective)
  }
  // Against the objectives as limits, so that rounding does not set the answers apart.
  const { loss, costs } = evaluate({ ...problem, budgets: Object.fromEntries(limits) }, last.choice)
  const { slack } = evaluate(problem, last.choice)
  return {
    ...first,
    minimise: nameOf(problem),
    nodes,
    seconds,
    evaluations,
    choice: last.choice,
    loss,
    costs,
    slack
  }
})

/** A problem with chances: exact, since the rows only bound and the second-order form decides. */
const withChances = Effect.fnUntraced(function* (
  problem: Problem,
  options: Options
): Effect.fn.Return<Solution, SolverFailure> {
  const { problem: lines, accept } = linearised(problem)
  const caller = options.accept
  const solution = yield* solveDecoded(lines, {
    ...options,
    accept: (choice) => accept(choice) && (caller === undefined || caller(choice))
  })
  if (solution.objective === null) return solution
  const { loss, costs, slack } = evaluate(problem, solution.choice)
  return { ...solution, loss, costs, slack }
})

/** `solve` of a problem that has been decoded already. */
export const solveDecoded = (
  problem: Problem,
  options: Options = {}
): Effect.Effect<Solution, SolverFailure> => {
  if (Object.keys(problem.chances ?? {}).length > 0) return withChances(problem, options)
  const order = orderOf(problem)
  return order.length > 1 ? inOrder(problem, order, options) : solveOne(problem, options)
}

/** Fails with `InvalidProblem` on faulty input, with `SolverFailure` where a method ends without any answer. */
export const solve = Effect.fn("search.solve")(function* (
  problem: Problem,
  options: Options = {}
): Effect.fn.Return<Solution, SolverFailure | InvalidProblem> {
  return yield* solveDecoded(yield* Effect.fromResult(decode(problem)), options)
})

/** `solve`: a search on the user's own tables, with the front or the explanation that goes with its answer. */
import { Infeasibility, Pareto, Problem, Solver, type Solution } from "@bitbudget/search"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { readText } from "../files.ts"

/** Without a number of points, how many a front has. */
export const FRONT_POINTS = 10

interface Solved extends Solution.Solution {
  readonly front?: ReadonlyArray<Pareto.Point>
  /** Why the budgets cannot be met, and the nearest that can. */
  readonly explanation?: Infeasibility.Explanation
}

export const solveProblem = Effect.fn("solve")(function* (request: {
  readonly problem: string
  readonly method: Solution.Method
  readonly timeLimitSeconds: number | undefined
  readonly gap: number
  /** Quantity whose trade-off against the objective is wanted. */
  readonly over: string | undefined
  readonly points: number | undefined
}): Effect.fn.Return<Solved, RequestFailure> {
  const problem = yield* Problem.fromJson(yield* readText(request.problem)).pipe(
    Effect.mapError((error) => new UnusableRequest({ why: `${request.problem}: ${error.message}` }))
  )
  const options: Solver.Options = {
    method: request.method,
    gap: request.gap,
    ...(request.timeLimitSeconds === undefined ? {} : { timeLimitSeconds: request.timeLimitSeconds })
  }
  if (request.points !== undefined && request.over === undefined) {
    return yield* new UnusableRequest({
      why: `--pareto needs the quantity to trade: add --over, one of ${Problem.quantitiesOf(problem).join(", ")}`
    })
  }
  const solution = yield* Solver.solve(problem, options)
  const front =
    request.over === undefined
      ? {}
      : { front: yield* Pareto.pareto(problem, request.over, request.points ?? FRONT_POINTS, options) }
  const explanation =
    solution.status === "infeasible"
      ? { explanation: yield* Infeasibility.explainInfeasible(problem, options) }
      : {}
  return { ...solution, ...front, ...explanation }
})

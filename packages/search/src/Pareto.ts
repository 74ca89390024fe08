/**
 * The front of the objective against one other quantity: the least objective at each of n limits, evenly
 * spaced from the least value reachable (under the other budgets) to the value of the unlimited optimum.
 *
 * Every point is solved twice: for the objective under the limit, then for the least value at that
 * objective (the lexicographic ε-constraint method, Mavrotas 2009), so that no point is dominated by any
 * assignment. Limits are taken from loose to tight; a solution that keeps the next limit already is also
 * its optimum, and is not solved again.
 */
import { Effect } from "effect"
import { evaluate } from "./Assignment.ts"
import { nameOf } from "./Objective.ts"
import { decode, InvalidProblem, quantitiesOf, type Problem } from "./Problem.ts"
import type { Solution, SolverFailure } from "./Solution.ts"
import { solveDecoded, type Options } from "./Solver.ts"

export interface Point {
  /** The limit on `over` this point was asked for; the solution may stay below it. */
  readonly limit: number
  readonly value: number
  readonly solution: Solution
}

const valueOf = ({ loss, costs }: Solution, name: string): number => (name === "loss" ? loss! : costs[name]!)

/** The optimum within the budgets that has the least `over` among the optima. */
const lexicographic = Effect.fnUntraced(function* (problem: Problem, over: string, options: Options) {
  const first = yield* solveDecoded(problem, options)
  if (first.status !== "optimal" || first.gap !== 0) return first
  const minimise = nameOf(problem)
  const budgets = { ...problem.budgets, [minimise]: first.objective! }
  const second = yield* solveDecoded({ ...problem, budgets, minimise: over }, options)
  if (second.status === "infeasible") return first
  // Against the first objective as a limit, so that rounding does not set the two apart.
  const { loss, costs } = evaluate({ ...problem, budgets }, second.choice)
  const { slack } = evaluate(problem, second.choice)
  const both = { nodes: first.nodes + second.nodes, seconds: first.seconds + second.seconds }
  return { ...first, ...both, choice: second.choice, loss, costs, slack }
})

const check = (problem: Problem, over: string, n: number): InvalidProblem | null => {
  const faults: Array<{ path: string; message: string }> = []
  if (!quantitiesOf(problem).includes(over))
    faults.push({ path: "over", message: `no choice has a cost "${over}"` })
  if (over === nameOf(problem))
    faults.push({ path: "over", message: `"${over}" is what is minimised; give another quantity` })
  if (!Number.isInteger(n) || n < 1)
    faults.push({ path: "n", message: `${n} points; give a whole number from 1` })
  return faults.length === 0 ? null : new InvalidProblem({ faults })
}

/** Points in order of rising `over`, at most n; none if the other budgets cannot be met. */
export const pareto = Effect.fn("search.pareto")(function* (
  input: Problem,
  over: string,
  n: number,
  options: Options = {}
): Effect.fn.Return<ReadonlyArray<Point>, SolverFailure | InvalidProblem> {
  const problem = yield* Effect.fromResult(decode(input))
  const fault = check(problem, over, n)
  if (fault !== null) return yield* fault
  const cheapest = yield* solveDecoded({ ...problem, minimise: over }, options)
  if (cheapest.status === "infeasible") return []
  let current = yield* lexicographic(problem, over, options)
  const low = cheapest.objective!
  const high = valueOf(current, over)
  const points: Array<Point> = [{ limit: high, value: high, solution: current }]
  for (let i = n - 2; i >= 0; i--) {
    const limit = low + ((high - low) * i) / (n - 1)
    if (valueOf(current, over) <= limit) continue
    current = yield* lexicographic(
      { ...problem, budgets: { ...problem.budgets, [over]: limit } },
      over,
      options
    )
    if (current.status === "infeasible") break
    points.push({ limit, value: valueOf(current, over), solution: current })
  }
  // Proved points fall strictly; one that a time limit left unproved may be dominated by a tighter one.
  let least = Infinity
  return points.toReversed().filter(({ solution: { objective } }) => {
    const better = objective! < least
    least = Math.min(least, objective!)
    return better
  })
})

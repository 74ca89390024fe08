/**
 * The front of the objective against one or two other quantities: the least objective at each of n limits
 * (of two quantities: at a grid of about n pairs), evenly spaced from the least value reachable to the value
 * of the unlimited optimum, other budgets kept.
 *
 * Every point is solved for the objective under the limits, then for the least `over` at that objective
 * (the lexicographic ε-constraint method, Mavrotas 2009), so that no point is dominated by any assignment.
 * Limits are taken from loose to tight; a solution that keeps the next limit already is also its optimum,
 * and is not solved again. Points are told as they are found (`onPoint`).
 */
import { Effect } from "effect"
import { type Assignment, valueOf } from "./Assignment.ts"
import { asQuantity, nameOf, orderOf } from "./Objective.ts"
import { decode, InvalidProblem, quantitiesOf, type Problem } from "./Problem.ts"
import type { Solution, SolverFailure } from "./Solution.ts"
import { solveDecoded, type Options as SolverOptions } from "./Solver.ts"

export interface Point {
  /** The limit on `over` this point was asked for; the solution may stay below it. */
  readonly limit: number
  readonly value: number
  readonly solution: Solution
}

/** A point of a front over two quantities. */
export interface Point2 {
  readonly limits: readonly [number, number]
  readonly values: readonly [number, number]
  readonly solution: Solution
}

export interface Options extends SolverOptions {
  /**
   * What a whole plan has of the traded quantity, at least the sum of its columns: points are then kept within their limits
   * by it, and have it as their value. The sum itself when absent.
   */
  readonly whole?: (choice: Assignment) => number
  /** Told of every point when it is proved. */
  readonly onPoint?: (point: Point) => void
}

const of = (solution: Solution, name: string): number =>
  valueOf({ loss: solution.loss!, costs: solution.costs }, name)

const check = (problem: Problem, over: ReadonlyArray<string>, n: number): InvalidProblem | null => {
  const faults: Array<{ path: string; message: string }> = []
  for (const name of over) {
    if (!quantitiesOf(problem).includes(name))
      faults.push({ path: "over", message: `no choice has a cost "${name}"` })
    if (name === nameOf(problem))
      faults.push({ path: "over", message: `"${name}" is what is minimised; give another quantity` })
  }
  if (new Set(over).size !== over.length)
    faults.push({ path: "over", message: "the two quantities are the same; give two" })
  if (orderOf(problem).length > 1)
    faults.push({ path: "minimise", message: "a front has one objective; give one quantity or weights" })
  if (!Number.isInteger(n) || n < 1)
    faults.push({ path: "n", message: `${n} points; give a whole number from 1` })
  return faults.length === 0 ? null : new InvalidProblem({ faults })
}

const prepare = Effect.fnUntraced(function* (input: Problem, over: ReadonlyArray<string>, n: number) {
  const decoded = yield* Effect.fromResult(decode(input))
  const fault = check(decoded, over, n)
  if (fault !== null) return yield* fault
  return asQuantity(decoded)
})

/** Points in order of rising `over`, at most n; none if the other budgets cannot be met. */
export const pareto = Effect.fn("search.pareto")(function* (
  input: Problem,
  over: string,
  n: number,
  { onPoint = () => {}, whole, ...options }: Options = {}
): Effect.fn.Return<ReadonlyArray<Point>, SolverFailure | InvalidProblem> {
  const { problem, name } = yield* prepare(input, [over], n)
  const order = [name, over]
  const reached = (solution: Solution): number =>
    whole === undefined ? of(solution, over) : whole(solution.choice)
  /** The columns' sum is limited by the program, the whole plan's value by the judge. */
  const within = (limit: number): SolverOptions =>
    whole === undefined
      ? options
      : {
          ...options,
          accept: (choice) =>
            whole(choice) <= limit && (options.accept === undefined || options.accept(choice))
        }
  const cheapest = yield* solveDecoded({ ...problem, minimise: over }, options)
  if (cheapest.status === "infeasible") return []
  let current = yield* solveDecoded({ ...problem, minimise: order }, options)
  const low = reached(cheapest)
  const high = reached(current)
  const points: Array<Point> = [{ limit: high, value: high, solution: current }]
  onPoint(points[0]!)
  for (let i = n - 2; i >= 0; i--) {
    const limit = low + ((high - low) * i) / (n - 1)
    if (reached(current) <= limit) continue
    const budgets = { ...problem.budgets, [over]: limit }
    const judged = within(limit)
    current = yield* solveDecoded(
      { ...problem, budgets, minimise: order },
      judged === options ? options : { ...judged, start: [...(options.start ?? []), cheapest.choice] }
    )
    if (current.status === "infeasible") break
    const point = { limit, value: reached(current), solution: current }
    points.push(point)
    onPoint(point)
  }
  // Proved points fall strictly; one that a time limit left unproved may be dominated by a tighter one.
  let least = Infinity
  return points.toReversed().filter(({ solution: { objective } }) => {
    const better = objective! < least
    least = Math.min(least, objective!)
    return better
  })
})

/** The front over two quantities: about n points, none dominated, in order of the first, then the second. */
export const paretoOverTwo = Effect.fn("search.paretoOverTwo")(function* (
  input: Problem,
  over: readonly [string, string],
  n: number,
  options: SolverOptions = {}
): Effect.fn.Return<ReadonlyArray<Point2>, SolverFailure | InvalidProblem> {
  const { problem, name } = yield* prepare(input, over, n)
  const order = [name, ...over]
  const free = yield* solveDecoded({ ...problem, minimise: order }, options)
  if (free.status === "infeasible") return []
  const side = Math.max(1, Math.ceil(Math.sqrt(n)))
  const ends = yield* Effect.forEach(over, (quantity) =>
    Effect.map(solveDecoded({ ...problem, minimise: quantity }, options), (least) => [
      least.objective!,
      of(free, quantity)
    ])
  )
  const limitOf = (axis: 0 | 1, i: number): number => {
    const [low, high] = ends[axis]! as [number, number]
    return side === 1 ? high : low + ((high - low) * i) / (side - 1)
  }
  const points: Array<Point2> = []
  for (let i = side - 1; i >= 0; i--) {
    for (let j = side - 1; j >= 0; j--) {
      const limits = [limitOf(0, i), limitOf(1, j)] as const
      const own = problem.budgets ?? {}
      const within = (axis: 0 | 1): number => Math.min(limits[axis], own[over[axis]] ?? Infinity)
      const budgets = { ...own, [over[0]]: within(0), [over[1]]: within(1) }
      const solution = yield* solveDecoded({ ...problem, budgets, minimise: order }, options)
      if (solution.status === "infeasible") break
      points.push({ limits, values: [of(solution, over[0]), of(solution, over[1])], solution })
    }
  }
  const coordinates = ({ values, solution }: Point2) => [...values, solution.objective!]
  const dominates = (p: Point2, q: Point2): boolean => {
    const [a, b] = [coordinates(p), coordinates(q)]
    return a.every((x, k) => x <= b[k]!) && a.some((x, k) => x < b[k]!)
  }
  const distinct = new Map(points.map((point) => [coordinates(point).join(), point]))
  return [...distinct.values()]
    .filter((point, _, all) => !all.some((other) => dominates(other, point)))
    .sort((p, q) => p.values[0] - q.values[0] || p.values[1] - q.values[1])
})

/**
 * The knee of a front: the point farthest below the straight line between its ends, both axes running from
 * 0 to 1 (Das 1999). null where no point lies below the line.
 */
export const kneeOf = (points: ReadonlyArray<Point>): Point | null => {
  const [first, last] = [points[0], points.at(-1)]
  if (first === undefined || last === undefined || points.length < 3) return null
  const width = last.value - first.value
  const height = first.solution.objective! - last.solution.objective!
  let knee: Point | null = null
  let farthest = 1e-12
  for (const point of points) {
    const below =
      1 -
      (point.value - first.value) / width -
      (point.solution.objective! - last.solution.objective!) / height
    if (below <= farthest) continue
    farthest = below
    knee = point
  }
  return knee
}

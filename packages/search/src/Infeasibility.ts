/**
 * Why budgets cannot be met, in numbers and in a sentence.
 *
 * Three answers: what each budget could reach if it were the only one; the smallest set of budgets that
 * already contradict each other (a deletion filter: Chinneck & Dravnieks 1991); and the smallest factor by
 * which all limits together must grow, with the assignment that then keeps them. The factor is found by
 * halving an interval whose upper end is always attained by an assignment.
 */
import { Effect, Result } from "effect"
import { evaluate, type Assignment } from "./Assignment.ts"
import { decode, type InvalidProblem, type Problem } from "./Problem.ts"
import type { Solution, SolverFailure } from "./Solution.ts"
import { solveDecoded } from "./Solver.ts"

export interface Reach {
  readonly budget: string
  readonly limit: number
  /** The least value any assignment has, whatever it does to the other budgets. */
  readonly least: number
  readonly choice: Assignment
  readonly reachable: boolean
}

export interface Relaxation {
  /** Every limit times this can be kept; 1 or less if the budgets can be met as they are. */
  readonly factor: number
  /** No smaller factor than this will do: equal to `factor` up to 1e-9 unless time ran out. */
  readonly atLeast: number
  /** The nearest plan: it keeps the grown limits. */
  readonly choice: Assignment
  readonly loss: number
  readonly costs: { readonly [name: string]: number }
  /** Budgets that this plan uses up entirely. */
  readonly binding: ReadonlyArray<string>
}

export interface Explanation {
  readonly feasible: boolean
  readonly budgets: ReadonlyArray<Reach>
  /** Budgets that cannot be met together, while all but any one of them can; empty if feasible. */
  readonly conflict: ReadonlyArray<string>
  /** null: a limit of 0 or less is out of reach, and no factor helps. */
  readonly relaxation: Relaxation | null
  readonly sentence: string
}

type Budgets = { readonly [name: string]: number }

const precision = 1e-9

export interface Options {
  /** For each of the programs solved; default: no limit. */
  readonly timeLimitSeconds?: number
}

/** Finds any assignment within the budgets, steered towards a low value of one of them. */
type Feasible = (budgets: Budgets, minimise: string) => Effect.Effect<Solution, SolverFailure>

const reachOf = Effect.fnUntraced(function* (problem: Problem, budget: string, limit: number) {
  const { objective, choice } = yield* solveDecoded({ ...problem, budgets: {}, minimise: budget })
  const { feasible } = evaluate({ ...problem, budgets: { [budget]: limit } }, choice)
  const reach: Reach = { budget, limit, least: objective!, choice, reachable: feasible }
  return reach
})

/** Drops every budget the contradiction does not need. */
const conflictOf = Effect.fnUntraced(function* (feasible: Feasible, budgets: Budgets) {
  let names = Object.keys(budgets)
  for (const name of Object.keys(budgets)) {
    const without = names.filter((other) => other !== name)
    const rest = Object.fromEntries(without.map((other) => [other, budgets[other]!]))
    const { status } = yield* feasible(rest, name)
    if (status === "infeasible") names = without
  }
  return names
})

const valueOf = ({ loss, costs }: { loss: number | null; costs: Budgets }, name: string): number =>
  name === "loss" ? loss! : costs[name]!

const relaxationOf = Effect.fnUntraced(function* (
  feasible: Feasible,
  budgets: Budgets,
  reaches: ReadonlyArray<Reach>
) {
  const growing = reaches.filter(({ limit }) => limit > 0)
  const [lead] = growing
  if (lead === undefined) return null
  const grown = (factor: number): Budgets => ({
    ...budgets,
    ...Object.fromEntries(growing.map(({ budget, limit }) => [budget, limit * factor]))
  })
  const ratioOf = (solution: Solution): number =>
    Math.max(...growing.map(({ budget, limit }) => valueOf(solution, budget) / limit))

  const rigid = Object.fromEntries(reaches.filter(({ limit }) => limit <= 0).map((r) => [r.budget, r.limit]))
  let nearest = yield* feasible(rigid, lead.budget)
  if (nearest.status === "infeasible") return null
  let high = ratioOf(nearest)
  // No factor can be below what the worst budget needs on its own, and often that one is enough.
  let low = Math.max(...growing.map(({ least, limit }) => least / limit))
  for (let factor = low; high - low > precision * Math.abs(high); factor = (low + high) / 2) {
    const attempt = yield* Effect.result(feasible(grown(factor), lead.budget))
    if (Result.isFailure(attempt)) break
    if (attempt.success.status === "infeasible") low = factor
    else {
      nearest = attempt.success
      high = Math.max(low, ratioOf(nearest))
    }
  }
  const relaxation: Relaxation = {
    factor: high,
    atLeast: low,
    choice: nearest.choice,
    loss: nearest.loss!,
    costs: nearest.costs,
    binding: growing
      .filter(({ budget, limit }) => valueOf(nearest, budget) >= high * limit * (1 - precision))
      .map(({ budget }) => budget)
  }
  return relaxation
})

const show = (value: number): string => String(Number(value.toPrecision(6)))

const listed = (names: ReadonlyArray<string>): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`

const sentenceOf = (
  reaches: ReadonlyArray<Reach>,
  conflict: ReadonlyArray<string>,
  relaxation: Relaxation | null
): string => {
  if (conflict.length === 0) return "The budgets can be met."
  const parts: Array<string> = []
  const unreachable = reaches.filter(({ reachable }) => !reachable)
  for (const { budget, limit, least } of unreachable)
    parts.push(`${budget} <= ${show(limit)} cannot be met: the least reachable is ${show(least)}.`)
  if (unreachable.length === 0) {
    const needs = conflict.map(
      (name) => `${name} <= ${show(reaches.find(({ budget }) => budget === name)!.limit)}`
    )
    parts.push(`${listed(needs)} cannot be met together, though each can on its own.`)
  }
  if (relaxation === null) parts.push("A limit of 0 or less is out of reach, so no common factor helps.")
  else {
    const percent = show((relaxation.factor - 1) * 100)
    parts.push(
      `Raising every limit by ${percent} % is enough; ${listed(relaxation.binding)} then ${relaxation.binding.length === 1 ? "is" : "are"} used up.`
    )
  }
  return parts.join(" ")
}

/** Explains any problem; one whose budgets can be met says so. */
export const explainInfeasible = Effect.fn("search.explainInfeasible")(function* (
  input: Problem,
  options: Options = {}
): Effect.fn.Return<Explanation, SolverFailure | InvalidProblem> {
  const problem = yield* Effect.fromResult(decode(input))
  const budgets = problem.budgets ?? {}
  const feasible: Feasible = (limits, minimise) =>
    solveDecoded({ ...problem, budgets: limits, minimise }, { ...options, gap: 1e6 })
  const reaches = yield* Effect.forEach(Object.entries(budgets), ([name, limit]) =>
    reachOf(problem, name, limit)
  )
  const { status } = yield* feasible(budgets, reaches[0]?.budget ?? "loss")
  const conflict = status === "infeasible" ? yield* conflictOf(feasible, budgets) : []
  const relaxation = yield* relaxationOf(feasible, budgets, reaches)
  return {
    feasible: status !== "infeasible",
    budgets: reaches,
    conflict,
    relaxation,
    sentence: sentenceOf(reaches, conflict, relaxation)
  }
})

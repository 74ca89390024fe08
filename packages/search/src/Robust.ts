/**
 * The plan under the standard errors of its tables: losses (and costs, if they carry errors) are drawn anew
 * many times, the program is solved for each draw, and it is counted how often each choice survives and what
 * the plan gives away against the draw's own optimum. Draws are independent and normal; a draw's limits stay.
 */
import { Effect } from "effect"
import { evaluator, objectiveOf } from "./Assignment.ts"
import type { Problem } from "./Problem.ts"
import { seeded } from "./random.ts"
import type { Solution, SolverFailure } from "./Solution.ts"
import { solveDecoded, type Options as SolverOptions } from "./Solver.ts"

/** A mean over draws, with its standard error. */
export interface Mean {
  readonly value: number
  readonly stdErr: number
}

export interface Robustness {
  readonly draws: number
  readonly groups: ReadonlyArray<{
    readonly group: string
    readonly choice: string
    /** Share of draws whose optimum keeps the plan's choice. */
    readonly survives: Mean
    /** Share of each choice among the draws' optima, most frequent first. */
    readonly shares: ReadonlyArray<{ readonly choice: string; readonly share: number }>
  }>
  /** What the plan loses against each draw's optimum, in units of the objective. */
  readonly regret: Mean
  /** Share of draws in which the plan keeps every budget. */
  readonly keepsBudgets: Mean
}

const meanOf = (values: ReadonlyArray<number>): Mean => {
  const value = values.reduce((a, b) => a + b, 0) / values.length
  const variance = values.reduce((sum, v) => sum + (v - value) ** 2, 0) / Math.max(1, values.length - 1)
  return { value, stdErr: Math.sqrt(variance / values.length) }
}

/** The problem with every number that has an error drawn anew; costs never fall below 0 by it. */
export const redrawn = (problem: Problem, seed: number): Problem => {
  const random = seeded(seed, "tables")
  const draw = (value: number, error: number | undefined): number =>
    error === undefined ? value : value + error * random.normal()
  const groups = problem.groups.map(({ id, choices }) => ({
    id,
    choices: choices.map((choice) =>
      Object.assign({}, choice, {
        loss: draw(choice.loss, choice.stdErr?.["loss"]),
        costs: Object.fromEntries(
          Object.entries(choice.costs).map(([name, cost]) => {
            const drawn = draw(cost, choice.stdErr?.[name])
            return [name, cost >= 0 ? Math.max(0, drawn) : drawn]
          })
        )
      })
    )
  }))
  return { ...problem, groups }
}

export const robustness = Effect.fn("search.robustness")(function* (
  problem: Problem,
  solution: Pick<Solution, "choice">,
  { draws = 200, seed = 0, ...options }: SolverOptions & { readonly draws?: number } = {}
): Effect.fn.Return<Robustness, SolverFailure> {
  const counts = new Map(problem.groups.map(({ id }) => [id, new Map<string, number>()]))
  const regrets: Array<number> = []
  const keeps: Array<number> = []
  let solved = 0
  for (let draw = 0; draw < draws; draw++) {
    const other = redrawn(problem, seed * 1_000_003 + draw)
    const best = yield* solveDecoded(other, options)
    const evaluation = evaluator(other)(solution.choice)
    keeps.push(evaluation.feasible ? 1 : 0)
    if (best.objective === null) continue
    solved++
    if (evaluation.feasible) regrets.push(objectiveOf(other, evaluation) - best.objective)
    for (const [group, shares] of counts) {
      const choice = best.choice[group]!
      shares.set(choice, (shares.get(choice) ?? 0) + 1)
    }
  }
  const groups = [...counts].map(([group, shares]) => {
    const choice = solution.choice[group]!
    const share = solved === 0 ? 0 : (shares.get(choice) ?? 0) / solved
    return {
      group,
      choice,
      survives: { value: share, stdErr: Math.sqrt((share * (1 - share)) / Math.max(1, solved)) },
      shares: [...shares]
        .map(([id, count]) => ({ choice: id, share: count / solved }))
        .sort((a, b) => b.share - a.share)
    }
  })
  const none: Mean = { value: 0, stdErr: 0 }
  return {
    draws,
    groups,
    regret: regrets.length === 0 ? none : meanOf(regrets),
    keepsBudgets: meanOf(keeps)
  }
})

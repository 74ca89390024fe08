/**
 * One choice per group, and what it comes to. Everything here is computed from the problem's own numbers,
 * never from a solver's scaled copy of them: this is the referee every solver's answer must pass.
 */
import { attributeOf } from "./Attribute.ts"
import { sumAgainst } from "@bitbudget/numerics"
import { quantitiesOf, type Problem } from "./Problem.ts"

/** Choice id by group id. */
export type Assignment = { readonly [group: string]: string }

export interface Evaluation {
  readonly loss: number
  /** Total of every cost of the problem, transitions included. */
  readonly costs: { readonly [name: string]: number }
  /** Limit minus value, for every budget. */
  readonly slack: { readonly [name: string]: number }
  readonly feasible: boolean
}

export const evaluate = (problem: Problem, assignment: Assignment): Evaluation => {
  const chosen = new Map(
    problem.groups.map((group) => {
      const choice = group.choices.find(({ id }) => id === assignment[group.id])
      if (choice === undefined)
        throw new Error(`group ${group.id} is assigned ${assignment[group.id]}, which it does not offer`)
      return [group.id, choice]
    })
  )
  const terms = new Map(quantitiesOf(problem).map((name) => [name, new Array<number>()]))
  for (const choice of chosen.values()) {
    terms.get("loss")!.push(choice.loss)
    for (const [name, cost] of Object.entries(choice.costs)) terms.get(name)!.push(cost)
  }
  for (const { from, to, cost, whenDifferent } of problem.transitions ?? []) {
    if (attributeOf(chosen.get(from)!, whenDifferent) === attributeOf(chosen.get(to)!, whenDifferent))
      continue
    for (const [name, amount] of Object.entries(cost)) terms.get(name)!.push(amount)
  }
  const budgets = problem.budgets ?? {}
  const totals = new Map(
    [...terms].map(([name, values]) => [
      name,
      sumAgainst(values, Object.hasOwn(budgets, name) ? budgets[name]! : NaN)
    ])
  )
  const slack = Object.fromEntries(
    Object.entries(budgets).map(([name, limit]) => [name, limit - totals.get(name)!])
  )
  const loss = totals.get("loss")!
  totals.delete("loss")
  return {
    loss,
    costs: Object.fromEntries(totals),
    slack,
    feasible: Object.values(slack).every((rest) => rest >= 0)
  }
}

/** The quantity being minimised. */
export const objectiveOf = (problem: Problem, { loss, costs }: Evaluation): number =>
  problem.minimise === undefined || problem.minimise === "loss" ? loss : costs[problem.minimise]!

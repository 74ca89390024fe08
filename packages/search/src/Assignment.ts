/**
 * One choice per group, and what it comes to. Everything here is computed from the problem's own numbers,
 * never from a solver's scaled copy of them: this is the referee every solver's answer must pass.
 */
import { attributeOf } from "./Attribute.ts"
import { exactSum, sumAgainst } from "@bitbudget/numerics"
import { finderOf } from "./Dense.ts"
import { weightsOf } from "./Objective.ts"
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

/** `evaluate` for many assignments of one problem. Throws on a choice the group does not offer. */
export const evaluator = (problem: Problem): ((assignment: Assignment) => Evaluation) => {
  const names = quantitiesOf(problem)
  const budgets = Object.entries(problem.budgets ?? {})
  const limitOf = new Map(budgets)
  const groups = problem.groups.map((group) => ({ id: group.id, find: finderOf(group) }))
  const byId = new Map(groups.map(({ id, find }) => [id, find]))
  const indexOf = new Map(
    (problem.interactions ?? []).flatMap(({ between }) =>
      between.map((id) => {
        const { choices } = problem.groups.find((group) => group.id === id)!
        return [id, new Map(choices.map((choice, c) => [choice.id, c]))] as const
      })
    )
  )
  return (assignment) => {
    const terms = new Map(names.map((name) => [name, new Array<number>()]))
    for (const { id, find } of groups) {
      const choice = find(assignment[id]!)
      if (choice === undefined)
        throw new Error(`group ${id} is assigned ${assignment[id]}, which it does not offer`)
      terms.get("loss")!.push(choice.loss)
      for (const name of Object.keys(choice.costs)) terms.get(name)!.push(choice.costs[name]!)
    }
    for (const { from, to, cost, whenDifferent } of problem.transitions ?? []) {
      const [a, b] = [byId.get(from)!(assignment[from]!)!, byId.get(to)!(assignment[to]!)!]
      if (attributeOf(a, whenDifferent) === attributeOf(b, whenDifferent)) continue
      for (const [name, amount] of Object.entries(cost)) terms.get(name)!.push(amount)
    }
    for (const {
      between: [a, b],
      loss
    } of problem.interactions ?? [])
      terms
        .get("loss")!
        .push(loss[indexOf.get(a)!.get(assignment[a]!)!]![indexOf.get(b)!.get(assignment[b]!)!]!)
    const totals = new Map(
      names.map((name) => [name, sumAgainst(terms.get(name)!, limitOf.get(name) ?? NaN)])
    )
    const slack = budgets.map(([name, limit]) => [name, limit - totals.get(name)!] as const)
    const loss = totals.get("loss")!
    totals.delete("loss")
    return {
      loss,
      costs: Object.fromEntries(totals),
      slack: Object.fromEntries(slack),
      feasible: slack.every(([, rest]) => rest >= 0)
    }
  }
}

export const evaluate = (problem: Problem, assignment: Assignment): Evaluation =>
  evaluator(problem)(assignment)

export const valueOf = ({ loss, costs }: Pick<Evaluation, "loss" | "costs">, name: string): number =>
  name === "loss" ? loss : costs[name]!

/** The quantity being minimised. */
export const objectiveOf = (problem: Problem, evaluation: Evaluation): number =>
  exactSum(weightsOf(problem).map(([name, weight]) => weight * valueOf(evaluation, name)))

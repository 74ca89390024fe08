/**
 * Why this plan: the price of each budget, and for each decision what its neighbours would cost and buy.
 *
 * Prices are the duals of the linear relaxation (Dantzig–Wolfe, `Relaxation`): what one more unit of a
 * budget takes off the objective, near the plan. Since plans come in steps, the objective after a step of a
 * stated size is solved for as well. A neighbour is judged alone (that one decision changed, budgets or not)
 * and at its best (locked to it, everything else chosen anew).
 */
import { Effect } from "effect"
import { evaluator, objectiveOf, type Assignment } from "./Assignment.ts"
import { attributeOf } from "./Attribute.ts"
import { compile, expand, picksOf } from "./Dense.ts"
import { oracle } from "./Lagrangian.ts"
import { presolve } from "./Presolve.ts"
import type { Problem } from "./Problem.ts"
import { relax } from "./Relaxation.ts"
import { scale } from "./Scaled.ts"
import type { Solution, SolverFailure } from "./Solution.ts"
import { solveDecoded, type Options as SolverOptions } from "./Solver.ts"
import { restrict, whole } from "./Subproblem.ts"

export interface Price {
  readonly budget: string
  readonly limit: number
  /** Objective per unit of the budget, at least 0; 0 where the budget does not bind. */
  readonly price: number
  /** What is left of the limit. */
  readonly slack: number
  /** The limit raised by `by`, and what the objective then gains. null where it was not solved. */
  readonly step: { readonly by: number; readonly gain: number } | null
}

export interface Neighbour {
  readonly choice: string
  /** Changes of the whole plan if only this decision changes. */
  readonly objective: number
  readonly costs: { readonly [name: string]: number }
  readonly keepsBudgets: boolean
  /** The best objective with the decision locked to this choice; null: none keeps the budgets, or not solved. */
  readonly locked: number | null
}

export interface Why {
  /** The groups that choose together. */
  readonly groups: ReadonlyArray<string>
  readonly choice: string
  readonly cheaper: Neighbour | null
  readonly dearer: Neighbour | null
  /** No choice with fewer weight bits takes less of `lead`; null where widths are not known. */
  readonly fewerBitsGainNothing: boolean | null
}

export interface Explanation {
  /** The budget whose price times limit is the highest: "cheaper" and "dearer" are about it. */
  readonly lead: string | null
  readonly prices: ReadonlyArray<Price>
  readonly decisions: ReadonlyArray<Why>
}

export interface Options extends SolverOptions {
  /** Relative size of the steps of budgets that are solved for; 0: none. Default 0.05. */
  readonly step?: number
  /** Whether neighbours are solved for with their choice locked; default true. */
  readonly lock?: boolean
}

/** Price of each budget, in objective per unit. */
export const prices = (problem: Problem): { readonly [budget: string]: number } => {
  const free = Object.fromEntries(Object.keys(problem.budgets ?? {}).map((name) => [name, 0]))
  const dense = presolve(compile(problem), { upper: Infinity, dominance: true })
  if (dense === null) return free
  const scaled = scale(dense)
  const root = whole(scaled)
  const sub = restrict(root, new Uint8Array(root.objective.length).fill(1))
  if (sub === null || sub.decisions.length === 0) return free
  const relaxed = relax({
    oracle: oracle(sub),
    limits: sub.limits,
    prices: new Float64Array(sub.limits.length),
    cutoff: Infinity,
    found: () => {},
    expired: () => false
  })
  const found = scaled.rows.map((row, k) => [
    dense.rows[row]!,
    (relaxed.prices[k]! * scaled.objectiveUnit) / scaled.rowUnits[k]!
  ])
  return { ...free, ...Object.fromEntries(found) }
}

/** The budget that matters most: the highest price of its whole limit. */
const leadOf = (problem: Problem, priceOf: { readonly [budget: string]: number }): string | null => {
  const weights = Object.entries(problem.budgets ?? {}).map(
    ([name, limit]) => [name, priceOf[name]! * limit] as const
  )
  return (
    weights.reduce<readonly [string, number] | null>(
      (a, b) => (a === null || b[1] > a[1] ? b : a),
      null
    )?.[0] ?? null
  )
}

export const explain = Effect.fn("search.explain")(function* (
  problem: Problem,
  solution: Solution,
  { step = 0.05, lock = true, ...options }: Options = {}
): Effect.fn.Return<Explanation, SolverFailure> {
  const priceOf = prices(problem)
  const lead = leadOf(problem, priceOf)
  const budgets = problem.budgets ?? {}
  const objective = solution.objective!
  const found = yield* Effect.forEach(Object.entries(budgets), ([budget, limit]) =>
    Effect.gen(function* () {
      const by = Math.abs(limit) * step
      const binds = priceOf[budget]! > 0
      const eased =
        by > 0 && binds
          ? yield* solveDecoded(
              { ...problem, budgets: { ...budgets, [budget]: limit + by } },
              { ...options, start: [solution.choice] }
            )
          : null
      const price: Price = {
        budget,
        limit,
        price: priceOf[budget]!,
        slack: solution.slack[budget]!,
        step: eased === null ? null : { by, gain: objective - eased.objective! }
      }
      return price
    })
  )

  const dense = compile(problem)
  const evaluate = evaluator(problem)
  const here = evaluate(solution.choice)
  const picks = picksOf(dense, solution.choice)!
  const offered = new Map(problem.groups.map((group) => [group.id, group]))
  const amount = (assignment: Assignment, name: string): number => {
    const { loss, costs } = evaluate(assignment)
    return name === "loss" ? loss : costs[name]!
  }
  const neighbour = Effect.fnUntraced(function* (members: ReadonlyArray<string>, choice: string) {
    const swapped = { ...solution.choice, ...Object.fromEntries(members.map((id) => [id, choice])) }
    const there = evaluate(swapped)
    const best = lock
      ? yield* solveDecoded({ ...problem, fixed: { ...problem.fixed, [members[0]!]: choice } }, options)
      : null
    const result: Neighbour = {
      choice,
      objective: objectiveOf(problem, there) - objective,
      costs: Object.fromEntries(
        Object.entries(there.costs).map(([name, value]) => [name, value - here.costs[name]!])
      ),
      keepsBudgets: there.feasible,
      locked: best?.objective ?? null
    }
    return result
  })
  const decisions: Array<Why> = []
  for (const [d, members] of dense.members.entries()) {
    if (members.length === 0) continue
    const own = dense.choiceIds[picks[d]!]!
    const by = lead ?? "loss"
    const now = amount(solution.choice, by)
    const others: Array<{ readonly choice: string; readonly change: number }> = []
    for (let i = dense.starts[d]!; i < dense.starts[d + 1]!; i++) {
      if (i === picks[d]) continue
      const swapped = picks.slice()
      swapped[d] = i
      const choice = expand(dense, swapped)
      if (picksOf(dense, choice) !== null)
        others.push({ choice: dense.choiceIds[i]!, change: amount(choice, by) - now })
    }
    others.sort((a, b) => Math.abs(a.change) - Math.abs(b.change))
    const cheaper = others.find(({ change }) => change < 0)
    const dearer = others.find(({ change }) => change > 0)
    const bitsOf = (id: string) =>
      attributeOf(
        offered.get(members[0]!)!.choices.find((choice) => choice.id === id)!,
        "weightBits"
      )
    const bits = bitsOf(own)
    const narrower =
      typeof bits === "number" ? others.filter(({ choice }) => Number(bitsOf(choice) ?? Infinity) < bits) : []
    decisions.push({
      groups: members,
      choice: own,
      cheaper: cheaper === undefined ? null : yield* neighbour(members, cheaper.choice),
      dearer: dearer === undefined ? null : yield* neighbour(members, dearer.choice),
      fewerBitsGainNothing: narrower.length === 0 ? null : narrower.every(({ change }) => change >= 0)
    })
  }
  return { lead, prices: found, decisions }
})

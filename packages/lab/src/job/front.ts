/** Front: the predicted loss against one quantity, points within their limits when they are simulated whole. */
import { Pareto } from "@bitbudget/search"
import type { Solution } from "@bitbudget/search"
import { Effect } from "effect"
import type { Quantity } from "../Budget.ts"
import type { RequestFailure } from "../errors.ts"
import { quantitiesOf } from "./costs.ts"
import type { LossTable } from "./losses.ts"
import { acceptance, MOST_SIMULATIONS, planOf, problemOf, type Program, USUAL_SECONDS } from "./program.ts"

/** A point of a front. */
export interface Traded {
  readonly limit: number
  readonly loss: number
  readonly optimal: boolean
  readonly choice: Solution.Solution["choice"]
}

/** Points of the front of the loss over one quantity, each proved as far as the simulations allowed. */
export const frontOf = Effect.fn("front")(function* (
  program: Program,
  losses: LossTable["losses"],
  { over, points }: { readonly over: Quantity; readonly points: number }
): Effect.fn.Return<ReadonlyArray<Traded>, RequestFailure> {
  const { budgets, groups, ties } = problemOf(
    {
      ...program,
      limits: [...program.limits, { budget: { text: over, quantity: over, limit: Infinity }, limit: 1e300 }]
    },
    losses,
    { table: "lower" }
  )
  const { [over]: _, ...others } = budgets!
  const { costs, opened } = program
  const fixed = costs.fixedLower[over] ?? 0
  const front = yield* Pareto.pareto({ groups, ties: ties!, budgets: others }, over, points, {
    accept: acceptance(program),
    // A plan that cannot be simulated is no point of a front.
    whole: (choice) => {
      const plan = planOf(opened, choice)
      const cost = Effect.runSync(Effect.option(costs.simulate(plan)))
      return cost._tag === "None"
        ? Infinity
        : (quantitiesOf(cost.value, costs.averageBits(plan))[over] ?? Infinity) - fixed
    },
    evaluations: MOST_SIMULATIONS,
    timeLimitSeconds: program.timeLimitSeconds ?? USUAL_SECONDS
  })
  return front.map(({ limit, solution }) => ({
    limit: limit + fixed,
    loss: solution.objective!,
    optimal: solution.status === "optimal",
    choice: solution.choice
  }))
})

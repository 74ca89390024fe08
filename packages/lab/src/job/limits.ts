/** Budgets in figures: percentages are of the 8-bit or the float network on the same device, simulated whole. */
import type { Profile, Simulate } from "@bitbudget/device"
import { Choice, PlanFile } from "@bitbudget/quant"
import { Effect } from "effect"
import type { Budget } from "../Budget.ts"
import { UnusableRequest } from "../errors.ts"
import { type Costs, quantitiesOf } from "./costs.ts"
import type { Opened } from "./open.ts"

export interface Limit {
  readonly budget: Budget
  readonly limit: number
}

export const limitsOf = Effect.fn(function* (
  profile: Profile.Profile,
  { graph, layers, choices }: Opened,
  costs: Costs,
  budgets: ReadonlyArray<Budget>
) {
  // Some plan over the choices, to ask which quantities the device has figures for.
  const first = new Map(layers.map(({ id }) => [id, choices.get(id)![0]!]))
  const known = quantitiesOf(yield* costs.simulate(first), costs.averageBits(first))
  const limits: Array<Limit> = []
  for (const budget of budgets) {
    const { quantity } = budget
    if (known[quantity] === null)
      return yield* new UnusableRequest({
        why: `budget "${budget.text}": ${profile.id} has no figure for ${quantity}; leave it out, or add one to its profile`
      })
    if (typeof budget.limit === "number") {
      limits.push({ budget, limit: budget.limit })
      continue
    }
    const { fraction, of } = budget.limit
    const reference = PlanFile.uniform(graph, of === "f32" ? Choice.f32 : Choice.wa(8, 8))
    const cost = yield* costs.simulate(reference).pipe(
      Effect.mapError(
        ({ why }) =>
          new UnusableRequest({
            why: `budget "${budget.text}" is a share of the ${of} network, which ${profile.id} cannot run (${why}); give an absolute limit`
          })
      )
    )
    const value = quantitiesOf(cost, costs.averageBits(reference))[quantity]
    if (value === null)
      return yield* new UnusableRequest({
        why: `budget "${budget.text}": ${profile.id} has no figure for ${quantity} of the ${of} network; give an absolute limit`
      })
    limits.push({ budget, limit: value * fraction })
  }
  return limits
})

/** Whether a simulated plan keeps every budget. */
export const keeps = (
  limits: ReadonlyArray<Limit>,
  cost: Simulate.NetworkCost,
  averageBits: number
): boolean => {
  const values = quantitiesOf(cost, averageBits)
  return limits.every(({ budget, limit }) => (values[budget.quantity] ?? 0) <= limit)
}

/** Budgets in figures: percentages are of the 8-bit or the float network on the same device, simulated whole. */
import type { Profile, Simulate } from "@bitbudget/device"
import { Choice, PlanFile } from "@bitbudget/quant"
import { Normal } from "@bitbudget/numerics"
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
  const some = yield* costs.simulate(first)
  const known = quantitiesOf(some, costs.averageBits(first))
  const limits: Array<Limit> = []
  for (const budget of budgets) {
    const { quantity } = budget
    if (known[quantity] === null)
      return yield* new UnusableRequest({
        why: `budget "${budget.text}": ${profile.id} has no figure for ${quantity}; leave it out, or add one to its profile`
      })
    if (budget.probability !== undefined && intervalOf(budget, some) === null)
      return yield* new UnusableRequest({
        why: `budget "${budget.text}": nothing was measured of ${profile.id}, so its errors are not known; leave the probability out`
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

/** What the device states nine in ten of its measurements lie between; null where it states nothing. */
export const intervalOf = (
  { quantity }: Budget,
  { totals }: Simulate.NetworkCost
): Simulate.NetworkCost["totals"]["latencyIntervalMs"] =>
  quantity === "latency" ? totals.latencyIntervalMs : quantity === "energy" ? totals.energyIntervalMj : null

/**
 * What of a simulated plan is held against a budget: the predicted figure, or with a probability the one that so many of
 * its kind stay below. Figures are taken as log-normal, their 90 % intervals as the device states them.
 */
export const heldAgainst = (
  { budget }: Limit,
  cost: Simulate.NetworkCost,
  averageBits: number
): number | null => {
  const value = quantitiesOf(cost, averageBits)[budget.quantity]
  const interval = intervalOf(budget, cost)
  if (value === null || budget.probability === undefined || interval === null) return value
  const spread = Math.log(interval.high / value) / Normal.quantile(0.95)
  return value * Math.exp(spread * Normal.quantile(budget.probability))
}

/** Whether a simulated plan keeps every budget. */
export const keeps = (
  limits: ReadonlyArray<Limit>,
  cost: Simulate.NetworkCost,
  averageBits: number
): boolean => limits.every((each) => (heldAgainst(each, cost, averageBits) ?? 0) <= each.limit)

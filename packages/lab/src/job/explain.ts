/**
 * Explain: why the plan is as it is. For every layer, what its next cheaper and next dearer choice would cost and buy, by
 * simulating the whole plan with that one change; the best plan with the layer locked to it; and what a little more of each
 * budget would buy. Costs are the device model's, losses the tables'.
 */
import { Precision } from "@bitbudget/graph"
import { Choice } from "@bitbudget/quant"
import { Effect } from "effect"
import type { Quantity } from "../Budget.ts"
import type { SearchResult } from "../results/search.ts"
import type { Candidates } from "./candidates.ts"
import { type Quantities, quantitiesOf } from "./costs.ts"
import type { JobFailure } from "./job.ts"
import { acceptance, assignmentOf, FEW_SIMULATIONS, type Program, solve } from "./program.ts"

type Why = NonNullable<SearchResult["why"]>
type Neighbour = NonNullable<Why["layers"][number]["cheaper"]>

/** A budget is raised by this share of itself to see what that buys. */
const STEP = 0.05

const lossOf = ({ opened }: Program, losses: Candidates["losses"], plan: Choice.Choices): number =>
  opened.layers.reduce((sum, { id }, l) => sum + (losses[l]!.get(Choice.show(plan.get(id)!)) ?? 0), 0)

export const explain = Effect.fn("explain")(function* (
  program: Program,
  { losses }: Pick<Candidates, "losses">,
  plan: Choice.Choices
): Effect.fn.Return<Why, JobFailure> {
  const { opened, costs, limits } = program
  const { layers, choices } = opened
  const accept = acceptance(program)
  const valuesOf = (of: Choice.Choices) =>
    Effect.map(costs.simulate(of), (cost) => quantitiesOf(cost, costs.averageBits(of)))
  const here = yield* valuesOf(plan)
  const hereLoss = lossOf(program, losses, plan)

  /** The least predicted loss within the budgets; undefined where no plan keeps them. */
  const best = Effect.fnUntraced(function* (within: Program, start: ReadonlyArray<Choice.Choices>) {
    const solution = yield* Effect.option(solve(within, losses, start, { simulations: FEW_SIMULATIONS }))
    return solution._tag === "Some" ? solution.value : undefined
  })
  const now = (yield* best(program, [plan]))?.objective ?? hereLoss

  const budgets = yield* Effect.forEach(limits, (each) =>
    Effect.map(
      best(
        {
          ...program,
          limits: limits.map((other) =>
            other === each ? { ...other, limit: other.limit * (1 + STEP) } : other
          )
        },
        [plan]
      ),
      (relaxed) => ({
        name: each.budget.text,
        raisedBy: each.limit * STEP,
        gains:
          relaxed?.objective === undefined || relaxed.objective === null
            ? 0
            : Math.max(0, now - relaxed.objective)
      })
    )
  )
  /** The budget that would buy most decides what "cheaper" is about; without one, the time. */
  const lead: Quantity =
    limits[budgets.reduce((top, { gains }, b) => (gains > (budgets[top]?.gains ?? 0) ? b : top), 0)]?.budget
      .quantity ?? "latency"

  const change = (there: Quantities, quantity: Quantity): number | null => {
    const [a, b] = [there[quantity], here[quantity]]
    return a === null || b === null ? null : a - b
  }
  const neighbour = Effect.fnUntraced(function* (id: string, choice: Choice.Choice, there: Quantities) {
    const changed = new Map(plan).set(id, choice)
    const locked = yield* best(
      {
        ...program,
        opened: { ...opened, choices: new Map(choices).set(id, [choice]) }
      },
      []
    )
    const result: Neighbour = {
      choice: Choice.show(choice),
      loss: lossOf(program, losses, changed) - hereLoss,
      latencyMs: change(there, "latency"),
      energyMj: change(there, "energy"),
      bytes: change(there, "size") ?? 0,
      keepsBudgets: accept(assignmentOf(changed)),
      locked: locked?.objective ?? null
    }
    return result
  })

  const found: Array<Why["layers"][number]> = []
  for (const { id } of layers) {
    const own = plan.get(id)!
    const others: Array<{ readonly choice: Choice.Choice; readonly there: Quantities; readonly by: number }> =
      []
    for (const choice of choices.get(id)!) {
      if (Choice.equals(choice, own)) continue
      const there = yield* Effect.option(valuesOf(new Map(plan).set(id, choice)))
      if (there._tag === "Some")
        others.push({ choice, there: there.value, by: change(there.value, lead) ?? 0 })
    }
    others.sort((a, b) => Math.abs(a.by) - Math.abs(b.by))
    const cheaper = others.find(({ by }) => by < 0)
    const dearer = others.find(({ by }) => by > 0)
    const stored = (choice: Choice.Choice) => Precision.storedBits(Choice.precision(choice).weights)
    const narrower = others.filter(({ choice }) => stored(choice) < stored(own))
    found.push({
      id,
      choice: Choice.show(own),
      cheaper: cheaper === undefined ? null : yield* neighbour(id, cheaper.choice, cheaper.there),
      dearer: dearer === undefined ? null : yield* neighbour(id, dearer.choice, dearer.there),
      fewerBitsGainNothing: narrower.length === 0 ? null : narrower.every(({ by }) => by >= 0)
    })
  }
  return { about: lead, loss: now, budgets, layers: found }
})

/**
 * The integer program of a search, and its solution.
 *
 * Layers interact a little (they share memories), which a sum over layers cannot see: a solution that breaks a budget
 * when it is simulated whole is solved again with that budget tightened.
 */
import { type Graph, Precision } from "@bitbudget/graph"
import { LayerFormat } from "@bitbudget/quant"
import { type Problem, type Solution, Solver } from "@bitbudget/search"
import { Effect } from "effect"
import type { Quantity } from "../Budget.ts"
import { Infeasible } from "../errors.ts"
import { tiedLayers } from "../ties.ts"
import { type Costs, type Limit, quantitiesOf } from "./costs.ts"
import type { LossTable } from "./losses.ts"

/** Times a solution is checked against its own simulation before the budgets are given up. */
const TIGHTENINGS = 8

export interface Program {
  readonly graph: Graph.Graph
  readonly costs: Costs
  /** By layer, by width. */
  readonly losses: LossTable["losses"]
  readonly limits: ReadonlyArray<Limit>
  readonly ties: boolean
}

type Factors = ReadonlyMap<Quantity, number>

/** The problem with every budget tightened by its factor. */
const problemOf = ({ graph, costs, losses, limits, ties }: Program, factors: Factors): Problem.Problem => {
  const peak = limits.find(({ budget }) => budget.quantity === "peakMemory")?.limit ?? Infinity
  const summed = limits.filter(({ budget }) => budget.quantity !== "peakMemory")
  const groups = costs.layers.map((layer, l) => ({
    id: layer.id,
    choices: costs.choices.flatMap((precision, c) => {
      const all = costs.table[l]![c] ?? null
      // The peak is a maximum over layers, so it forbids choices instead of being summed.
      if (all === null || all.peakMemory > peak) return []
      return [
        {
          id: Precision.showPrecision(precision),
          loss: losses[l]!.get(precision.weights.bits)!,
          costs: Object.fromEntries(summed.map(({ budget }) => [budget.quantity, all[budget.quantity]]))
        }
      ]
    })
  }))
  const budgets = Object.fromEntries(
    summed.map(({ budget: { quantity }, limit }) => [
      quantity,
      Math.max(0, limit * (factors.get(quantity) ?? 1) - costs.fixed[quantity])
    ])
  )
  return { groups, budgets, ...(ties ? { ties: tiedLayers(graph) } : {}) }
}

/** What cannot be met, with the least value of each quantity: every layer at its cheapest choice. */
const infeasible = ({ costs, limits }: Program) =>
  new Infeasible({
    limits: limits.map(({ budget: { text, quantity }, limit }) => {
      const cheapest = costs.table.map((row) =>
        Math.min(...row.flatMap((all) => (all === null ? [] : [all[quantity]])))
      )
      const least =
        quantity === "peakMemory"
          ? Math.max(...cheapest)
          : cheapest.reduce((a, b) => a + b, costs.fixed[quantity])
      return { name: text, limit, least }
    })
  })

export const formatsOf = ({ layers }: Costs, choice: Solution.Solution["choice"]): LayerFormat.Formats =>
  new Map(layers.map(({ id }) => [id, LayerFormat.layerFormat(Precision.parsePrecision(choice[id]!)!)]))

/** The best assignment whose simulation keeps every budget. */
export const solve = Effect.fn(function* (program: Program) {
  const { costs, limits } = program
  const factors = new Map<Quantity, number>()
  for (let i = 0; i < TIGHTENINGS; i++) {
    const problem = problemOf(program, factors)
    if (problem.groups.some(({ choices }) => choices.length === 0)) return yield* infeasible(program)
    // Without a time limit the solver ends with an answer; anything else is a fault of this tool.
    const solution = yield* Effect.orDie(Solver.solve(problem))
    if (solution.status === "infeasible") return yield* infeasible(program)
    const values = quantitiesOf(costs.predict(formatsOf(costs, solution.choice)).totals)
    const broken = limits.filter(({ budget, limit }) => (values[budget.quantity] ?? 0) > limit)
    if (broken.length === 0) return solution
    for (const { budget, limit } of broken) {
      const tightened = ((factors.get(budget.quantity) ?? 1) * limit) / values[budget.quantity]!
      factors.set(budget.quantity, tightened - 1e-9)
    }
  }
  return yield* infeasible(program)
})

/** Fails where no assignment keeps the budgets, whatever it does to the loss: to be asked before losses are known. */
export const requireFeasible = (program: Omit<Program, "losses">) => {
  const free = new Map(program.costs.choices.map(({ weights }) => [weights.bits, 0]))
  return solve({ ...program, losses: program.costs.layers.map(() => free) })
}

/** The field's usual search, at the same budgets. */
export const solveGreedily = (program: Program) =>
  Effect.orDie(Solver.solve(problemOf(program, new Map()), { method: "greedy" }))

/**
 * The integer program of a search. Its columns never overestimate, so its bound holds for the simulated network; an
 * assignment is an answer only if its whole simulation keeps the budgets. So "optimal" is said of the true problem.
 */
import { Choice } from "@bitbudget/quant"
import { Infeasibility, type Problem, type Solution, Solver } from "@bitbudget/search"
import { Effect } from "effect"
import { type Budget, type Quantity, unitOf } from "../Budget.ts"
import { Infeasible, type RequestFailure } from "../errors.ts"
import { activationBytes, type CostRow, type Costs, type Quantities, quantitiesOf } from "./costs.ts"
import { heldAgainst, keeps, type Limit } from "./limits.ts"
import type { LossTable } from "./losses.ts"
import type { Opened } from "./open.ts"
import { type Ties, tiesOf } from "./ties.ts"

export interface Program {
  readonly opened: Opened
  readonly costs: Costs
  readonly limits: ReadonlyArray<Limit>
  readonly ties: Ties
  /** Whether plans count that do not fit the device's memories. */
  readonly ignoreCapacity: boolean
  readonly timeLimitSeconds: number | undefined
}

/** Plans simulated whole at most, before the bound and the best one found are reported as they are. */
export const MOST_SIMULATIONS = 500

/** The same where an answer is one of many to be tried, and nothing is claimed of it. */
export const FEW_SIMULATIONS = 60

/** Seconds of search where the user names no number. */
export const USUAL_SECONDS = 60

/** Times the estimate's solution is tightened towards a plan that keeps the budgets when simulated. */
const TIGHTENINGS = 8

type Factors = ReadonlyMap<Quantity, number>

const summed = (limits: ReadonlyArray<Limit>) =>
  limits.filter(({ budget: { quantity } }) => quantity !== "peakMemory" && quantity !== "area")

const rowName = (quantity: Quantity, step?: string): string =>
  step === undefined ? quantity : `${quantity}@${step}`

/** The least limit of every quantity, should several budgets name it. */
const tightest = (limits: ReadonlyArray<Limit>): ReadonlyMap<Quantity, number> => {
  const found = new Map<Quantity, number>()
  for (const { budget, limit } of limits)
    found.set(budget.quantity, Math.min(limit, found.get(budget.quantity) ?? Infinity))
  return found
}

/** A neighbourhood: at most so many layers differ from a plan. */
export interface Near {
  readonly plan: Choice.Choices
  readonly most: number
}

/** The other direction: the least of a cost, with at most so much of the predicted loss. */
export interface Aim {
  readonly minimise: Quantity
  readonly loss: number
}

interface ProblemOptions {
  readonly table: "lower" | "estimate"
  readonly aim?: Aim
  /** What budgets are multiplied by. */
  readonly factors?: Factors
  readonly near?: Near | undefined
}

/** Row that counts the layers which differ from a plan. */
const CHANGES = "changes"

/** The problem over one of the two cost tables. Choices without a loss are left out. */
export const problemOf = (
  { opened, costs, limits, ties }: Program,
  losses: LossTable["losses"],
  { table, factors = new Map(), near, aim }: ProblemOptions
): Problem.Problem => {
  const { graph, layers, choices } = opened
  const [rows, fixed] = table === "lower" ? [costs.lower, costs.fixedLower] : [costs.estimate, costs.fixed]
  // Bounds are sums of floats too: a plan that just keeps a budget must not fall out by their rounding. Plans are judged whole.
  const slack = table === "lower" ? 1 + 1e-9 : 1
  const wanted = tightest(summed(limits))
  const peak = tightest(limits).get("peakMemory")
  const moments = peak === undefined ? [] : costs.moments()
  const named = new Set([...wanted.keys(), ...(aim === undefined ? [] : [aim.minimise])])
  const costOf = (layer: string, choice: Choice.Choice, own: Quantities) => ({
    ...Object.fromEntries([...named].map((quantity) => [quantity, own[quantity] ?? 0])),
    ...Object.fromEntries(
      moments.map(({ step, elements }) => [
        rowName("peakMemory", step),
        activationBytes(choice, elements.get(layer) ?? 0)
      ])
    ),
    ...(near === undefined ? {} : { [CHANGES]: Choice.equals(choice, near.plan.get(layer)!) ? 0 : 1 })
  })
  const groups = layers.map(({ id }, l) => ({
    id,
    choices: choices.get(id)!.flatMap((choice) => {
      const shown = Choice.show(choice)
      const own = (rows[l] as CostRow).get(shown)
      const loss = losses[l]!.get(shown)
      if (own === undefined || loss === undefined) return []
      return [
        {
          id: shown,
          loss,
          costs: costOf(id, choice, own),
          attributes: attributes(choice)
        }
      ]
    })
  }))
  const budgets = Object.fromEntries([
    ...[...wanted].map(([quantity, limit]) => [
      quantity,
      Math.max(0, limit * slack * (factors.get(quantity) ?? 1) - (fixed[quantity] ?? 0))
    ]),
    ...moments.map(({ step, fixedBytes }) => [
      rowName("peakMemory", step),
      Math.max(0, peak! * slack * (factors.get("peakMemory") ?? 1) - fixedBytes)
    ]),
    ...(near === undefined ? [] : [[CHANGES, near.most] as const]),
    ...(aim === undefined ? [] : [["loss", aim.loss] as const])
  ])
  return {
    groups,
    budgets,
    ties: tiesOf(graph, ties),
    ...(aim === undefined ? {} : { minimise: aim.minimise })
  }
}

const attributes = (choice: Choice.Choice) => ({
  weights: Choice.show({ ...choice, activations: Choice.f32.activations }),
  activations: Choice.show({ ...choice, weights: Choice.f32.weights })
})

export const planOf = ({ layers }: Opened, choice: Solution.Solution["choice"]): Choice.Choices =>
  new Map(layers.map(({ id }) => [id, Choice.parse(choice[id]!)!]))

/** A plan as the solver writes it. */
export const assignmentOf = (plan: Choice.Choices): Solution.Solution["choice"] =>
  Object.fromEntries([...plan].map(([id, choice]) => [id, Choice.show(choice)]))

/** Whether a plan keeps every budget when it is simulated whole; each plan is simulated once. */
export const acceptance = ({ opened, costs, limits, ignoreCapacity }: Program) => {
  const known = new Map<string, boolean>()
  const others = limits.filter(({ budget }) => budget.quantity !== "size")
  const mostBytes = tightest(limits).get("size")
  return (choice: Solution.Solution["choice"]): boolean => {
    const key = Object.values(choice).join()
    const before = known.get(key)
    if (before !== undefined) return before
    const plan = planOf(opened, choice)
    const cost = Effect.runSync(Effect.option(costs.simulated(plan)))
    const accepted =
      cost._tag === "Some" &&
      (ignoreCapacity || cost.value.overflows.length === 0) &&
      keeps(others, cost.value, costs.averageBits(plan)) &&
      (mostBytes === undefined || costs.fileBytes(plan) <= mostBytes)
    known.set(key, accepted)
    return accepted
  }
}

/** A plan that keeps the budgets, found by tightening those that the estimate's solution breaks. */
const tightened = Effect.fn(function* (program: Program, losses: LossTable["losses"], near?: Near) {
  const { opened, costs, limits } = program
  const factors = new Map<Quantity, number>()
  for (let i = 0; i < TIGHTENINGS; i++) {
    const problem = problemOf(program, losses, { table: "estimate", factors, near })
    if (problem.groups.some(({ choices }) => choices.length === 0)) return undefined
    const solution = yield* Effect.option(
      Solver.solve(problem, { timeLimitSeconds: USUAL_SECONDS / TIGHTENINGS })
    )
    if (solution._tag === "None" || solution.value.status === "infeasible") return undefined
    const plan = planOf(opened, solution.value.choice)
    const cost = yield* Effect.option(costs.simulate(plan))
    if (cost._tag === "None") return undefined
    const bits = costs.averageBits(plan)
    const broken = limits.flatMap((each) => {
      const value = heldAgainst(each, cost.value, bits) ?? 0
      return value > each.limit ? [{ quantity: each.budget.quantity, excess: value / each.limit }] : []
    })
    if (broken.length === 0) return plan
    for (const { quantity, excess } of broken)
      factors.set(quantity, (factors.get(quantity) ?? 1) / excess - 1e-9)
  }
  return undefined
})

const inUnits = (budget: Budget, value: number): string =>
  `${Number(value.toPrecision(4))}${unitOf(budget.quantity)}`

/** What cannot be met: the least of each budgeted quantity, the conflict, and the nearest plan. */
const infeasible = Effect.fn(function* (program: Program, losses: LossTable["losses"]) {
  const { costs, limits, opened } = program
  const empty = opened.layers.find((_, l) => costs.lower[l]!.size === 0)
  const problem = problemOf(program, losses, { table: "lower" })
  const explanation =
    empty === undefined
      ? yield* Effect.option(
          Infeasibility.explainInfeasible(problem, { timeLimitSeconds: USUAL_SECONDS / 10 })
        )
      : undefined
  const found = explanation?._tag === "Some" ? explanation.value : undefined
  const leastOf = ({ quantity }: Budget): number => {
    const reaches = found?.budgets.filter(({ budget }) => budget.split("@")[0] === quantity) ?? []
    const fixed = quantity === "peakMemory" ? 0 : (costs.fixedLower[quantity] ?? 0)
    return Math.max(0, ...reaches.map(({ least }) => least)) + fixed
  }
  const conflict = new Set((found?.conflict ?? []).map((name) => name.split("@")[0]))
  const nearest = found?.relaxation?.choice
  const plan = nearest === undefined ? undefined : planOf(opened, nearest)
  const cost = plan === undefined ? undefined : yield* Effect.option(costs.simulate(plan))
  const near = plan === undefined || cost?._tag !== "Some" ? undefined : cost.value
  const values = near === undefined ? undefined : quantitiesOf(near, costs.averageBits(plan!))
  const nearOf = (each: Limit): number | null =>
    near === undefined ? null : heldAgainst(each, near, costs.averageBits(plan!))
  /** What a probability adds to a figure, as at the nearest plan. */
  const marginOf = (each: Limit): number =>
    (nearOf(each) ?? 1) / (values?.[each.budget.quantity] ?? nearOf(each) ?? 1)
  return yield* new Infeasible({
    limits: limits.map((each) => {
      const { budget, limit } = each
      const least = leastOf(budget) * marginOf(each)
      const nearest = nearOf(each)
      return {
        name: budget.text,
        limit,
        shownLimit: inUnits(budget, limit),
        least,
        shownLeast: inUnits(budget, least),
        inConflict: conflict.has(budget.quantity),
        nearest,
        shownNearest: nearest === null ? null : inUnits(budget, nearest)
      }
    }),
    nearest: nearest ?? null,
    proved: found !== undefined && !found.feasible
  })
})

export interface SolveOptions {
  readonly near?: Near
  /** Plans simulated whole at most. */
  readonly simulations?: number
}

/** The best assignment whose simulation keeps every budget, with what was proved about it. */
export const solve = Effect.fn("solve")(function* (
  program: Program,
  losses: LossTable["losses"],
  start: ReadonlyArray<Choice.Choices>,
  { near, simulations = MOST_SIMULATIONS }: SolveOptions = {}
): Effect.fn.Return<Solution.Solution, Infeasible> {
  const problem = problemOf(program, losses, { table: "lower", near })
  if (problem.groups.some(({ choices }) => choices.length === 0)) return yield* infeasible(program, losses)
  const close = yield* tightened(program, losses, near)
  const accept = acceptance(program)
  const known = [...start, ...(close === undefined ? [] : [close])].map(assignmentOf)
  const solution = yield* Effect.option(
    Solver.solve(problem, {
      accept,
      start: known.filter(accept),
      evaluations: simulations,
      timeLimitSeconds: program.timeLimitSeconds ?? USUAL_SECONDS
    })
  )
  if (solution._tag === "None" || solution.value.status === "infeasible")
    return yield* infeasible(program, losses)
  return solution.value
})

/** The least cost found, and what no plan can be below. */
export interface Least {
  readonly plan: Choice.Choices
  /** Of the simulated plan. */
  readonly value: number
  readonly bound: number | null
  readonly nodes: number
  readonly simulations: number
  readonly seconds: number
}

/**
 * The least of a cost under the budgets and a limit on the predicted loss; undefined where nothing keeps them. Bounds come
 * from the columns that never overestimate, plans from those that steer as well; the least one simulated is the answer.
 */
export const leastCost = Effect.fn("leastCost")(function* (
  program: Program,
  losses: LossTable["losses"],
  aim: Aim,
  start: ReadonlyArray<Choice.Choices>
): Effect.fn.Return<Least | undefined, RequestFailure> {
  const { opened, costs } = program
  const accept = acceptance(program)
  const options = { timeLimitSeconds: program.timeLimitSeconds ?? USUAL_SECONDS }
  const bounding = problemOf(program, losses, { table: "lower", aim })
  if (bounding.groups.some(({ choices }) => choices.length === 0)) return undefined
  const found = yield* Effect.option(
    Solver.solve(bounding, {
      ...options,
      accept,
      start: start.map(assignmentOf).filter(accept),
      evaluations: FEW_SIMULATIONS
    })
  )
  if (found._tag === "None" || found.value.status === "infeasible") return undefined
  const steered = yield* Effect.option(
    Solver.solve(problemOf(program, losses, { table: "estimate", aim }), options)
  )
  const plans = [
    found.value.choice,
    ...(steered._tag === "Some" && steered.value.status !== "infeasible" ? [steered.value.choice] : [])
  ]
    .filter(accept)
    .map((choice) => planOf(opened, choice))
  const valued = yield* Effect.forEach(plans, (plan) =>
    Effect.map(costs.simulate(plan), (cost) => ({
      plan,
      value: quantitiesOf(cost, costs.averageBits(plan))[aim.minimise] ?? 0
    }))
  )
  const best = valued.reduce((a, b) => (b.value < a.value ? b : a))
  const { bound, nodes, evaluations, seconds } = found.value
  return {
    ...best,
    bound: bound === null ? null : bound + (costs.fixedLower[aim.minimise] ?? 0),
    nodes,
    simulations: evaluations,
    seconds
  }
})

/** Losses of nothing: what is asked before anything was measured. */
const noLosses = ({ layers, choices }: Opened): LossTable["losses"] =>
  layers.map(({ id }) => new Map(choices.get(id)!.map((choice) => [Choice.show(choice), 0])))

/** Fails where no assignment keeps the budgets, whatever it does to the loss: to be asked before losses are known. */
export const requireFeasible = (program: Program) => solve(program, noLosses(program.opened), [])

/** The field's usual search, at the same budgets, over the estimate. */
export const solveGreedily = (program: Program, losses: LossTable["losses"]) =>
  Effect.orDie(Solver.solve(problemOf(program, losses, { table: "estimate" }), { method: "greedy" }))

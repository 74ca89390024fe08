/**
 * What a solver hands back. The numbers are the referee's (`Assignment.evaluate`), not the solver's own, and
 * an assignment that breaks a budget never becomes a solution.
 */
import { Schema } from "effect"
import { evaluate, objectiveOf, type Assignment } from "./Assignment.ts"
import type { Tree } from "./Certificate.ts"
import { nameOf } from "./Objective.ts"
import type { Problem } from "./Problem.ts"

/** Searches without a proof, to compare with: see `searchers/`. */
export const rivals = [
  "uniform",
  "random",
  "greedy",
  "greedy-gain",
  "one-budget",
  "trace-rank",
  "lp-rounding",
  "annealing",
  "nsga2",
  "tpe",
  "policy-gradient"
] as const

export type Rival = (typeof rivals)[number]

/** `ilp`: exact, own branch and bound. `highs`: exact, the same program given to HiGHS. */
export const methods = ["ilp", "highs", ...rivals] as const

export type Method = (typeof methods)[number]

export interface Solution {
  /** optimal: proved within the asked gap. feasible: keeps the budgets. infeasible: proved that nothing does. */
  readonly status: "optimal" | "feasible" | "infeasible"
  readonly method: Method
  /** Name of the minimised quantity. */
  readonly minimise: string
  readonly objective: number | null
  /** No assignment within the budgets has a lower objective than this; null where nothing was proved. */
  readonly bound: number | null
  /** (objective − bound) / max(|objective|, |bound|) */
  readonly gap: number | null
  readonly nodes: number
  /** Whole plans judged: by `accept`, by the oracle, or by the tables. */
  readonly evaluations: number
  /** What the oracle measured of the plan; null without an oracle. */
  readonly measured: number | null
  /** What each judged plan of a rival was worth, in order: its learning curve. */
  readonly history: ReadonlyArray<number>
  readonly seconds: number
  readonly choice: Assignment
  readonly loss: number | null
  readonly costs: { readonly [name: string]: number }
  readonly slack: { readonly [name: string]: number }
}

export class SolverFailure extends Schema.TaggedError<SolverFailure>()("SolverFailure", {
  method: Schema.Literals(methods),
  why: Schema.String
}) {
  override get message() {
    return `${this.method}: ${this.why}`
  }
}

/** What a solver knows when it stops: the picks' assignment and a proven lower bound. */
export interface Outcome {
  readonly assignment: Assignment | null
  /** +Infinity: proved infeasible. -Infinity: nothing proved. */
  readonly bound: number
  /** The bound holds up to this: rounding, and objectives that are one to the solver. */
  readonly resolution: number
  readonly nodes: number
  /** Whole plans judged. */
  readonly evaluations: number
  readonly measured?: number | null
  readonly history?: ReadonlyArray<number>
  /** The tree of a proof, where it was recorded. */
  readonly tree?: Tree | null
}

/** Whether a bound that holds up to `resolution` is as good as exact beside the objective. */
export const isFine = (method: Method, resolution: number, objective: number): boolean =>
  resolution <= (method === "highs" ? 1e-6 : 1e-9) * Math.abs(objective)

export const gapOf = (objective: number, bound: number): number =>
  objective <= bound ? 0 : (objective - bound) / Math.max(Math.abs(objective), Math.abs(bound))

export const infeasible = (
  problem: Problem,
  method: Method,
  { nodes, evaluations, history = [] }: Outcome,
  seconds: number
): Solution => ({
  status: "infeasible",
  method,
  minimise: nameOf(problem),
  objective: null,
  bound: null,
  gap: null,
  nodes,
  evaluations,
  measured: null,
  history,
  seconds,
  choice: {},
  loss: null,
  costs: {},
  slack: {}
})

/** The solution an outcome with an assignment stands for; throws if the assignment breaks a budget. */
export const solution = (
  problem: Problem,
  method: Method,
  {
    assignment,
    bound,
    resolution,
    nodes,
    evaluations,
    measured = null,
    history = []
  }: Outcome & { readonly assignment: Assignment },
  allowedGap: number,
  seconds: number
): Solution => {
  const evaluation = evaluate(problem, assignment)
  if (!evaluation.feasible) throw new Error(`${method} returned an assignment that breaks a budget`)
  const objective = objectiveOf(problem, evaluation)
  const proved = Number.isFinite(bound)
  // What rounding leaves open is nothing to the objective, or it is said.
  const reached = isFine(method, resolution, objective) && bound >= objective - resolution
  const lower = reached ? objective : Math.min(objective, bound - resolution)
  const gap = proved ? gapOf(objective, lower) : null
  return {
    status: gap !== null && gap <= allowedGap ? "optimal" : "feasible",
    method,
    minimise: nameOf(problem),
    objective,
    bound: proved ? lower : null,
    gap,
    nodes,
    evaluations,
    measured,
    history,
    seconds,
    choice: assignment,
    loss: evaluation.loss,
    costs: evaluation.costs,
    slack: evaluation.slack
  }
}

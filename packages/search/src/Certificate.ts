/**
 * A bound in a form anyone can check: the branch-and-bound tree with each node's multipliers. At a node the
 * multipliers λ of the budgets bound every plan from below by Σ min(objective + λ·costs) − λ·limits; a choice
 * that lifts this past the claim can be left out; a split hands the rest to two children. `verify` in
 * `verify.ts` adds it all up again from the tables and shares nothing with the solver.
 *
 * The tree proves a claim about the tables. Plans refused by `accept`, and interactions, are not in tables,
 * so problems with them have no certificate; transitions count where both ends are decided.
 */
import { Effect, Result, Schema } from "effect"
import { exact } from "./Exact.ts"
import { interactionsOf } from "./Quadratic.ts"
import { compile } from "./Dense.ts"
import { InvalidProblem, type Problem } from "./Problem.ts"
import { nameOf, orderOf } from "./Objective.ts"
import { SolverFailure } from "./Solution.ts"

export interface Tree {
  /** Multiplier of each budget, in objective per unit; budgets not named have 0. */
  readonly prices: { readonly [budget: string]: number }
  /** The multipliers alone, without the objective, show that nothing fits. */
  readonly nothingFits?: boolean
  /** A group's choices (its tied groups follow), or the values of a tie on an attribute, by number. */
  readonly split?: { readonly group?: string; readonly tie?: number; readonly first: ReadonlyArray<string> }
  /** What takes the first choices, and what the others; null: closed by this node's own multipliers. */
  readonly children?: ReadonlyArray<Tree | null>
}

const Tree: Schema.Codec<Tree> = Schema.Struct({
  prices: Schema.Record(Schema.String, Schema.Finite),
  nothingFits: Schema.optionalKey(Schema.Boolean),
  split: Schema.optionalKey(
    Schema.Struct({
      group: Schema.optionalKey(Schema.String),
      tie: Schema.optionalKey(Schema.Finite),
      first: Schema.Array(Schema.String)
    })
  ),
  children: Schema.optionalKey(Schema.Array(Schema.NullOr(Schema.suspend((): Schema.Codec<Tree> => Tree))))
})

export const Certificate = Schema.Struct({
  version: Schema.Literal(1),
  minimise: Schema.String,
  /** The claim: no plan within the budgets has an objective below this. null: no plan is within the budgets. */
  bound: Schema.NullOr(Schema.Finite),
  /** A plan that shows how good the bound is; empty if there is none. */
  choice: Schema.Record(Schema.String, Schema.String),
  tree: Tree
})
export type Certificate = typeof Certificate.Type

/** Nodes a certificate may have. */
const mostNodes = 50_000
/** The claim stays below the objective by this share, which is left to rounding. */
const margin = 1e-8

const decoder = Schema.decodeUnknownResult(Certificate, { errors: "all", onExcessProperty: "error" })

export const decode = (input: unknown): Result.Result<Certificate, InvalidProblem> =>
  Result.mapError(
    decoder(input),
    () =>
      new InvalidProblem({
        faults: [{ path: "", message: "this is no certificate; `solve --certificate FILE` writes one" }]
      })
  )

/** Solves a problem again, keeping the tree. */
export const certify = Effect.fn("search.certify")(function* (
  problem: Problem,
  options: { readonly gap?: number; readonly timeLimitSeconds?: number } = {}
): Effect.fn.Return<Certificate, SolverFailure> {
  if (interactionsOf(compile(problem)) !== null || orderOf(problem).length > 1)
    return yield* new SolverFailure({
      method: "ilp",
      why: "a certificate is about one sum over groups: it cannot be given with interactions, nor for several objectives in order"
    })
  const deadline = performance.now() + (options.timeLimitSeconds ?? Infinity) * 1e3
  const run = exact({
    problem,
    gap: options.gap ?? 0,
    recorded: mostNodes,
    expired: () => performance.now() >= deadline
  })
  let state = run.next(true)
  while (state.done !== true) {
    state = run.next(performance.now() < deadline)
    yield* Effect.yieldNow
  }
  const { assignment, bound, tree } = state.value
  const certificate: Certificate = {
    version: 1,
    minimise: nameOf(problem),
    bound: Number.isFinite(bound) ? bound - margin * Math.abs(bound) : null,
    choice: assignment ?? {},
    tree: tree ?? { prices: {} }
  }
  return certificate
})

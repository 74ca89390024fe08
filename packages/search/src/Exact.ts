/**
 * The exact search from a checked problem to an answer and a bound in the problem's units.
 *
 * Presolve, scale, search; and again where the answer found shows that choices which set the scale can never
 * be used (a penalty of 1e12 on what is forbidden): the rest is then searched at its own scale, so the proof
 * holds at any scaling. With `accept` an assignment counts only if the caller takes it (who simulates the
 * whole plan, of which the columns are lower bounds): dominance then proves nothing and is not used.
 */
import { evaluator, type Assignment } from "./Assignment.ts"
import { resolution, search, type Search, type Verdict } from "./BranchAndBound.ts"
import { compile, expand, picksOf, type Dense } from "./Dense.ts"
import { presolve } from "./Presolve.ts"
import { objectiveOf } from "./Assignment.ts"
import type { Problem } from "./Problem.ts"
import { scale, type Scaled } from "./Scaled.ts"
import { isFine, type Outcome } from "./Solution.ts"

export interface Request {
  readonly problem: Problem
  /** Relative gap at which to stop. */
  readonly gap: number
  /** Whether an assignment within the budgets is an answer; default: all are. */
  readonly accept?: ((choice: Assignment) => boolean) | undefined
  /** Assignments known to be accepted. */
  readonly start?: ReadonlyArray<Assignment> | undefined
  /** How often `accept` may be asked; default: as often as it takes. */
  readonly evaluations?: number | undefined
  readonly expired: () => boolean
}

/** Shares of the budgets at which answers are looked for where the first plans are refused. */
const shares = [0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.65, 0.5]

/** One node a step: yields after each, and stops when the driver answers false. */
export function* exact(request: Request): Generator<void, Outcome, boolean> {
  const { problem, gap, accept, expired, evaluations = Infinity } = request
  const dense = compile(problem)
  const evaluate = evaluator(problem)
  let best: { readonly choice: Assignment; readonly objective: number } | null = null
  let evaluated = 0
  let nodes = 0
  const offer = (choice: Assignment, objective: number): void => {
    if (best === null || objective < best.objective) best = { choice, objective }
  }
  for (const choice of request.start ?? []) {
    const evaluation = evaluate(choice)
    if (evaluation.feasible && picksOf(dense, choice) !== null)
      offer(choice, objectiveOf(problem, evaluation))
  }
  const judge = (choice: Assignment): Verdict => {
    const evaluation = evaluate(choice)
    if (!evaluation.feasible) return "refused"
    if (accept !== undefined) {
      if (evaluated >= evaluations) return "unknown"
      evaluated++
      if (!accept(choice)) return "refused"
    }
    offer(choice, objectiveOf(problem, evaluation))
    return "accepted"
  }
  const upper = (): number => best?.objective ?? Infinity
  const reduce = (): Dense | null => presolve(dense, { upper: upper(), dominance: accept === undefined })
  const run = function* (reduced: Dense, scaled: Scaled): Generator<void, Search, boolean> {
    const start = best === null ? null : picksOf(reduced, best.choice)
    return yield* search({
      scaled,
      gap,
      judge: (picks) => judge(expand(reduced, picks)),
      start: start === null ? [] : [start],
      expired: () => expired() || evaluated >= evaluations
    })
  }

  const refuse = accept
  if (refuse !== undefined && best === null) yield* probe()
  let bound = Infinity
  let band = 0
  for (let range = Infinity; ;) {
    const reduced = reduce()
    if (reduced === null) {
      bound = upper()
      break
    }
    const scaled = scale(reduced)
    // Again only if the last scale was too coarse for the answer, and this one is finer.
    if (scaled.objectiveRange >= range / 2) break
    range = scaled.objectiveRange
    const result = yield* run(reduced, scaled)
    nodes += result.nodes
    bound = Math.min(upper(), scaled.objectiveBase + scaled.objectiveUnit * result.bound)
    band = range * resolution * 2 + scaled.objectiveBand
    if (best === null || expired() || evaluated >= evaluations || isFine("ilp", band, upper())) break
  }
  const answer = best as { readonly choice: Assignment } | null
  return { assignment: answer?.choice ?? null, bound, resolution: band, nodes, evaluations: evaluated }

  /** Any accepted plan to begin with: optima under ever tighter budgets, until one is taken. */
  function* probe(): Generator<void, void, boolean> {
    const limits = dense.limits
    for (const share of shares) {
      const tighter = presolve(
        { ...dense, limits: limits.map((limit) => limit * share) },
        { upper: upper(), dominance: true }
      )
      if (tighter === null) return
      let tried: Assignment | null = null
      const found = yield* search({
        scaled: scale(tighter),
        gap: 0.01,
        judge: (picks) => {
          const choice = expand(tighter, picks)
          if (!evaluate(choice).feasible) return "refused"
          tried = choice
          return "accepted"
        },
        start: [],
        expired
      })
      nodes += found.nodes
      if (tried !== null && judge(tried) === "accepted") return
      if (expired() || evaluated >= evaluations) return
    }
  }
}

/**
 * Rivals: the field's other searches on the same network, under the same budgets. They propose whole plans, measure on
 * the tuning data those that keep the budgets when simulated, and choose by what they measured.
 */
import { Choice } from "@bitbudget/quant"
import { Solution, Solver } from "@bitbudget/search"
import { Effect } from "effect"
import { UnusableRequest } from "../errors.ts"
import type { SearchResult } from "../results/search.ts"
import type { Candidates } from "./candidates.ts"
import type { Cookery } from "./cook.ts"
import { evaluate, type Evaluation, lossOf } from "./evaluation.ts"
import type { Job, JobFailure } from "./job.ts"
import type { Measured } from "./measure.ts"
import { acceptance, planOf, problemOf, type Program } from "./program.ts"
import type { Selected } from "./select.ts"

type Row = NonNullable<SearchResult["methods"]>[number]

/** Plans a rival may measure where it is asked for by name and no number is given. */
export const USUAL_EVALUATIONS = 50

interface Found {
  /** Undefined where nothing was found that keeps the budgets. */
  readonly plan: Choice.Choices | undefined
  readonly evaluations: number
  readonly seconds: number
}

/** One method on the network, and a plan tried whole as the methods try theirs. */
const methodsOn = (
  job: Job,
  program: Program,
  { assemble }: Pick<Cookery, "assemble">,
  { tuning }: Pick<Measured, "tuning">,
  { losses }: Pick<Candidates, "losses">
) => {
  const { opened } = program
  const problem = problemOf(program, losses, { table: "estimate" })
  const accept = acceptance(program)
  const tried = (plan: Choice.Choices, what: string): Effect.Effect<Evaluation, JobFailure> =>
    evaluate(job, opened, assemble(plan), tuning, `trying ${what}`)
  const run = Effect.fnUntraced(function* (method: Solution.Rival, evaluations: number) {
    const began = performance.now()
    const answer = yield* Effect.result(
      Solver.solve(problem, {
        method,
        evaluations,
        seed: job.request.seed,
        accept,
        oracle: (choice) =>
          tried(planOf(opened, choice), method).pipe(
            Effect.map((evaluation) => ({ objective: lossOf(evaluation)!, accepted: true })),
            Effect.mapError(({ message }) => new Solution.SolverFailure({ method, why: message }))
          )
      })
    )
    const solution =
      answer._tag === "Success" && answer.success.objective !== null ? answer.success : undefined
    const found: Found = {
      plan: solution === undefined ? undefined : planOf(opened, solution.choice),
      evaluations: solution?.evaluations ?? 0,
      seconds: (performance.now() - began) / 1e3
    }
    return found
  })
  return { run, tried }
}

/** The plan of one rival in place of the proved one. */
export const byMethod = Effect.fn("byMethod")(function* (
  job: Job,
  program: Program,
  cookery: Pick<Cookery, "assemble">,
  measured: Pick<Measured, "tuning">,
  candidates: Pick<Candidates, "losses">,
  { method, evaluations }: { readonly method: Solution.Rival; readonly evaluations: number }
): Effect.fn.Return<Selected, JobFailure> {
  const { run, tried } = methodsOn(job, program, cookery, measured, candidates)
  const { plan, evaluations: spent } = yield* run(method, evaluations)
  if (plan === undefined)
    return yield* new UnusableRequest({
      why: `--method ${method} measured ${spent} plans and found none within the budgets; the exact search (without --method) did: allow it more with --evaluations, or take that`
    })
  const loss = lossOf(yield* tried(plan, method))
  return {
    chosen: { name: method, choices: plan },
    trials: loss === undefined ? [] : [{ name: method, loss }],
    evaluations: spent
  }
})

/** Every rival at as many measured plans as the chosen plan took, or as the user says. */
export const compareMethods = Effect.fn("rivals")(function* (
  job: Job,
  program: Program,
  cookery: Pick<Cookery, "assemble">,
  measured: Pick<Measured, "tuning">,
  candidates: Pick<Candidates, "losses">,
  { chosen, evaluations: spent }: Selected,
  asked: number | undefined
): Effect.fn.Return<ReadonlyArray<Row>, JobFailure> {
  const { costs } = program
  const evaluations = asked ?? Math.max(1, spent)
  const { run, tried } = methodsOn(job, program, cookery, measured, candidates)
  const rowOf = Effect.fnUntraced(function* (
    method: string,
    plan: Choice.Choices | undefined,
    effort: Pick<Row, "evaluations" | "seconds">
  ) {
    const cost = plan === undefined ? undefined : yield* costs.simulate(plan)
    const evaluation = plan === undefined ? undefined : yield* tried(plan, method)
    const row: Row = {
      method,
      loss: (evaluation === undefined ? undefined : lossOf(evaluation)) ?? null,
      top1: evaluation?.metrics["top1"]?.value ?? null,
      latencyMs: cost?.totals.latencyMs ?? null,
      energyMj: cost?.totals.energyMj ?? null,
      bytes: cost?.totals.modelBytes ?? null,
      ...effort
    }
    return row
  })
  // Without labels nothing tells one plan from another.
  if (lossOf(yield* tried(chosen.choices, "the plan as put together")) === undefined) return []
  const rows = [
    yield* rowOf(`chosen (${chosen.name})`, chosen.choices, { evaluations: spent, seconds: null })
  ]
  for (const method of Solution.rivals) {
    const { plan, ...effort } = yield* run(method, evaluations)
    rows.push(yield* rowOf(method, plan, effort))
  }
  return rows
})

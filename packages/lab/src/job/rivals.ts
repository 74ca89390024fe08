/**
 * Rivals: the field's other searches on the same network, under the same budgets, each allowed to measure as many
 * whole plans on the tuning data as the chosen plan took, or as the user says; by them they choose.
 */
import { Choice } from "@bitbudget/quant"
import { Solution, Solver } from "@bitbudget/search"
import { Effect } from "effect"
import type { SearchResult } from "../results/search.ts"
import type { Candidates } from "./candidates.ts"
import type { Cookery } from "./cook.ts"
import { evaluate, type Evaluation, lossOf } from "./evaluation.ts"
import type { Job, JobFailure } from "./job.ts"
import type { Measured } from "./measure.ts"
import { acceptance, planOf, problemOf, type Program } from "./program.ts"
import type { Selected } from "./select.ts"

type Row = NonNullable<SearchResult["methods"]>[number]

export const compareMethods = Effect.fn("rivals")(function* (
  job: Job,
  program: Program,
  { assemble }: Pick<Cookery, "assemble">,
  { tuning }: Pick<Measured, "tuning">,
  { losses }: Pick<Candidates, "losses">,
  { chosen, evaluations: spent }: Selected,
  asked: number | undefined
): Effect.fn.Return<ReadonlyArray<Row>, JobFailure> {
  const { opened, costs } = program
  const evaluations = asked ?? Math.max(1, spent)
  const problem = problemOf(program, losses, { table: "estimate" })
  const accept = acceptance(program)
  const tried = (plan: Choice.Choices, what: string) =>
    evaluate(job, opened, assemble(plan), tuning, `trying ${what}`)
  const rowOf = Effect.fnUntraced(function* (
    method: string,
    plan: Choice.Choices | null,
    evaluation: Evaluation | undefined,
    effort: Pick<Row, "evaluations" | "seconds">
  ) {
    const cost = plan === null ? undefined : yield* costs.simulate(plan)
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
  const own = yield* tried(chosen.choices, "the plan as put together")
  // Without labels nothing tells one plan from another.
  if (lossOf(own) === undefined) return []
  const rows = [
    yield* rowOf(`chosen (${chosen.name})`, chosen.choices, own, {
      evaluations: spent,
      seconds: null
    })
  ]
  for (const method of Solution.rivals) {
    const began = performance.now()
    const answer = yield* Effect.result(
      Solver.solve(problem, {
        method,
        evaluations,
        seed: job.request.seed,
        accept,
        oracle: (choice) =>
          tried(planOf(opened, choice), `${method}`).pipe(
            Effect.map((evaluation) => ({ objective: lossOf(evaluation)!, accepted: true })),
            Effect.mapError(({ message }) => new Solution.SolverFailure({ method, why: message }))
          )
      })
    )
    const seconds = (performance.now() - began) / 1e3
    const solution =
      answer._tag === "Success" && answer.success.objective !== null ? answer.success : undefined
    const plan = solution === undefined ? null : planOf(opened, solution.choice)
    rows.push(
      yield* rowOf(method, plan, plan === null ? undefined : yield* tried(plan, method), {
        evaluations: solution?.evaluations ?? 0,
        seconds
      })
    )
  }
  return rows
})

/**
 * Robust: how sure is each layer's choice? The losses are drawn anew from their standard errors, the program is solved for
 * every draw, and it is counted which choices survive. What the device predicts stays as it is.
 */
import { Choice } from "@bitbudget/quant"
import { Robust, Solver } from "@bitbudget/search"
import { Referee } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import { UnusableRequest } from "../errors.ts"
import type { SearchResult } from "../results/search.ts"
import type { Candidates } from "./candidates.ts"
import type { JobFailure } from "./job.ts"
import type { Measured } from "./measure.ts"
import { assignmentOf, problemAround, type Program } from "./program.ts"

type Found = NonNullable<SearchResult["robust"]>

const unusable = (why: string) => new UnusableRequest({ why })

export const robust = Effect.fn("robust")(function* (
  program: Program,
  { report }: Pick<Measured, "report">,
  { losses, metric }: Pick<Candidates, "losses" | "metric">,
  plan: Choice.Choices,
  { draws, seed }: { readonly draws: number; readonly seed: number }
): Effect.fn.Return<Found, JobFailure> {
  if (metric === "distortion")
    return yield* unusable(
      "--robust: the distortion of several outputs has no standard errors; judge one with --output, or leave it out"
    )
  const layers = new Map(report.layers.map(({ id, byChoice }) => [id, byChoice]))
  const errorOf = (layer: string, choice: string): number | undefined => {
    const format = layers.get(layer)?.[choice]
    return format === undefined ? undefined : Referee.harmStdErr(metric, format)
  }
  const known = program.opened.layers.some(({ id }) =>
    program.opened.choices.get(id)!.some((choice) => errorOf(id, Choice.show(choice)) !== undefined)
  )
  if (!known)
    return yield* unusable(
      `--robust: losses by ${metric} have no standard errors; choose by measured ones with --metric deltaLoss`
    )
  const problem = problemAround(program, losses, plan, errorOf)
  const solve = Effect.orDie(Solver.solve(problem))
  const solution = { ...(yield* solve), choice: assignmentOf(plan) }
  const found = yield* Effect.orDie(Robust.robustness(problem, solution, { draws, seed }))
  return {
    draws,
    regret: found.regret,
    layers: found.groups.map(({ choice, group, shares, survives }) => ({
      id: group,
      choice,
      survives,
      shares
    }))
  }
})

/**
 * Robust: how sure is each layer's choice? The losses are drawn anew from their standard errors, the program is solved for
 * every draw, and it is counted which choices survive. What the device predicts stays as it is.
 */
import { Choice } from "@bitbudget/quant"
import { type Problem, Robust } from "@bitbudget/search"
import { Referee } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import { UnusableRequest } from "../errors.ts"
import type { SearchResult } from "../results/search.ts"
import type { Candidates } from "./candidates.ts"
import type { JobFailure } from "./job.ts"
import type { LossTable } from "./losses.ts"
import type { Measured } from "./measure.ts"
import { assignmentOf, problemOf, type Program } from "./program.ts"

type Found = NonNullable<SearchResult["robust"]>

/** Whose standard errors the losses of a problem have; undefined where a choice has none. */
type LossErrors = (layer: string, choice: string) => number | undefined

/** The problem that every draw of the losses is solved over: a plan that keeps the budgets is within its limits. */
const problemAround = (
  program: Program,
  losses: LossTable["losses"],
  plan: Choice.Choices,
  errorOf: LossErrors
): Problem.Problem => {
  const { budgets = {}, groups, ...rest } = problemOf(program, losses, { table: "estimate" })
  const own = groups.map(({ choices, id }) =>
    choices.find((choice) => choice.id === Choice.show(plan.get(id)!))
  )
  const sumOf = (name: string) => own.reduce((sum, choice) => sum + (choice?.costs[name] ?? 0), 0)
  return {
    ...rest,
    groups: groups.map(({ choices, id }) => ({
      id,
      choices: choices.map((choice) => ({ ...choice, stdErr: { loss: errorOf(id, choice.id) ?? 0 } }))
    })),
    // Estimates and simulations differ: the plan's own sum is a limit that the simulation allows.
    budgets: Object.fromEntries(
      Object.entries(budgets).map(([name, limit]) => [name, Math.max(limit, sumOf(name))])
    )
  }
}

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
  const found = yield* Effect.orDie(
    Robust.robustness(problem, { choice: assignmentOf(plan) }, { draws, seed })
  )
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

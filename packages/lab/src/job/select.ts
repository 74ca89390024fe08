/**
 * Select: whole plans are tried on the tuning data, and the best one is taken, so that the answer is never worse there
 * than a uniform, greedy or other metric's plan within the same budgets. The programs know layers one at a time.
 */
import { Effect } from "effect"
import type { Candidate, Candidates } from "./candidates.ts"
import type { Cookery } from "./cook.ts"
import { evaluate, lossOf } from "./evaluation.ts"
import type { Job, JobFailure } from "./job.ts"
import type { Measured } from "./measure.ts"
import type { Opened } from "./open.ts"

export interface Trial {
  readonly name: string
  /** Mean loss on the tuning data. */
  readonly loss: number
}

export interface Selected {
  readonly chosen: Candidate
  /** Best first; empty where there was nothing to compare. */
  readonly trials: ReadonlyArray<Trial>
  /** Whole plans measured on the way to it, those that were no better included. */
  readonly evaluations: number
}

export const select = Effect.fn("select")(function* (
  job: Job,
  opened: Opened,
  { assemble }: Pick<Cookery, "assemble">,
  { tuning }: Pick<Measured, "tuning">,
  { plans }: Pick<Candidates, "plans">
): Effect.fn.Return<Selected, JobFailure> {
  let chosen = plans[0]!
  const trials: Array<Trial> = []
  // One plan needs no trial. Without labels nothing tells plans apart but the program's own objective.
  if (plans.length > 1)
    for (const plan of plans) {
      const loss = lossOf(yield* evaluate(job, opened, assemble(plan.choices), tuning, `trying ${plan.name}`))
      if (loss === undefined) break
      if (trials.every((other) => loss < other.loss)) chosen = plan
      trials.push({ name: plan.name, loss })
    }
  const selected: Selected = {
    chosen,
    trials: trials.toSorted((a, b) => a.loss - b.loss),
    evaluations: trials.length
  }
  return selected
})

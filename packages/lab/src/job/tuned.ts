/**
 * Tuned: `search --tune`. The chosen plan is trained, and beside it the runner-up among the plans that were tried, which
 * may overtake it: what rounding costs a plan says little of what is left after training. Each is a run of its own in
 * the store; which of them is better is decided on training data held out, and measured on data for testing.
 */
import { Choice, type PlanFile } from "@bitbudget/quant"
import { Effect } from "effect"
import * as path from "node:path"
import type { RunStore } from "../store/RunStore.ts"
import type { SearchResult } from "../results/search.ts"
import { usualTuning } from "../tune/Request.ts"
import { tune } from "../tune/tune.ts"
import { type Candidate, type Candidates, same } from "./candidates.ts"
import type { Cookery } from "./cook.ts"
import type { Job, JobFailure } from "./job.ts"
import type { Program } from "./program.ts"
import type { Selected } from "./select.ts"

type Found = NonNullable<SearchResult["tuned"]>

/** The best other plan that was tried within the budgets. */
const runnerUp = ({ plans }: Candidates, { chosen, trials }: Selected): Candidate | undefined => {
  const byName = new Map(plans.map((plan) => [plan.name, plan]))
  return trials
    .flatMap(({ name }) => byName.get(name) ?? [])
    .find(({ choices }) => !same(choices, chosen.choices))
}

const planOf = (choices: Choice.Choices, recipe: PlanFile.Plan["recipe"]): PlanFile.Plan => ({
  choices,
  unnamed: [],
  default: Choice.f32,
  recipe,
  notes: []
})

export const tuned = Effect.fn("tuned")(function* (
  job: Job,
  { costs }: Program,
  { recipe }: Pick<Cookery, "recipe">,
  candidates: Candidates,
  selected: Selected,
  epochs: number
): Effect.fn.Return<Found, JobFailure, RunStore> {
  const { calibration, data, force, model, out, seed, threads } = job.request
  const rival = runnerUp(candidates, selected)
  const contenders = [
    { ...selected.chosen, folder: path.join(out, "tuned") },
    ...(rival === undefined ? [] : [{ ...rival, folder: path.join(out, "tuned-rival") }])
  ]
  const rows = yield* Effect.forEach(contenders, ({ choices, folder, name }) =>
    Effect.map(
      tune({
        ...usualTuning,
        model,
        plan: planOf(choices, recipe),
        data,
        loss: undefined,
        epochs,
        batch: undefined,
        learningRate: undefined,
        clipNorm: undefined,
        freeze: [],
        recipe,
        calibration,
        seed,
        threads,
        file: path.join(folder, "mixed.onnx"),
        out: folder,
        force
      }),
      ({ bestEpoch, epochs: course, files, measured, run }): Found["contenders"][number] => ({
        name,
        run,
        averageBits: costs.averageBits(choices),
        bestEpoch,
        heldOutLoss: {
          before: course[0]?.heldOutLoss ?? null,
          after: course[bestEpoch]?.heldOutLoss ?? null
        },
        before: measured.before,
        after: bestEpoch > 0 ? measured.after : measured.before,
        files
      })
    )
  )
  const lossOf = ({ heldOutLoss: { after } }: Found["contenders"][number]) => after ?? Infinity
  const best = rows.reduce((a, b) => (lossOf(b) < lossOf(a) ? b : a))
  return { epochs, taken: best.name, contenders: rows }
})

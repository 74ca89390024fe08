/**
 * The loss table of a network with several outputs, or several inputs. A sensitivity is about one output; here every layer is rounded alone,
 * and how far all outputs move from the float network's is measured, so that no head's layers pass for harmless.
 */
import { Choice } from "@bitbudget/quant"
import { Effect } from "effect"
import type { Cookery } from "./cook.ts"
import { evaluate, lossOf } from "./evaluation.ts"
import type { Job, JobFailure } from "./job.ts"
import { type LossTable, monotone } from "./losses.ts"
import type { Measured } from "./measure.ts"
import type { Opened } from "./open.ts"

export const distortionTable = Effect.fn("distortions")(function* (
  job: Job,
  opened: Opened,
  { assemble }: Pick<Cookery, "assemble">,
  { tuning, floatLoss }: Pick<Measured, "tuning" | "floatLoss">
): Effect.fn.Return<LossTable, JobFailure> {
  const losses: Array<ReadonlyMap<string, number>> = []
  for (const { id, name } of opened.layers) {
    const own = opened.choices.get(id)!
    const harms: Array<number> = []
    for (const choice of own) {
      const what = `distortion of all outputs by ${name} at ${Choice.show(choice)}`
      const alone = assemble(new Map([[id, choice]]))
      const harmed = lossOf(yield* evaluate(job, opened, alone, tuning, what)) ?? 0
      harms.push(harmed - (floatLoss ?? 0))
    }
    losses.push(monotone(own, harms))
  }
  return { metric: "distortion", losses }
})

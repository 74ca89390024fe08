/**
 * Finish: the chosen plan cooked as a whole. It is taken where it is no worse on the tuning data than the plan put
 * together from layers that were cooked apart.
 */
import { Effect } from "effect"
import type { Cookery, Prepared } from "./cook.ts"
import { evaluate, lossOf } from "./evaluation.ts"
import type { Job, JobFailure } from "./job.ts"
import type { Measured } from "./measure.ts"
import type { Opened } from "./open.ts"
import type { Selected } from "./select.ts"

export const finish = Effect.fn("finish")(function* (
  job: Job,
  opened: Opened,
  cookery: Cookery,
  { tuning }: Pick<Measured, "tuning">,
  { chosen }: Selected
): Effect.fn.Return<Prepared, JobFailure> {
  const apart = cookery.assemble(chosen.choices)
  const whole = yield* cookery.whole(chosen.choices)
  const before = lossOf(yield* evaluate(job, opened, apart, tuning, "trying the plan as put together"))
  const after = lossOf(yield* evaluate(job, opened, whole, tuning, "trying the plan cooked as a whole"))
  if (before === undefined || after === undefined || after <= before) return whole
  const note =
    "the network is put together from layers rounded apart, which did better on the tuning data than the plan rounded as a whole: keep mixed.onnx, quantize would write the other"
  return { ...apart, notes: [note] }
})

/** Which samples served what: a search divides the data it is given, and says how. */
import type { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { Job } from "./job.ts"
import type { Measured } from "./measure.ts"
import { CALIBRATION_SAMPLES } from "./Request.ts"

/** One sentence, after what the data themselves have to say. */
export const serving = Effect.fn("serving")(function* (
  { request }: Job,
  { report, tuning }: Measured
): Effect.fn.Return<ReadonlyArray<string>, Data.DataFailure> {
  const { data } = request
  const asked = request.calibration ?? CALIBRATION_SAMPLES
  const calibration = yield* data.split("calibration")
  const test = yield* data.split("test")
  const ranges = Math.min(asked, calibration.size)
  const own = report.samples
  const judges = Math.min(own, tuning.split.size - own)
  const fewer = (count: number | undefined, there: number, flag: string): ReadonlyArray<string> =>
    count === undefined || count <= there
      ? []
      : [`${flag} ${count}: the split has only ${there} samples for it, and all were used`]
  return [
    ...data.notes,
    `samples: ${ranges} of ${calibration.size} for activation ranges, ${own} of ${tuning.split.size} for sensitivities ` +
      `and ${judges} more to judge them, ${tuning.samples} to try plans on, ${test.size} for what is measured at the end`,
    ...fewer(request.calibration, calibration.size, "--calibration"),
    ...fewer(request.samples, tuning.split.size, "--samples")
  ]
})

/** Following a sweep until no cell is left: how far it is, then what became of its cells, with their files. */
import { Effect } from "effect"
import * as path from "node:path"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { Database } from "../store/Database.ts"
import type { StoreFailure } from "../store/failures.ts"
import type { Outcome } from "../Sweep.ts"
import { patiently } from "./CellProcess.ts"
import * as Inputs from "./Inputs.ts"
import { type SweepStatus, status, type WorkerStatus } from "./Status.ts"
import * as Sweeps from "./Sweeps.ts"

export interface Followed {
  readonly sweep: SweepStatus
  readonly workers: ReadonlyArray<WorkerStatus>
}

const LOOK_MS = 1000

/** Tells `seen` how far the sweep is; then puts what the cells wrote into `out`, a folder for each as `run` makes them. */
export const follow = Effect.fn("Fleet.follow")(function* (
  row: Sweeps.SweepRow,
  out: string,
  cache: Inputs.Cache,
  seen: (followed: Followed) => Effect.Effect<void>
): Effect.fn.Return<ReadonlyArray<Outcome>, RequestFailure | StoreFailure, Database> {
  while (true) {
    const { sweeps, workers } = yield* patiently(status(row.name))
    const sweep = sweeps[0]!
    yield* seen({ sweep, workers })
    if (sweep.status === "done") break
    if (sweep.status === "cancelled")
      return yield* new UnusableRequest({
        why: `sweep "${row.name}" was cancelled after ${sweep.done + sweep.failed} of ${sweep.cells} cells; run the same again to go on`
      })
    yield* Effect.sleep(LOOK_MS)
  }
  const settled = yield* patiently(Sweeps.outcomes(row))
  for (const { outcome, files } of settled) {
    const folder = path.join(out, outcome.key)
    // A cell's folder is called by what was asked, and may be that of a sweep with other inputs.
    const lacking = yield* Inputs.lacking(files, folder)
    if (lacking.length > 0) yield* patiently(Inputs.materialise(lacking, folder, cache))
  }
  return settled.map(({ outcome }) => outcome)
})

/** A run under way: what was asked, where its stages are kept. */
import { Effect } from "effect"
import type { StoreFailure } from "../store/failures.ts"
import { RunStore } from "../store/RunStore.ts"
import type { RequestFailure } from "../errors.ts"
import type { Stage } from "../store/Stage.ts"
import type { Request } from "./Request.ts"

/** What can end a run. */
export type JobFailure = RequestFailure | StoreFailure

export interface Job {
  readonly run: string
  readonly request: Request
  /** Digest of the data: content, preprocessing, splits. */
  readonly data: string
  /** The result of a stage with these inputs, from the store or from `work`. */
  readonly stage: <A, E, R>(
    stage: Stage<A>,
    inputs: unknown,
    work: Effect.Effect<A, E, R>,
    name?: string
  ) => Effect.Effect<A, E | StoreFailure, R>
}

export const make = Effect.fn(function* (run: string, request: Request, data: string) {
  const store = yield* RunStore
  const job: Job = {
    run,
    request,
    data,
    stage: (stage, inputs, work, name) =>
      store.stage(run, stage, inputs, work, {
        fresh: request.force,
        ...(name === undefined ? {} : { name })
      })
  }
  return job
})

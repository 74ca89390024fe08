/**
 * What sweeps keep as JSON in the database, read back through its Schema: a row that somebody changed is told of, and nothing
 * is worked on by it.
 */
import { Effect, Schema } from "effect"
import { Database } from "../store/Database.ts"
import { StoreFailure } from "../store/failures.ts"
import { Cell, SweepPlan } from "../Sweep.ts"
import * as Inputs from "./Inputs.ts"

const reader = <A, I>(what: string, schema: Schema.Codec<A, I>) => {
  const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(schema))
  return Effect.fnUntraced(function* (text: string): Effect.fn.Return<A, StoreFailure, Database> {
    const { file } = yield* Database
    return yield* Effect.mapError(
      decode(text),
      () =>
        new StoreFailure({
          file,
          why: `${what} is not what was recorded`,
          mend: "record the sweep again under another name, or restore the database"
        })
    )
  })
}

/** What waits in a queue. */
export const QueuedCell = Schema.Struct({ sweep: Schema.String, cell: Cell })

export const planOf = reader("the plan of a sweep", SweepPlan)
export const manifestOf = reader("the list of a sweep's inputs", Inputs.Manifest)
export const filesOf = reader("the list of a cell's files", Schema.Array(Inputs.Kept))
export const queuedOf = reader("a cell in the queue", QueuedCell)

/** A worker whose cells are done at once: what the queue itself takes. `node empty.ts ADDRESS JOBS FOLDER` ends when no cell is left. */
import { Database, Fleet } from "@bitbudget/lab"
import { Effect, Logger } from "effect"

const [, , address, jobs, folder] = process.argv

await Effect.runPromise(
  Fleet.work({
    versions: { version: "bench", runtime: "none" },
    jobs: Number(jobs),
    threads: 1,
    only: undefined,
    drain: true,
    cache: { folder: folder!, atMostBytes: 1e9, inputs: undefined },
    say: (text) => Effect.sync(() => console.error(text)),
    executor: () =>
      Effect.succeed(({ cell }) =>
        Effect.succeed({
          kind: "settled" as const,
          outcome: { key: cell.key, status: "done" as const, run: null, why: null },
          files: []
        })
      )
  }).pipe(
    Effect.scoped,
    Effect.provide(Logger.layer([])),
    Effect.provide(Fleet.queue),
    Effect.provide(Database.layer(address!))
  )
)

/**
 * A process that works on a store, for tests that run several at once or kill them:
 * `node worker.ts DB FIRST COUNT LOG [milliseconds of work a stage]` does COUNT runs, each with a stage of its own and one
 * that all runs share, and logs a line for every piece of work and every run that was reported done.
 */
import { Effect, Schema } from "effect"
import { appendFileSync } from "node:fs"
import { RunStore } from "../../src/store/RunStore.ts"
import * as Stage from "../../src/store/Stage.ts"
import { newRun, outcome } from "../storeFixtures.ts"

const [, , file, first, count, log, workMs = "0"] = process.argv
const stage = Stage.make("stage", 1, Schema.String)

const work = (what: string) =>
  Effect.andThen(
    Effect.sleep(Number(workMs)),
    Effect.sync(() => {
      appendFileSync(log!, `work ${what}\n`)
      return `result of ${what}`
    })
  )

const one = (n: number) =>
  Effect.gen(function* () {
    const store = yield* RunStore
    const id = n.toString(16).padStart(16, "0")
    yield* store.begin(newRun(id))
    // Ten runs share a stage, as budgets of one network do.
    const own = yield* store.stage(id, stage, ["own", n], work(`own ${n}`), { name: "own" })
    const shared = yield* store.stage(id, stage, ["shared", n % 10], work(`shared ${n % 10}`), {
      name: "shared"
    })
    yield* store.finish(id, outcome({ bytes: own.length + shared.length }))
    appendFileSync(log!, `done ${id}\n`)
  })

await Effect.runPromise(
  Effect.forEach(
    Array.from({ length: Number(count) }, (_, i) => Number(first) + i),
    one,
    { discard: true }
  ).pipe(Effect.provide(RunStore.layer(file!)))
)

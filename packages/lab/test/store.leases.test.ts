/** Leases and runs whose owners are gone, on files and on a server: by whose clock, and what a process left under its own name. */
import { Effect, Schema } from "effect"
import { afterEach, describe, expect, it, vi } from "vitest"
import { Database, RunStore } from "../src/index.ts"
import { nowMs } from "../src/store/clock.ts"
import { self } from "../src/store/owner.ts"
import * as Stage from "../src/store/Stage.ts"
import { newRun } from "./storeFixtures.ts"
import { places } from "./support/places.ts"

const stage = Stage.make("stage", 1, Schema.String)
const HOUR_MS = 3.6e6
const id = "00000000000000aa"

const leased = (owner: string, token: string) =>
  Effect.gen(function* () {
    const { sql } = yield* Database
    const untilMs = (yield* nowMs(sql)) + 60_000
    yield* sql`INSERT INTO leases ${sql.insert({ key: Stage.keyOf(stage, [1]), token, owner, untilMs })}`
  })

const work = Effect.gen(function* () {
  const store = yield* RunStore
  yield* store.begin(newRun(id))
  return yield* store.stage(id, stage, [1], Effect.succeed("made"))
})

describe.each(places)("leases on $kind", ({ kind, fresh }) => {
  afterEach(() => vi.restoreAllMocks())

  it("one that this process gave up while the database was away is taken again", async () => {
    const place = await fresh()
    const made = await Effect.runPromise(
      Effect.andThen(leased(self, "given up"), work).pipe(
        Effect.timeout("20 seconds"),
        Effect.provide(RunStore.layer(place))
      )
    )
    expect(made).toBe("made")
  })

  it("one of another machine is believed until it ends", async () => {
    const place = await fresh()
    const ended = await Effect.runPromise(
      Effect.andThen(leased('["elsewhere",1,""]', "theirs"), work).pipe(
        Effect.timeoutOption("2 seconds"),
        Effect.provide(RunStore.layer(place))
      )
    )
    expect(ended._tag).toBe("None")
  })

  it.runIf(kind === "PostgreSQL")(
    "a machine whose clock is an hour ahead takes nothing that others work at",
    async () => {
      const place = await fresh()
      const ended = await Effect.runPromise(
        Effect.gen(function* () {
          yield* leased('["elsewhere",1,""]', "theirs")
          const ahead = Date.now() + HOUR_MS
          vi.spyOn(Date, "now").mockImplementation(() => ahead)
          return yield* Effect.timeoutOption(work, "2 seconds")
        }).pipe(Effect.provide(RunStore.layer(place)))
      )
      expect(ended._tag).toBe("None")
    }
  )

  it("a run whose process died is interrupted when the store is opened", async () => {
    const place = await fresh()
    const [where, , start] = JSON.parse(self) as [string, number, string]
    const dead = JSON.stringify([where, 2 ** 22 + 1, start])
    await Effect.runPromise(
      Effect.gen(function* () {
        const { sql } = yield* Database
        yield* (yield* RunStore).begin(newRun(id))
        yield* sql`UPDATE runs SET owner = ${dead} WHERE id = ${id}`
      }).pipe(Effect.provide(RunStore.layer(place)))
    )
    const rows = await Effect.runPromise(
      Effect.flatMap(Database, ({ sql }) => sql`SELECT status FROM runs`).pipe(
        Effect.provide(Database.layer(place))
      )
    )
    expect(rows).toEqual([{ status: "interrupted" }])
  })
})

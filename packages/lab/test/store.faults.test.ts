/** Every operation of the database fails once: the next attempt ends the same, and the file is sound. */
import { Effect, Schema } from "effect"
import { mkdtempSync, readdirSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import sqlite3 from "sqlite3"
import { afterEach, expect, it } from "vitest"
import { Database, Runs, RunStore } from "../src/index.ts"
import * as Stage from "../src/store/Stage.ts"
import { newRun, outcome } from "./storeFixtures.ts"

const stage = Stage.make("text", 1, Schema.String)
const id = "00000000000000aa"

/** What work does with the store, from beginning to end. */
const life = Effect.gen(function* () {
  const store = yield* RunStore
  yield* store.begin(newRun(id))
  const first = yield* store.stage(id, stage, [1], Effect.succeed("first"), { name: "first" })
  const second = yield* store.stage(id, stage, [2], Effect.succeed(`${first} and second`), { name: "second" })
  yield* store.finish(id, outcome({ bytes: second.length }))
})

const attempt = (file: string) =>
  Effect.runPromise(
    Effect.match(Effect.provide(life, RunStore.layer(file)), {
      onSuccess: () => "done",
      onFailure: (error) => (error._tag === "StoreFailure" ? error.message : "another kind of failure")
    })
  )

const original = sqlite3.Database.prototype.all

/** Lets the n-th statement from now on fail as SQLite would; tells whether there was one. */
const failing = (nth: number, code: string): (() => boolean) => {
  let calls = 0
  const faulty = function (this: sqlite3.Database, ...args: ReadonlyArray<unknown>) {
    if (++calls !== nth) return Reflect.apply(original, this, args)
    const done = args.at(-1)
    const error = Object.assign(new Error(`${code}: made to fail`), { code, errno: 0 })
    if (typeof done === "function") setImmediate(() => Reflect.apply(done, this, [error, []]))
    return this
  }
  Object.assign(sqlite3.Database.prototype, { all: faulty })
  return () => {
    Object.assign(sqlite3.Database.prototype, { all: original })
    return calls >= nth
  }
}

afterEach(() => {
  Object.assign(sqlite3.Database.prototype, { all: original })
})

/** What a run left, without the times it was made at. */
const left = (file: string) =>
  Effect.runPromise(
    Effect.gen(function* () {
      const { sql } = yield* Database
      expect(yield* sql`PRAGMA integrity_check`).toEqual([{ integrity_check: "ok" }])
      expect(yield* sql`SELECT count(*) AS n FROM leases`).toEqual([{ n: 0 }])
      const { summary, layers, plans, measurements } = yield* Runs.show(id)
      const { startedAt: _s, finishedAt: _f, durationS: _d, ...same } = summary
      return { same, layers, plans, measurements }
    }).pipe(Effect.provide(Database.layer(file)))
  )

it.each([
  ["SQLITE_FULL", "the disk is full"],
  ["SQLITE_IOERR", "the disk reports an error"]
])("%s at any statement", async (code, words) => {
  const whole = path.join(mkdtempSync(path.join(tmpdir(), "bitbudget-faults-")), "runs.db")
  expect(await attempt(whole)).toBe("done")
  const wanted = await left(whole)
  let [failures, told] = [0, 0]
  // From the creation of the file to the last commit.
  for (let nth = 1; nth < 400; nth += nth < 60 ? 11 : 2) {
    const dir = mkdtempSync(path.join(tmpdir(), "bitbudget-faults-"))
    const file = path.join(dir, "runs.db")
    const restore = failing(nth, code)
    const said = await attempt(file)
    if (!restore()) break
    failures++
    if (said !== "done") {
      told++
      expect(said).toContain(words)
    }
    expect(await attempt(file)).toBe("done")
    expect(await left(file)).toEqual(wanted)
    expect(readdirSync(dir).filter((name) => !name.startsWith("runs.db"))).toEqual([])
  }
  expect(failures).toBeGreaterThan(15)
  // A failure to give a lease back is made up for; all others are told.
  expect(told).toBeGreaterThan(0.8 * failures)
})

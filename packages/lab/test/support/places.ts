/**
 * Where stores are kept that tests run on: files, and a PostgreSQL server where `BITBUDGET_TEST_POSTGRES` names one on which
 * databases may be made (`.ci/run` starts one).
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"

export interface Place {
  readonly kind: "SQLite" | "PostgreSQL"
  /** The `--db` of a store that is not there yet. */
  readonly fresh: () => Promise<string>
}

const server = process.env["BITBUDGET_TEST_POSTGRES"]
if (server === undefined) console.warn("BITBUDGET_TEST_POSTGRES is not set: tests on PostgreSQL are skipped")

/** On the server, as whoever owns it. */
export const onServer = (address: string, text: string) =>
  Effect.runPromise(
    Effect.gen(function* () {
      const sql = yield* PgClient.make({ url: Redacted.make(address), maxConnections: 1 })
      return yield* sql.unsafe<Record<string, unknown>>(text)
    }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
  )

const onPostgres = (address: string): Place => {
  let made = 0
  return {
    kind: "PostgreSQL",
    fresh: async () => {
      const name = `bitbudget_${process.pid}_${Date.now()}_${(made += 1)}`
      await onServer(address, `CREATE DATABASE ${name}`)
      const url = new URL(address)
      url.pathname = `/${name}`
      return url.href
    }
  }
}

const inFiles: Place = {
  kind: "SQLite",
  fresh: () => Promise.resolve(path.join(mkdtempSync(path.join(tmpdir(), "bitbudget-store-")), "runs.db"))
}

export const places: ReadonlyArray<Place> = [inFiles, ...(server === undefined ? [] : [onPostgres(server)])]

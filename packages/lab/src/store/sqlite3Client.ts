/**
 * Effect's SqlClient over the callback-style `sqlite3` package: write-ahead log, foreign keys, busy timeout.
 *
 * sqlite3 reports primary result codes only, so a unique violation is told from its message.
 */
import { Effect, Layer, Semaphore, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlConnection } from "effect/sql"
import { SqlClient, SqlError, Statement } from "effect/sql"
import sqlite3 from "sqlite3"

const BUSY_TIMEOUT_MS = 5000

const withExtendedCode = (cause: Error) =>
  cause.message.includes("UNIQUE constraint failed:")
    ? Object.assign(cause, { code: "SQLITE_CONSTRAINT_UNIQUE", errno: 2067 })
    : cause

const failure = (cause: Error, operation: string) =>
  new SqlError.SqlError({
    reason: SqlError.classifySqliteError(withExtendedCode(cause), { message: cause.message, operation })
  })

const open = (filename: string) =>
  Effect.acquireRelease(
    Effect.callback<sqlite3.Database, SqlError.SqlError>((resume) => {
      const db = new sqlite3.Database(filename, (error) =>
        resume(error ? Effect.fail(failure(error, "open")) : Effect.succeed(db))
      )
    }),
    (db) => Effect.callback<void>((resume) => db.close(() => resume(Effect.void)))
  )

type Row = Record<string, unknown>

const make = Effect.fnUntraced(function* (filename: string) {
  const db = yield* open(filename)
  db.configure("busyTimeout", BUSY_TIMEOUT_MS)
  const all = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.callback<ReadonlyArray<Row>, SqlError.SqlError>((resume) => {
      db.all<Row>(sql, [...params], (error, rows) =>
        resume(error ? Effect.fail(failure(error, "execute")) : Effect.succeed(rows))
      )
    })
  const run = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.callback<unknown, SqlError.SqlError>((resume) => {
      db.run(sql, [...params], function (error) {
        resume(
          error
            ? Effect.fail(failure(error, "execute"))
            : Effect.succeed({ changes: this.changes, lastID: this.lastID })
        )
      })
    })
  const values = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.map(all(sql, params), (rows) => rows.map((row) => Object.values(row)))

  yield* all("PRAGMA journal_mode = WAL", [])
  yield* all("PRAGMA foreign_keys = ON", [])

  const connection: SqlConnection.Connection = {
    execute: (sql, params, transform) =>
      transform ? Effect.map(all(sql, params), transform) : all(sql, params),
    executeUnprepared: (sql, params, transform) =>
      transform ? Effect.map(all(sql, params), transform) : all(sql, params),
    executeRaw: run,
    executeValues: values,
    executeValuesUnprepared: values,
    executeStream: (sql, params) => Stream.fromIterableEffect(all(sql, params))
  }
  const acquirers = SqlClient.makeSqliteAcquirers({
    connection: Effect.succeed(connection),
    semaphore: yield* Semaphore.make(1)
  })
  return yield* SqlClient.make({
    driver: "sqlite3",
    ...acquirers,
    beginTransaction: "BEGIN IMMEDIATE",
    compiler: Statement.makeCompilerSqlite(),
    spanAttributes: [["db.system.name", "sqlite"]]
  })
})

export const layer = (filename: string): Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> =>
  Layer.effect(SqlClient.SqlClient, make(filename)).pipe(Layer.provide(Reactivity.layer))

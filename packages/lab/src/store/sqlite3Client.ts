/**
 * Effect's SqlClient over the callback-style `sqlite3` package: write-ahead log, foreign keys, waiting for locks.
 *
 * sqlite3 reports primary result codes only, so a unique violation is told from its message.
 */
import { Effect, Layer, Schedule, Semaphore, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlConnection } from "effect/sql"
import { SqlClient, SqlError, Statement } from "effect/sql"
import { pathToFileURL } from "node:url"
import sqlite3 from "sqlite3"

const BUSY_TIMEOUT_MS = 30_000
/** Of the database's pages in memory: the index that lists read, of some hundred thousand runs. */
const CACHE_KB = 64_000

export interface Options {
  /**
   * "write" creates the file where it is missing; "read" changes nothing; "still" reads a file that nobody writes, in
   * places where not even the log beside it can be made.
   */
  readonly access: "write" | "read" | "still"
  /** Off while tables are rebuilt; on when absent. */
  readonly foreignKeys?: boolean
  /** Statements that take longer are interrupted. */
  readonly timeLimitMs?: number
}

const withExtendedCode = (cause: Error) =>
  cause.message.includes("UNIQUE constraint failed:")
    ? Object.assign(cause, { code: "SQLITE_CONSTRAINT_UNIQUE", errno: 2067 })
    : cause

const failure = (cause: Error, operation: string) =>
  new SqlError.SqlError({
    reason: SqlError.classifySqliteError(withExtendedCode(cause), { message: cause.message, operation })
  })

const flags = {
  write: sqlite3.OPEN_READWRITE | sqlite3.OPEN_CREATE,
  read: sqlite3.OPEN_READONLY,
  still: sqlite3.OPEN_READONLY | sqlite3.OPEN_URI
}

const open = (filename: string, access: Options["access"]) =>
  Effect.acquireRelease(
    Effect.callback<sqlite3.Database, SqlError.SqlError>((resume) => {
      const name = access === "still" ? `${pathToFileURL(filename).href}?immutable=1` : filename
      const db = new sqlite3.Database(name, flags[access], (error) =>
        resume(error ? Effect.fail(failure(error, "open")) : Effect.succeed(db))
      )
    }),
    (db) => Effect.callback<void>((resume) => db.close(() => resume(Effect.void)))
  )

type Row = Record<string, unknown>

export const make = Effect.fnUntraced(function* (filename: string, options: Options) {
  const { access, foreignKeys = true, timeLimitMs } = options
  const db = yield* open(filename, access)
  db.configure("busyTimeout", BUSY_TIMEOUT_MS)
  /** One statement, interrupted when its time is up. */
  const limited = <A>(start: (done: (error: Error | null, result: A) => void) => void) =>
    Effect.callback<A, SqlError.SqlError>((resume) => {
      const timer = timeLimitMs === undefined ? undefined : setTimeout(() => db.interrupt(), timeLimitMs)
      start((error, result) => {
        clearTimeout(timer)
        resume(error ? Effect.fail(failure(error, "execute")) : Effect.succeed(result))
      })
    })
  const all = (sql: string, params: ReadonlyArray<unknown>) =>
    limited<ReadonlyArray<Row>>((done) => db.all<Row>(sql, [...params], done))
  const run = (sql: string, params: ReadonlyArray<unknown>) =>
    limited<unknown>((done) =>
      db.run(sql, [...params], function (error) {
        done(error, { changes: this.changes, lastID: this.lastID })
      })
    )
  const values = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.map(all(sql, params), (rows) => rows.map((row) => Object.values(row)))

  yield* all(`PRAGMA cache_size = ${-CACHE_KB}`, [])
  if (access === "write") {
    // Several processes may create the file at once; changing the kind of journal does not wait for locks by itself.
    yield* Effect.retry(all("PRAGMA journal_mode = WAL", []), {
      while: ({ reason }) => reason._tag === "LockTimeoutError",
      schedule: Schedule.spaced(50),
      times: 200
    })
    // What was reported done survives a power cut too.
    yield* all("PRAGMA synchronous = FULL", [])
    yield* all(`PRAGMA foreign_keys = ${foreignKeys ? "ON" : "OFF"}`, [])
  }

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
  }).pipe(Effect.provide(Reactivity.layer))
})

export const layer = (
  filename: string,
  options: Options
): Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> =>
  Layer.effect(SqlClient.SqlClient, make(filename, options))

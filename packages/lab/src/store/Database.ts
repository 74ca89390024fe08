/**
 * The database, opened with care: what is no run store, is damaged or of a newer version is refused untouched; an
 * older version is backed up and brought up to date; a file that may not be written can be read; asking a file that does
 * not exist makes none.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import { Migrator, SqlClient, SqlError } from "effect/sql"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { isAddress, withoutPassword } from "./address.ts"
import { nowMs } from "./clock.ts"
import { inWords, StoreFailure } from "./failures.ts"
import { LATEST, migrations } from "./migrations.ts"
import * as Owner from "./owner.ts"
import * as Sqlite3 from "./sqlite3Client.ts"

export interface Options {
  /** "read" makes and changes nothing that can be left as it is. */
  readonly access: "write" | "read"
}

export class Database extends Context.Service<
  Database,
  {
    /** Its file; of a database on a server, the address without its password. */
    readonly file: string
    /** Where copies of what is removed go: `<beside>.removed-….json`. */
    readonly beside: string
    /** Whether the file is there; questions about a missing one are answered with nothing. */
    readonly exists: boolean
    readonly sql: SqlClient.SqlClient
    /** Another connection to the same tables, which cannot write and whose statements have to end in time. */
    readonly reader: (
      timeLimitMs: number
    ) => Effect.Effect<SqlClient.SqlClient, SqlError.SqlError, Scope.Scope>
    /** SQL's errors as failures of this database, in words. */
    readonly safe: <A, E, R>(
      effect: Effect.Effect<A, E | SqlError.SqlError, R>
    ) => Effect.Effect<A, Exclude<E, SqlError.SqlError> | StoreFailure, R>
  }
>()("@bitbudget/lab/Database") {
  static readonly layer = (
    file: string,
    options: Options = { access: "write" }
  ): Layer.Layer<Database, StoreFailure> =>
    Layer.effect(this, isAddress(file) ? openOnServer(file, options) : open(file, options))
}

const IN_MEMORY = ":memory:"

/** Files up to this size are checked whole when they are opened, larger ones by `runs gc`. */
const CHECKED_BYTES = 16e6

const isSqlError = (error: unknown): error is SqlError.SqlError => error instanceof SqlError.SqlError

const safeFor =
  (file: string) =>
  <A, E, R>(effect: Effect.Effect<A, E | SqlError.SqlError, R>) =>
    Effect.catchIf(effect, isSqlError, (error) => Effect.fail(inWords(file, error))) as Effect.Effect<
      A,
      Exclude<E, SqlError.SqlError> | StoreFailure,
      R
    >

const refuse = (file: string, why: string, mend = "choose another with --db") =>
  new StoreFailure({ file, why, mend })

const newer = (file: string, version: number) =>
  refuse(
    file,
    `was written by a newer version of bitbudget (its tables are of version ${version}, this one knows ${LATEST})`,
    "update bitbudget, or choose another with --db"
  )

/** Runs what migrations are missing; on a server all of them or none. */
export const migrate = (
  file: string,
  sql: SqlClient.SqlClient,
  loader: Migrator.Loader = migrations,
  table = "migrations"
) =>
  Migrator.make({})({ loader, table }).pipe(
    Effect.provideService(SqlClient.SqlClient, sql),
    Effect.catchTag("MigrationError", (error) => {
      const { cause } = error
      return Effect.fail(isSqlError(cause) ? inWords(file, cause) : refuse(file, error.message))
    }),
    Effect.asVoid
  )

/** Whether anybody may write the file and, for its log, the folder. */
const mayWrite = (file: string): boolean => {
  try {
    fs.accessSync(path.dirname(path.resolve(file)), fs.constants.W_OK)
    if (fs.existsSync(file)) fs.accessSync(file, fs.constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** The version of an existing file; 0 for an empty one. Fails where it is something else. */
const versionOf = Effect.fnUntraced(function* (file: string, sql: SqlClient.SqlClient, size: number) {
  if (size <= CHECKED_BYTES) {
    const [check] = yield* sql<{ quick_check: string }>`PRAGMA quick_check(1)`
    if (check !== undefined && check.quick_check !== "ok")
      return yield* refuse(
        file,
        `is damaged: ${check.quick_check}`,
        "restore a backup, or choose another with --db"
      )
  }
  const names = (yield* sql<{ name: string }>`SELECT name FROM sqlite_schema WHERE type = 'table'`).map(
    ({ name }) => name
  )
  if (names.length === 0) return 0
  if (!names.includes("migrations")) return yield* refuse(file, "belongs to another program")
  const [row] = yield* sql<{ version: number | null }>`SELECT max(migration_id) AS version FROM migrations`
  const version = row?.version ?? 0
  if (version > 0 && !names.includes("runs")) return yield* refuse(file, "belongs to another program")
  if (version > LATEST) return yield* newer(file, version)
  return version
})

/** Looks at a file without changing it. */
const reading = (file: string, limits: Pick<Sqlite3.Options, "timeLimitMs"> = {}) =>
  Effect.gen(function* () {
    const sql = yield* Sqlite3.make(file, { access: "read", ...limits })
    // Opening is lazy: only a first question tells whether the log beside the file can be used.
    yield* sql`SELECT count(*) FROM sqlite_schema`
    return sql
  }).pipe(
    Effect.catchIf(
      (error) => /^SQLITE_(CANTOPEN|READONLY)/.test(error.reason.message),
      () => Sqlite3.make(file, { access: "still", ...limits })
    )
  )

/** A copy beside the file, under a name nothing has yet. */
const backUp = Effect.fnUntraced(function* (file: string, version: number, sql: SqlClient.SqlClient) {
  for (let n = 1; ; n++) {
    const copy = `${file}.version${version}${n === 1 ? "" : `.${n}`}.backup`
    if (fs.existsSync(copy)) continue
    yield* sql`VACUUM INTO ${copy}`
    return copy
  }
})

/** Runs whose process died are interrupted. */
const reap = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const rows = yield* dead(sql)
  for (const { id, owner } of rows)
    yield* sql`UPDATE runs SET status = 'interrupted', finishedAt = ${new Date().toISOString()}
      WHERE id = ${id} AND status = 'running' AND owner IS NOT DISTINCT FROM ${owner}`
})

interface Running {
  readonly id: string
  readonly owner: string | null
  readonly leaseUntilMs: number | null
}

const dead = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const rows = yield* sql<Running>`SELECT id, owner, leaseUntilMs FROM runs WHERE status = 'running'`
  if (rows.length === 0) return []
  const now = yield* nowMs(sql)
  return rows.filter(({ owner, leaseUntilMs }) => Owner.isGone(owner, leaseUntilMs, now))
})

/** Tables are rebuilt with foreign keys off, on a connection of its own. */
const broughtUpToDate = (file: string, at: string) =>
  Effect.scoped(
    Effect.flatMap(Sqlite3.make(at, { access: "write", foreignKeys: false }), (sql) => migrate(file, sql))
  )

const writable = Effect.fnUntraced(function* (file: string, version: number | undefined) {
  if (version !== undefined && version > 0 && version < LATEST) {
    const sql = yield* Sqlite3.make(file, { access: "read" })
    yield* backUp(file, version, sql)
  }
  if (version !== LATEST) yield* broughtUpToDate(file, file)
  const sql = yield* Sqlite3.make(file, { access: "write" })
  yield* reap(sql)
  const connected: Connected = { sql, at: file }
  return connected
})

/** A connection, and the file it is to; none for one in memory. */
interface Connected {
  readonly sql: SqlClient.SqlClient
  readonly at: string | undefined
}

/** A migrated copy in the folder of temporary files: an older version that may not be written can be read. */
const migratedCopy = Effect.fnUntraced(function* (file: string, sql: SqlClient.SqlClient) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(tmpdir(), "bitbudget-"))),
    (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true }))
  )
  const copy = path.join(folder, "copy.db")
  yield* sql`VACUUM INTO ${copy}`
  yield* broughtUpToDate(file, copy)
  const connected: Connected = { sql: yield* Sqlite3.make(copy, { access: "write" }), at: copy }
  return connected
})

const inMemory = Effect.fnUntraced(function* (file: string) {
  const sql = yield* Sqlite3.make(IN_MEMORY, { access: "write" })
  yield* migrate(file, sql)
  const connected: Connected = { sql, at: undefined }
  return connected
})

const connect = Effect.fnUntraced(function* (
  file: string,
  { access }: Options
): Effect.fn.Return<Connected, StoreFailure | SqlError.SqlError, Scope.Scope> {
  if (file === "") return yield* refuse(file, "has no name", "name a file with --db")
  const found = fs.statSync(file, { throwIfNoEntry: false })
  if (found === undefined) {
    if (access === "read") return yield* inMemory(file)
    const folder = path.dirname(path.resolve(file))
    if (!fs.existsSync(folder))
      return yield* refuse(file, `there is no folder ${folder}`, "make it, or choose another with --db")
    return yield* writable(file, undefined)
  }
  if (found.isDirectory()) return yield* refuse(file, "is a folder")
  if (!found.isFile()) return yield* refuse(file, "is a device, not a file")
  if (found.size === 0 && access === "write") return yield* writable(file, undefined)
  if (found.size === 0) return yield* inMemory(file)
  const looking = yield* Effect.scoped(
    Effect.gen(function* () {
      const sql = yield* reading(file)
      const version = yield* versionOf(file, sql, found.size)
      return { version, stale: version === LATEST && (yield* dead(sql)).length > 0 }
    })
  )
  const { version, stale } = looking
  if (access === "write" && !mayWrite(file)) return yield* refuse(file, "it or its folder may not be written")
  if (access === "write") return yield* writable(file, version)
  if ((version < LATEST || stale) && mayWrite(file)) return yield* writable(file, version)
  const sql = yield* reading(file)
  return version < LATEST ? yield* migratedCopy(file, sql) : { sql, at: file }
})

const open = Effect.fnUntraced(function* (file: string, options: Options) {
  const safe = safeFor(file)
  const exists = fs.existsSync(file)
  const { sql, at } = yield* safe(connect(file, options))
  const reader = (timeLimitMs: number) =>
    at === undefined ? Effect.succeed(sql) : reading(at, { timeLimitMs })
  return Database.of({ file, beside: file, exists, sql, reader, safe })
})

/** The version of a database on a server; 0 where it is empty. Fails where it is something else. */
const versionOnServer = Effect.fnUntraced(function* (shown: string, sql: SqlClient.SqlClient) {
  const rows = yield* sql<{ name: string }>`SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'`
  const names = new Set(rows.map(({ name }) => name))
  if (names.size === 0) return 0
  if (!names.has("migrations") || !names.has("runs"))
    return yield* refuse(shown, "belongs to another program")
  const [row] = yield* sql<{ version: number | null }>`SELECT max(migration_id) AS version FROM migrations`
  const version = row?.version ?? 0
  return version > LATEST ? yield* newer(shown, version) : version
})

/** A database on a server: the same tables, made where there are none, and with a reader that the server lets only read. */
const openOnServer = Effect.fnUntraced(function* (address: string, { access }: Options) {
  // Most runs are in files, which need none of this.
  const Postgres = yield* Effect.promise(() => import("./postgres.ts"))
  const shown = withoutPassword(address)
  const safe = safeFor(shown)
  const sql = yield* safe(
    Effect.gen(function* () {
      const sql = yield* Postgres.make(address, { access: "write" })
      const version = yield* versionOnServer(shown, sql)
      if (version === LATEST) {
        if (access === "write") yield* reap(sql)
        return sql
      }
      if (access === "read")
        return yield* refuse(
          shown,
          "has no tables yet",
          "make them by a first search, or choose another with --db"
        )
      yield* migrate(shown, sql, Postgres.migrations)
      return sql
    })
  )
  const reader = (timeLimitMs: number) => Postgres.make(address, { access: "read", timeLimitMs })
  return Database.of({ file: shown, beside: "bitbudget", exists: true, sql, reader, safe })
})

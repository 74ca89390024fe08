/**
 * The queue of cells: Effect's own (`PersistedQueue`), with the times that decide how long a cell may be left alone.
 *
 * A worker takes a cell and renews its hold on it; the hold of one that died ends by the server's clock, and another takes
 * the cell. What takes its worker down too often is set aside with its error. docs/decisions/0010-sweeps.md says why cells
 * are pulled from a queue and not sent to machines.
 */
import { Context, Effect, Layer, References } from "effect"
import { PersistedQueue } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { Database, migrate } from "../store/Database.ts"
import { StoreFailure } from "../store/failures.ts"
import { SWEEPS_LATEST, sweepMigrations } from "./schema.ts"

export const TABLE = "sweep_queue"

/** How long the cell of a worker that fell silent is left alone. */
export const HOLD_SECONDS = 40
const RENEW_SECONDS = 10

/** Between two questions for cells where there are none. */
export const POLL_MS = 500

/** Any number that no other program locks by: one process makes the tables. */
const MAKING = 1_650_810_113

/** What the server must be able to do (`FOR UPDATE SKIP LOCKED`, `tcp_user_timeout`). */
const OLDEST_SERVER = 12

export const tooOld = (file: string, serverVersion: number): StoreFailure | undefined =>
  serverVersion >= OLDEST_SERVER * 10_000
    ? undefined
    : new StoreFailure({
        file,
        why: `sweeps over many machines need PostgreSQL ${OLDEST_SERVER} or newer, and the server is ${Math.floor(serverVersion / 10_000)}`,
        mend: "update the server, or choose another with --db"
      })

/** The tables of sweeps, made or brought up to date; then the queue's. A server does either whole or not at all. */
const prepared = Effect.gen(function* () {
  const { sql, file } = yield* Database
  const [server] = yield* sql.unsafe<{ number: string }>(
    "SELECT current_setting('server_version_num') AS number"
  )
  const old = tooOld(file, Number(server?.number))
  if (old !== undefined) return yield* old
  yield* migrate(file, sql, sweepMigrations, "sweepmigrations")
  const [row] = yield* sql.unsafe<{ version: number }>(
    "SELECT max(migration_id) AS version FROM sweepmigrations"
  )
  if ((row?.version ?? 0) > SWEEPS_LATEST)
    return yield* new StoreFailure({
      file,
      why: `its sweeps were written by a newer version of bitbudget (tables of version ${row!.version}, this one knows ${SWEEPS_LATEST})`,
      mend: "update bitbudget, or choose another with --db"
    })
})

/** The queue over the store's connections; makes what tables are missing. */
export const layer: Layer.Layer<PersistedQueue.PersistedQueueFactory, StoreFailure, Database> = Layer.unwrap(
  Effect.gen(function* () {
    const { sql, safe } = yield* Database
    const store = PersistedQueue.layerStoreSql({
      tableName: TABLE,
      pollInterval: POLL_MS,
      lockRefreshInterval: `${RENEW_SECONDS} seconds`,
      lockExpiration: `${HOLD_SECONDS} seconds`
    }).pipe(Layer.provide(Layer.succeed(SqlClient.SqlClient)(sql)))
    const scope = yield* Effect.scope
    // Several processes may be the first at once.
    const context = yield* safe(
      Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* sql.reserve
          yield* connection.executeRaw(`SELECT pg_advisory_lock(${MAKING})`, [])
          yield* Effect.addFinalizer(() =>
            Effect.ignore(connection.executeRaw(`SELECT pg_advisory_unlock(${MAKING})`, []))
          )
          yield* prepared
          // Of a database that is away the worker tells once; the queue would at every question.
          return yield* Layer.buildWithScope(store, scope).pipe(
            Effect.provideService(References.MinimumLogLevel, "Error"),
            Effect.withTracerEnabled(false)
          )
        })
      )
    )
    return PersistedQueue.layer.pipe(
      Layer.provide(
        Layer.succeed(PersistedQueue.PersistedQueueStore)(
          Context.get(context, PersistedQueue.PersistedQueueStore)
        )
      )
    )
  })
)

/**
 * Every run in one SQLite file: its identity, the stages it finished, its layers and measurements.
 *
 * A run is identified by the hash of what it depends on (model bytes, profile, data, options), so asking again
 * finds it. Stages are stored as they finish; an interrupted run continues after the last one.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql"
import * as Sqlite3 from "./sqlite3Client.ts"

/** The database cannot be used: locked, damaged, not a database, not writable. */
export class StoreFailure extends Schema.TaggedError<StoreFailure>()("StoreFailure", {
  file: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `database ${this.file}: ${this.why}; choose another with --db, or close what holds it`
  }
}

export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", { run: Schema.String }) {
  override get message() {
    return `no run "${this.run}" in the database; \`bitbudget runs list\` shows what there is`
  }
}

export interface RunRow {
  readonly id: string
  readonly model: string
  readonly device: string
  readonly options: string
  readonly status: "running" | "done"
  readonly startedAt: string
  readonly finishedAt: string | null
}

export interface LayerRow {
  readonly layer: string
  readonly weightBits: number
  readonly activationBits: number
  readonly latencyMs: number | null
  readonly energyPj: number | null
  readonly bytes: number
  readonly deltaLoss: number | null
}

export interface MeasurementRow {
  readonly plan: string
  readonly metric: string
  readonly value: number
  readonly low: number | null
  readonly high: number | null
  readonly n: number
}

const migrations = Migrator.fromRecord({
  "0001_runs": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE models (sha256 TEXT PRIMARY KEY, name TEXT NOT NULL)`
    yield* sql`CREATE TABLE profiles (id TEXT NOT NULL, sha256 TEXT NOT NULL, json TEXT NOT NULL, PRIMARY KEY (id, sha256))`
    yield* sql`CREATE TABLE runs (id TEXT PRIMARY KEY, model TEXT NOT NULL REFERENCES models (sha256), device TEXT NOT NULL,
      options TEXT NOT NULL, status TEXT NOT NULL, startedAt TEXT NOT NULL, finishedAt TEXT)`
    yield* sql`CREATE TABLE stages (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, stage TEXT NOT NULL,
      result TEXT NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (run, stage))`
    yield* sql`CREATE TABLE layers (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, layer TEXT NOT NULL,
      weightBits INTEGER NOT NULL, activationBits INTEGER NOT NULL, latencyMs REAL, energyPj REAL, bytes INTEGER NOT NULL,
      deltaLoss REAL, PRIMARY KEY (run, layer))`
    yield* sql`CREATE TABLE measurements (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, plan TEXT NOT NULL,
      metric TEXT NOT NULL, value REAL NOT NULL, low REAL, high REAL, n INTEGER NOT NULL, PRIMARY KEY (run, plan, metric))`
  })
})

export interface NewRun {
  readonly id: string
  readonly model: { readonly sha256: string; readonly name: string }
  readonly profile: { readonly id: string; readonly sha256: string; readonly json: string }
  readonly options: string
}

export class RunStore extends Context.Service<
  RunStore,
  {
    /** Starts the run, or finds it. */
    readonly begin: (run: NewRun) => Effect.Effect<RunRow, StoreFailure>
    /** The stored result of a stage, or that of `work`, which is stored before it is returned. */
    readonly stage: <A, E, R>(
      run: string,
      stage: string,
      work: Effect.Effect<A, E, R>
    ) => Effect.Effect<A, E | StoreFailure, R>
    readonly finish: (
      run: string,
      layers: ReadonlyArray<LayerRow>,
      measurements: ReadonlyArray<MeasurementRow>
    ) => Effect.Effect<void, StoreFailure>
    readonly forget: (run: string) => Effect.Effect<void, StoreFailure>
    readonly list: Effect.Effect<ReadonlyArray<RunRow & { readonly modelName: string }>, StoreFailure>
    /** The run whose id begins so. */
    readonly show: (run: string) => Effect.Effect<
      {
        readonly run: RunRow
        readonly stages: ReadonlyArray<{ readonly stage: string; readonly seconds: number }>
        readonly layers: ReadonlyArray<LayerRow>
        readonly measurements: ReadonlyArray<MeasurementRow>
      },
      StoreFailure | RunNotFound
    >
  }
>()("@bitbudget/lab/RunStore") {
  static readonly layer = (file: string): Layer.Layer<RunStore, StoreFailure> => {
    const fail = (error: SqlError.SqlError) => new StoreFailure({ file, why: error.reason.message })
    return Layer.effect(this, make(file)).pipe(Layer.provide(Sqlite3.layer(file)), (layer) =>
      Layer.catchTag(layer, "SqlError", (error) => Layer.effect(this, Effect.fail(fail(error))))
    )
  }
}

const now = Effect.sync(() => new Date().toISOString())

const make = Effect.fnUntraced(function* (file: string) {
  const sql = yield* SqlClient.SqlClient
  yield* Migrator.make({})({ loader: migrations, table: "migrations" }).pipe(
    Effect.catchTag("MigrationError", (error) => new StoreFailure({ file, why: error.message }))
  )
  const safe = <A, E, R>(effect: Effect.Effect<A, E | SqlError.SqlError, R>) =>
    Effect.catchIf(
      effect,
      (error): error is SqlError.SqlError => (error as { readonly _tag?: string })._tag === "SqlError",
      (error) => Effect.fail(new StoreFailure({ file, why: error.reason.message }))
    ) as Effect.Effect<A, Exclude<E, SqlError.SqlError> | StoreFailure, R>

  const find = (id: string) =>
    Effect.map(sql<RunRow>`SELECT * FROM runs WHERE id LIKE ${`${id}%`} LIMIT 1`, (rows) => rows[0])

  return RunStore.of({
    begin: ({ id, model, profile, options }) =>
      safe(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`INSERT OR IGNORE INTO models ${sql.insert({ sha256: model.sha256, name: model.name })}`
            yield* sql`INSERT OR IGNORE INTO profiles ${sql.insert(profile)}`
            const run = {
              id,
              model: model.sha256,
              device: profile.id,
              options,
              status: "running",
              startedAt: yield* now
            }
            yield* sql`INSERT OR IGNORE INTO runs ${sql.insert(run)}`
            return (yield* find(id))!
          })
        )
      ),
    stage: (run, stage, work) =>
      safe(
        Effect.gen(function* () {
          const stored = yield* sql<{
            result: string
          }>`SELECT result FROM stages WHERE run = ${run} AND stage = ${stage}`
          if (stored[0] !== undefined) return JSON.parse(stored[0].result)
          const start = performance.now()
          const result = yield* work
          const seconds = (performance.now() - start) / 1e3
          yield* sql`INSERT INTO stages ${sql.insert({ run, stage, result: JSON.stringify(result), seconds })}`
          return result
        })
      ),
    finish: (run, layers, measurements) =>
      safe(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`DELETE FROM layers WHERE run = ${run}`
            yield* sql`DELETE FROM measurements WHERE run = ${run}`
            for (const row of layers) yield* sql`INSERT INTO layers ${sql.insert({ run, ...row })}`
            for (const row of measurements)
              yield* sql`INSERT INTO measurements ${sql.insert({ run, ...row })}`
            yield* sql`UPDATE runs SET status = 'done', finishedAt = ${yield* now} WHERE id = ${run}`
          })
        )
      ),
    forget: (run) => safe(Effect.asVoid(sql`DELETE FROM runs WHERE id = ${run}`)),
    list: safe(
      sql<RunRow & { readonly modelName: string }>`SELECT runs.*, models.name AS modelName FROM runs
        JOIN models ON models.sha256 = runs.model ORDER BY startedAt DESC`
    ),
    show: (id) =>
      safe(
        Effect.gen(function* () {
          const run = yield* find(id)
          if (run === undefined) return yield* new RunNotFound({ run: id })
          return {
            run,
            stages: yield* sql<{
              stage: string
              seconds: number
            }>`SELECT stage, seconds FROM stages WHERE run = ${run.id}`,
            layers:
              yield* sql<LayerRow>`SELECT layer, weightBits, activationBits, latencyMs, energyPj, bytes, deltaLoss
              FROM layers WHERE run = ${run.id} ORDER BY rowid`,
            measurements:
              yield* sql<MeasurementRow>`SELECT plan, metric, value, low, high, n FROM measurements
              WHERE run = ${run.id} ORDER BY rowid`
          }
        })
      )
  })
})

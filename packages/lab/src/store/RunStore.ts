/**
 * Every run in one SQLite file: its identity, the stages it finished, its layers and measurements.
 *
 * A run is identified by the hash of what it depends on (model bytes, profile, data, options), so asking again
 * finds it. Stages are stored as they finish; an interrupted run continues after the last one.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql"
import { migrations } from "./migrations.ts"
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

/** What was asked for. */
export type RunKind = "search" | "sensitivity"

export interface RunRow {
  readonly id: string
  readonly kind: RunKind
  readonly model: string
  /** "" for a run that is about no device. */
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

/** One figure of one metric: of a layer, or of a layer at one bit width. */
export interface SensitivityRow {
  readonly layer: string
  readonly bits: number | null
  readonly metric: string
  readonly value: number
  readonly stdErr: number | null
}

export interface RefereeRow {
  readonly metric: string
  readonly spearman: number | null
  readonly n: number
}

export interface NewRun {
  readonly id: string
  readonly kind: RunKind
  readonly model: { readonly sha256: string; readonly name: string }
  /** Absent where the run is about no device. */
  readonly profile?: { readonly id: string; readonly sha256: string; readonly json: string }
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
    /** Layers and measurements of a search, in place of those the run had. */
    readonly results: (
      run: string,
      layers: ReadonlyArray<LayerRow>,
      measurements: ReadonlyArray<MeasurementRow>
    ) => Effect.Effect<void, StoreFailure>
    /** Figures of a sensitivity analysis, in place of those the run had. */
    readonly sensitivities: (
      run: string,
      rows: ReadonlyArray<SensitivityRow>,
      referee: ReadonlyArray<RefereeRow>
    ) => Effect.Effect<void, StoreFailure>
    readonly done: (run: string) => Effect.Effect<void, StoreFailure>
    readonly forget: (run: string) => Effect.Effect<void, StoreFailure>
    readonly list: Effect.Effect<ReadonlyArray<RunRow & { readonly modelName: string }>, StoreFailure>
    /** The run whose id begins so. */
    readonly show: (run: string) => Effect.Effect<
      {
        readonly run: RunRow
        readonly stages: ReadonlyArray<{ readonly stage: string; readonly seconds: number }>
        readonly layers: ReadonlyArray<LayerRow>
        readonly measurements: ReadonlyArray<MeasurementRow>
        readonly sensitivities: ReadonlyArray<SensitivityRow>
        readonly referee: ReadonlyArray<RefereeRow>
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
    begin: ({ id, kind, model, profile, options }) =>
      safe(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`INSERT OR IGNORE INTO models ${sql.insert({ sha256: model.sha256, name: model.name })}`
            if (profile !== undefined) yield* sql`INSERT OR IGNORE INTO profiles ${sql.insert(profile)}`
            const run = {
              id,
              kind,
              model: model.sha256,
              device: profile?.id ?? "",
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
    results: (run, layers, measurements) =>
      safe(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`DELETE FROM layers WHERE run = ${run}`
            yield* sql`DELETE FROM measurements WHERE run = ${run}`
            for (const row of layers) yield* sql`INSERT INTO layers ${sql.insert({ run, ...row })}`
            for (const row of measurements)
              yield* sql`INSERT INTO measurements ${sql.insert({ run, ...row })}`
          })
        )
      ),
    sensitivities: (run, rows, referee) =>
      safe(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`DELETE FROM sensitivities WHERE run = ${run}`
            yield* sql`DELETE FROM referees WHERE run = ${run}`
            for (const row of rows) yield* sql`INSERT INTO sensitivities ${sql.insert({ run, ...row })}`
            for (const row of referee) yield* sql`INSERT INTO referees ${sql.insert({ run, ...row })}`
          })
        )
      ),
    done: (run) =>
      safe(
        Effect.gen(function* () {
          yield* sql`UPDATE runs SET status = 'done', finishedAt = ${yield* now} WHERE id = ${run}`
        })
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
              WHERE run = ${run.id} ORDER BY rowid`,
            sensitivities:
              yield* sql<SensitivityRow>`SELECT layer, bits, metric, value, stdErr FROM sensitivities
              WHERE run = ${run.id} ORDER BY rowid`,
            referee: yield* sql<RefereeRow>`SELECT metric, spearman, n FROM referees
              WHERE run = ${run.id} ORDER BY rowid`
          }
        })
      )
  })
})

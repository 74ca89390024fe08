/**
 * Every run in one SQLite file: its identity, the stages it finished, its layers and measurements.
 *
 * A run is identified by the hash of what it depends on (model bytes, profile, data, options), so asking again
 * finds it. Stages are stored as they finish; an interrupted run continues after the last one.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql"
import { sha256 } from "./identity.ts"
import { migrations } from "./migrations.ts"
import { keyOf, type Stage } from "./Stage.ts"
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

/** Several runs' ids begin so. */
export class AmbiguousRun extends Schema.TaggedError<AmbiguousRun>()("AmbiguousRun", {
  run: Schema.String,
  candidates: Schema.Array(Schema.String)
}) {
  override get message() {
    return `"${this.run}" is the beginning of ${this.candidates.length} runs: ${this.candidates.join(", ")}; give more of the id`
  }
}

/** What was asked for. */
export type RunKind = "search" | "sensitivity"

export type RunStatus = "running" | "done" | "failed" | "interrupted"

export interface RunRow {
  readonly id: string
  readonly kind: RunKind
  readonly model: string
  /** "" for a run that is about no device. */
  readonly device: string
  /** Digest of the profile as it was; null for a run that is about no device. */
  readonly profile: string | null
  readonly options: string
  readonly status: RunStatus
  readonly startedAt: string
  readonly finishedAt: string | null
}

export interface LayerRow {
  readonly layer: string
  /** Id of the layer's formats, such as w4a8. */
  readonly choice: string
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

/** One figure of one metric: of a layer, or of a layer at one choice. */
export interface SensitivityRow {
  readonly layer: string
  readonly choice: string | null
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

export interface StageOptions {
  /** Tells a run's uses of one stage apart, such as the plan that is evaluated; the stage's name when absent. */
  readonly name?: string
  /** Whether the work is done again although its result is stored. */
  readonly fresh?: boolean
}

export class RunStore extends Context.Service<
  RunStore,
  {
    /** Starts the run, or finds it. */
    readonly begin: (run: NewRun) => Effect.Effect<RunRow, StoreFailure>
    /**
     * The stored result of a stage with these inputs, or that of `work`, which is stored before it is returned. Where
     * two processes do the same work both finish, and the result is stored once.
     */
    readonly stage: <A, E, R>(
      run: string,
      stage: Stage<A>,
      inputs: unknown,
      work: Effect.Effect<A, E, R>,
      options?: StageOptions
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
    readonly end: (run: string, status: Exclude<RunStatus, "running">) => Effect.Effect<void, StoreFailure>
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
      StoreFailure | RunNotFound | AmbiguousRun
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

  const byId = (id: string) => Effect.map(sql<RunRow>`SELECT * FROM runs WHERE id = ${id}`, (rows) => rows[0])

  /** The one run whose id begins so, every character taken as it is. */
  const find = (text: string) =>
    Effect.gen(function* () {
      const exact = yield* byId(text)
      if (exact !== undefined) return exact
      const rows =
        text === ""
          ? []
          : yield* sql<RunRow>`SELECT * FROM runs WHERE substr(id, 1, ${text.length}) = ${text}`
      const [run, second] = rows
      if (run === undefined) return yield* new RunNotFound({ run: text })
      if (second !== undefined)
        return yield* new AmbiguousRun({ run: text, candidates: rows.map(({ id }) => id) })
      return run
    })

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
              profile: profile?.sha256 ?? null,
              options,
              status: "running",
              startedAt: yield* now
            }
            yield* sql`INSERT OR IGNORE INTO runs ${sql.insert(run)}`
            const before = (yield* byId(id))!
            if (before.status !== "done")
              yield* sql`UPDATE runs SET status = 'running', finishedAt = NULL WHERE id = ${id}`
            return before
          })
        )
      ),
    stage: (run, stage, inputs, work, { name = stage.name, fresh = false } = {}) => {
      const key = keyOf(stage, inputs)
      const used = (seconds: number) =>
        sql`INSERT OR REPLACE INTO runStages ${sql.insert({ run, stage: name, key, seconds })}`
      return safe(
        Effect.gen(function* () {
          const [stored] = yield* sql<{
            result: string
            digest: string
          }>`SELECT result, digest FROM results WHERE key = ${key}`
          if (!fresh && stored !== undefined && sha256(stored.result) === stored.digest) {
            const known = yield* Effect.option(stage.decode(stored.result))
            if (known._tag === "Some") {
              yield* used(0)
              return known.value
            }
          }
          const start = performance.now()
          const result = yield* work
          const seconds = (performance.now() - start) / 1e3
          const text = stage.encode(result)
          const row = {
            key,
            stage: stage.name,
            version: stage.version,
            result: text,
            digest: sha256(text),
            seconds,
            madeAt: yield* now
          }
          // What cannot be read any more is replaced; what another process stored meanwhile is the same.
          yield* sql`INSERT OR REPLACE INTO results ${sql.insert(row)}`
          yield* used(seconds)
          return result
        })
      )
    },
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
    end: (run, status) =>
      safe(
        Effect.gen(function* () {
          yield* sql`UPDATE runs SET status = ${status}, finishedAt = ${yield* now} WHERE id = ${run}`
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
          return {
            run,
            stages: yield* sql<{
              stage: string
              seconds: number
            }>`SELECT stage, seconds FROM runStages WHERE run = ${run.id}`,
            layers: yield* sql<LayerRow>`SELECT layer, choice, latencyMs, energyPj, bytes, deltaLoss
              FROM layers WHERE run = ${run.id} ORDER BY rowid`,
            measurements:
              yield* sql<MeasurementRow>`SELECT plan, metric, value, low, high, n FROM measurements
              WHERE run = ${run.id} ORDER BY rowid`,
            sensitivities:
              yield* sql<SensitivityRow>`SELECT layer, choice, metric, value, stdErr FROM sensitivities
              WHERE run = ${run.id} ORDER BY rowid`,
            referee: yield* sql<RefereeRow>`SELECT metric, spearman, n FROM referees
              WHERE run = ${run.id} ORDER BY rowid`
          }
        })
      )
  })
})

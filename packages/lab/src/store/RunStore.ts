/**
 * What work writes to the database: runs, the results of their stages, what came of them.
 *
 * A run is identified by the hash of what it depends on (model bytes, profile, data, options), so asking again finds it.
 * Stages are stored as they finish; an interrupted run continues after the last one. A run that is called done has
 * everything stored: its outcome and its status are one transaction.
 */
import { Array as Arr, Cause, Context, Effect, Exit, Layer } from "effect"
import type { SqlError } from "effect/sql"
import { hostname } from "node:os"
import { nowMs as clockMs } from "./clock.ts"
import { Database, type Options as Opening } from "./Database.ts"
import type { StoreFailure } from "./failures.ts"
import { sha256 } from "./identity.ts"
import { LEASE_MS, once } from "./Leases.ts"
import { type Analysis, headlineOf, type Outcome, type RunKind, type RunStatus } from "./Outcome.ts"
import { withoutPassword } from "./address.ts"
import * as Owner from "./owner.ts"
import { keyOf, type Stage } from "./Stage.ts"

/** A run as the tables have it. */
export interface RunRow {
  readonly id: string
  readonly kind: RunKind
  readonly status: RunStatus
  /** Digest of the model. */
  readonly model: string
  /** Null for a run that is about no device. */
  readonly device: string | null
  /** Digest of the profile as it was. */
  readonly profile: string | null
  readonly dataset: string | null
  readonly options: string
  readonly startedAt: string
  readonly finishedAt: string | null
}

export interface NewRun {
  readonly id: string
  readonly kind: RunKind
  readonly model: { readonly sha256: string; readonly name: string; readonly file: string }
  /** Absent where the run is about no device. */
  readonly profile?: { readonly id: string; readonly sha256: string; readonly json: string }
  readonly dataset: { readonly sha256: string; readonly name: string }
  readonly options: string
  readonly seed: number
  readonly threads?: number | undefined
}

export interface StageOptions {
  /** Tells a run's uses of one stage apart, such as the plan that is evaluated; the stage's name when absent. */
  readonly name?: string
  /** Whether the work is done again although its result is stored. */
  readonly fresh?: boolean
}

/** How the tool was called, for the record. */
export interface Call {
  readonly version: string
  /** Arguments of the command line. */
  readonly commandLine: ReadonlyArray<string>
}

export class RunStore extends Context.Service<
  RunStore,
  {
    /** Starts the run, or finds it. */
    readonly begin: (run: NewRun) => Effect.Effect<RunRow, StoreFailure>
    /**
     * The stored result of a stage with these inputs, or that of `work`, which is stored before it is returned. Of
     * several processes that ask at once one works and the others wait for it.
     */
    readonly stage: <A, E, R>(
      run: string,
      stage: Stage<A>,
      inputs: unknown,
      work: Effect.Effect<A, E, R>,
      options?: StageOptions
    ) => Effect.Effect<A, E | StoreFailure, R>
    /** Stores what a search found, in place of what the run had, and calls it done. */
    readonly finish: (run: string, outcome: Outcome) => Effect.Effect<void, StoreFailure>
    /** The same for a sensitivity analysis. */
    readonly finishAnalysis: (run: string, analysis: Analysis) => Effect.Effect<void, StoreFailure>
    /** The run ended without being done. */
    readonly end: (
      run: string,
      status: "failed" | "interrupted",
      failure?: string
    ) => Effect.Effect<void, StoreFailure>
    readonly forget: (run: string) => Effect.Effect<void, StoreFailure>
  }
>()("@bitbudget/lab/RunStore") {
  static readonly layer = (
    file: string,
    options: Opening & { readonly call?: Call } = { access: "write" }
  ): Layer.Layer<RunStore | Database, StoreFailure> =>
    Layer.provideMerge(Layer.effect(this, make(options.call)), Database.layer(file, options))
}

/**
 * Work of a run: when it fails or is interrupted the store is told, as far as it can be. What went wrong is told by the
 * error itself.
 */
export const notingTheEnd =
  (store: RunStore["Service"], run: string) =>
  <A, E extends { readonly message: string }, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.onExit(work, (exit) => {
      if (Exit.isSuccess(exit)) return Effect.void
      const { cause } = exit
      const failure = cause.reasons.find(Cause.isFailReason)?.error.message ?? Cause.pretty(cause)
      return Effect.ignore(
        Cause.hasInterruptsOnly(cause) ? store.end(run, "interrupted") : store.end(run, "failed", failure)
      )
    })

const now = () => new Date().toISOString()

/** Rows a statement: SQLite takes 32,766 values in one. */
const ROWS_AT_ONCE = 500

const make = Effect.fnUntraced(function* (call: Call | undefined) {
  const { sql, safe } = yield* Database

  const byId = (id: string) =>
    Effect.map(
      sql<
        RunRow & { readonly owner: string | null; readonly leaseUntilMs: number | null }
      >`SELECT id, kind, status,
        model, device, profile, dataset, options, startedAt, finishedAt, owner, leaseUntilMs FROM runs WHERE id = ${id}`,
      (rows) => rows[0]
    )

  /** `isKnown`: rows that are there already are the same. */
  const insert = (table: string, rows: ReadonlyArray<Record<string, unknown>>, isKnown = false) =>
    Effect.forEach(
      Arr.chunksOf(rows, ROWS_AT_ONCE),
      (part) =>
        sql`INSERT INTO ${sql(table)} ${sql.insert(part)} ${sql.literal(isKnown ? "ON CONFLICT DO NOTHING" : "")}`,
      {
        discard: true
      }
    )

  /** Keeps rows under the digest of their content, once; gives the digest. */
  const shared = (
    parent: string,
    tables: ReadonlyArray<readonly [name: string, key: string, rows: ReadonlyArray<Record<string, unknown>>]>,
    fields: Readonly<Record<string, string>> = {}
  ): Effect.Effect<string | null, SqlError.SqlError> =>
    Effect.gen(function* () {
      if (tables.every(([, , rows]) => rows.length === 0)) return null
      const digest = sha256(JSON.stringify([tables.map(([, , rows]) => rows), fields])).slice(0, 32)
      const [there] = yield* sql`SELECT 1 FROM ${sql(parent)} WHERE digest = ${digest}`
      if (there !== undefined) return digest
      yield* sql`INSERT INTO ${sql(parent)} ${sql.insert({ digest, ...fields })} ON CONFLICT DO NOTHING`
      for (const [name, key, rows] of tables) yield* insert(name, owned(rows, { [key]: digest }), true)
      return digest
    })

  /** Rows of an owner, in the order they have. */
  const numbered = (
    rows: ReadonlyArray<object>,
    owner: Record<string, unknown> = {}
  ): ReadonlyArray<Record<string, unknown>> =>
    rows.map((row, position) => Object.assign({ position }, owner, row))

  /** Rows of an owner, known by what they say. */
  const owned = (
    rows: ReadonlyArray<object>,
    owner: Record<string, unknown> = {}
  ): ReadonlyArray<Record<string, unknown>> => rows.map((row) => Object.assign({}, owner, row))

  const analysisOf = ({ sensitivities, referee }: Analysis) =>
    shared("analyses", [
      ["sensitivities", "analysis", numbered(sensitivities)],
      ["referees", "analysis", owned(referee)]
    ])

  const done = (run: string, fields: Record<string, unknown>) =>
    Effect.gen(function* () {
      const finishedAt = now()
      const [begun] = yield* sql<{ startedAt: string }>`SELECT startedAt FROM runs WHERE id = ${run}`
      const durationS =
        begun === undefined ? null : (Date.parse(finishedAt) - Date.parse(begun.startedAt)) / 1e3
      yield* sql`UPDATE runs SET ${sql.update({ ...fields, status: "done", failure: null, finishedAt, durationS })}
        WHERE id = ${run}`
    })

  return RunStore.of({
    begin: ({ id, kind, model, profile, dataset, options, seed, threads }) =>
      safe(
        sql.withTransaction(
          Effect.gen(function* () {
            const { sha256: digest, name, file } = model
            const nowMs = yield* clockMs(sql)
            yield* sql`INSERT INTO models ${sql.insert({ sha256: digest, name, file })}
              ON CONFLICT (sha256) DO UPDATE SET file = excluded.file`
            if (profile !== undefined)
              yield* sql`INSERT INTO profiles ${sql.insert({ ...profile })} ON CONFLICT DO NOTHING`
            yield* sql`INSERT INTO datasets ${sql.insert({ ...dataset })} ON CONFLICT DO NOTHING`
            const start = {
              status: "running",
              startedAt: now(),
              finishedAt: null,
              failure: null,
              version: call?.version ?? null,
              threads: threads ?? null,
              host: hostname(),
              folder: process.cwd(),
              commandLine: call === undefined ? null : JSON.stringify(call.commandLine.map(withoutPassword)),
              owner: Owner.self,
              leaseUntilMs: nowMs + LEASE_MS
            }
            const before = yield* byId(id)
            if (before === undefined)
              yield* sql`INSERT INTO runs ${sql.insert({
                id,
                kind,
                model: digest,
                device: profile?.id ?? null,
                profile: profile?.sha256 ?? null,
                dataset: dataset.sha256,
                options,
                seed,
                ...start
              })} ON CONFLICT DO NOTHING`
            else if (
              before.status !== "done" &&
              (before.status !== "running" || Owner.isGone(before.owner, before.leaseUntilMs, nowMs))
            )
              yield* sql`UPDATE runs SET ${sql.update(start)} WHERE id = ${id}`
            return before ?? (yield* byId(id))!
          })
        )
      ),
    stage: (run, stage, inputs, work, { name = stage.name, fresh = false } = {}) => {
      const key = keyOf(stage, inputs)
      const used = (seconds: number) =>
        sql`INSERT INTO stages ${sql.insert({ run, stage: name, key, seconds })}
          ON CONFLICT (run, stage) DO UPDATE SET key = excluded.key, seconds = excluded.seconds`
      const found = Effect.gen(function* () {
        const [stored] = yield* sql<{
          result: string
          digest: string
        }>`SELECT result, digest FROM results WHERE key = ${key}`
        if (fresh || stored === undefined || sha256(stored.result) !== stored.digest) return undefined
        // What cannot be read any more is made again.
        const known = yield* Effect.option(stage.decode(stored.result))
        if (known._tag === "None") return undefined
        yield* used(0)
        return { result: known.value }
      })
      const making = (token: string) =>
        Effect.gen(function* () {
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
            madeAt: now()
          }
          yield* sql.withTransaction(
            Effect.gen(function* () {
              yield* sql`INSERT INTO results ${sql.insert(row)} ON CONFLICT (key) DO UPDATE SET
                result = excluded.result, digest = excluded.digest, seconds = excluded.seconds, madeAt = excluded.madeAt`
              yield* used(seconds)
              yield* sql`DELETE FROM leases WHERE key = ${key} AND token = ${token}`
            })
          )
          return { result }
        })
      return Effect.map(safe(once(sql, key, run, found, making)), ({ result }) => result)
    },
    finish: (run, outcome) =>
      safe(
        sql.withTransaction(
          Effect.gen(function* () {
            const { plans, certificate } = outcome
            // Of two processes that finish it, the second waits here.
            yield* sql`UPDATE runs SET status = status WHERE id = ${run}`
            const analysis = yield* analysisOf(outcome.analysis)
            const choiceTable = yield* shared(
              "choiceTables",
              [["choices", "choiceTable", numbered(outcome.choices)]],
              { shared: JSON.stringify(outcome.shared) }
            )
            for (const table of ["budgets", "layers", "artefacts", "plans"])
              yield* sql`DELETE FROM ${sql(table)} WHERE run = ${run}`
            yield* insert(
              "plans",
              owned(
                plans.map(({ measurements: _measurements, hits: _hits, ...row }) =>
                  Object.assign(row, {
                    withinBudgets: row.withinBudgets === null ? null : Number(row.withinBudgets)
                  })
                ),
                { run }
              )
            )
            yield* insert(
              "measurements",
              plans.flatMap(({ name, measurements }) =>
                measurements.map(({ metric, value, low, high, n }) => ({
                  run,
                  plan: name,
                  metric,
                  value,
                  low,
                  high,
                  n
                }))
              )
            )
            yield* insert(
              "hits",
              plans.flatMap(({ name, hits }) =>
                hits === null
                  ? []
                  : [{ run, plan: name, targets: hits.targets, bits: Buffer.from(hits.bits) }]
              )
            )
            yield* insert("layers", numbered(outcome.layers, { run }))
            yield* insert("budgets", numbered(outcome.budgets, { run }))
            yield* insert("artefacts", owned(outcome.artefacts, { run }))
            const measured = (name: string) => plans.find((plan) => plan.name === name)?.measurements ?? []
            const headline = headlineOf(measured("chosen"))
            const top1 = measured("chosen").find(({ metric }) => metric === "top1")
            const totals = plans.find(({ name }) => name === "chosen")
            const float = measured("f32").find(({ metric }) => metric === headline?.metric)
            yield* done(run, {
              analysis,
              choiceTable,
              chosen: outcome.chosen,
              minimised: outcome.minimised,
              planSha256: outcome.planSha256,
              optimal: Number(certificate.optimal),
              objective: certificate.objective,
              bound: certificate.bound,
              gap: certificate.gap,
              bits: totals?.bits ?? null,
              latencyMs: totals?.latencyMs ?? null,
              energyMj: totals?.energyMj ?? null,
              dramBytes: totals?.dramBytes ?? null,
              bytes: totals?.bytes ?? null,
              peakActivationBytes: totals?.peakActivationBytes ?? null,
              bops: totals?.bops ?? null,
              top1: top1?.value ?? null,
              top1Low: top1?.low ?? null,
              top1High: top1?.high ?? null,
              metric: headline?.metric ?? null,
              value: headline?.value ?? null,
              low: headline?.low ?? null,
              high: headline?.high ?? null,
              floatValue: float?.value ?? null
            })
          })
        )
      ),
    finishAnalysis: (run, analysis) =>
      safe(
        sql.withTransaction(Effect.flatMap(analysisOf(analysis), (digest) => done(run, { analysis: digest })))
      ),
    // A run that another process goes on with, or has done, did not end.
    end: (run, status, failure) =>
      safe(
        Effect.asVoid(
          sql`UPDATE runs SET ${sql.update({ status, failure: failure ?? null, finishedAt: now() })}
            WHERE id = ${run} AND status = 'running' AND owner = ${Owner.self}`
        )
      ),
    forget: (run) => safe(Effect.asVoid(sql`DELETE FROM runs WHERE id = ${run}`))
  })
})

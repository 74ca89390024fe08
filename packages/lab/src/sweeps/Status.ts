/** How far sweeps are: cells, rate, what time is left, and who works on them. */
import { Effect } from "effect"
import { SERVER_NOW_MS } from "../store/clock.ts"
import { Database } from "../store/Database.ts"
import { HOLD_SECONDS, TABLE } from "./Queue.ts"
import * as Sweeps from "./Sweeps.ts"

/** The rate is that of the last minutes. */
const RATE_MS = 10 * 60_000

/** A worker that was not seen for so long is not counted. */
const SEEN_MS = HOLD_SECONDS * 1000

export interface SweepStatus {
  readonly sweep: string
  readonly status: Sweeps.SweepRow["status"] | "done"
  readonly priority: number
  readonly version: string
  readonly runtime: string
  readonly cells: number
  readonly done: number
  /** Cells that cannot be met or read. */
  readonly failed: number
  /** Cells that took their workers down too often. */
  readonly setAside: number
  readonly running: number
  readonly waiting: number
  /** Of the last ten minutes; null where none was finished in them. */
  readonly cellsPerHour: number | null
  readonly remainingSeconds: number | null
}

export interface WorkerStatus {
  readonly worker: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly runtime: string
  readonly jobs: number
  readonly busy: number
  readonly seenSecondsAgo: number
}

interface Counts {
  readonly done: number
  readonly failed: number
  readonly recent: number
  readonly sinceMs: number | null
  readonly nowMs: number
}

const statusOf = Effect.fnUntraced(function* (row: Sweeps.SweepRow) {
  const { sql, safe } = yield* Database
  const now = sql.literal(SERVER_NOW_MS)
  const [counts] = yield* safe(sql<Counts>`SELECT
      count(*) FILTER (WHERE status <> 'failed') AS done, count(*) FILTER (WHERE status = 'failed') AS failed,
      count(*) FILTER (WHERE atMs > ${now} - ${RATE_MS}) AS recent,
      min(atMs - (seconds * 1000)::bigint) FILTER (WHERE atMs > ${now} - ${RATE_MS}) AS sinceMs,
      ${now} AS nowMs
    FROM sweepOutcomes WHERE sweep = ${row.name}`)
  const [queued] = yield* safe(sql<{
    running: number
  }>`SELECT count(*) AS running FROM ${sql.literal(TABLE)} e
    JOIN sweepQueues q ON q.queue = e.queue_name WHERE q.sweep = ${row.name} AND e.state = 'pending'
    AND e.acquired_at > now() - INTERVAL '${sql.literal(String(HOLD_SECONDS))} seconds'
    AND NOT EXISTS (SELECT 1 FROM sweepOutcomes o WHERE o.sweep = q.sweep AND o.cell = split_part(e.id, '~', 1))`)
  const aside = (yield* Sweeps.setAside(row.name)).length
  const { done, failed, recent, sinceMs, nowMs } = counts!
  const left = Math.max(0, row.cells - done - failed - aside)
  const running = Math.min(queued!.running, left)
  const perMs =
    recent === 0 || sinceMs === null ? null : recent / Math.max(1, nowMs - Math.max(sinceMs, nowMs - RATE_MS))
  const status: SweepStatus = {
    sweep: row.name,
    status: left === 0 && row.status !== "recording" ? "done" : row.status,
    priority: row.priority,
    version: row.version,
    runtime: row.runtime,
    cells: row.cells,
    done,
    failed,
    setAside: aside,
    running,
    waiting: left - running,
    cellsPerHour: perMs === null ? null : perMs * 3.6e6,
    remainingSeconds: perMs === null || left === 0 ? null : left / perMs / 1000
  }
  return status
})

/** How far these sweeps are, and the workers that were seen of late. */
const found = Effect.fnUntraced(function* (rows: ReadonlyArray<Sweeps.SweepRow>) {
  const { sql, safe } = yield* Database
  const sweeps = yield* Effect.forEach(rows, statusOf)
  const workers = yield* safe(sql<WorkerStatus>`SELECT id AS worker, host, pid, version, runtime, jobs, busy,
      (${sql.literal(SERVER_NOW_MS)} - seenMs) / 1000.0::double precision AS seenSecondsAgo FROM sweepWorkers
    WHERE seenMs > ${sql.literal(SERVER_NOW_MS)} - ${SEEN_MS} ORDER BY host, pid`)
  return { sweeps, workers }
})

const newestFirst = Effect.gen(function* () {
  const { sql, safe } = yield* Database
  return yield* safe(sql<Sweeps.SweepRow>`SELECT * FROM sweeps ORDER BY recordedMs DESC`)
})

/** Of one sweep, or of all, newest first; with the workers. */
export const status = Effect.fn("Status.status")(function* (name: string | undefined) {
  return yield* found(name === undefined ? yield* newestFirst : [yield* Sweeps.find(name)])
})

/** Whether sweeps were ever recorded in the store: files have none. */
const isUsed = Effect.gen(function* () {
  const { sql, safe } = yield* Database
  const rows = yield* safe(
    sql.onDialectOrElse({
      pg: () => sql.unsafe<{ there: boolean }>("SELECT to_regclass('sweeps') IS NOT NULL AS there"),
      orElse: () => Effect.succeed([{ there: false }])
    })
  )
  return rows[0]?.there === true
})

/** All sweeps with their workers and the cells that were set aside; nothing where the store has none. */
export const overview = Effect.fn("Status.overview")(function* () {
  if (!(yield* isUsed)) return { sweeps: [], workers: [], setAside: [] }
  const all = yield* found(yield* newestFirst)
  const aside = yield* Effect.forEach(
    all.sweeps.filter(({ setAside }) => setAside > 0),
    ({ sweep }) => Sweeps.setAside(sweep)
  )
  return { ...all, setAside: aside.flat().map(({ cell, error }) => ({ cell: cell.key, error })) }
})

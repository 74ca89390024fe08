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
  const [queued] = yield* safe(sql<{ running: number }>`SELECT count(*) AS running FROM ${sql.literal(TABLE)} e
    JOIN sweepQueues q ON q.queue = e.queue_name WHERE q.sweep = ${row.name} AND e.state = 'pending'
    AND e.acquired_at > now() - INTERVAL '${sql.literal(String(HOLD_SECONDS))} seconds'
    AND NOT EXISTS (SELECT 1 FROM sweepOutcomes o WHERE o.sweep = q.sweep AND o.cell = split_part(e.id, '~', 1))`)
  const aside = (yield* Sweeps.setAside(row.name)).length
  const { done, failed, recent, sinceMs, nowMs } = counts!
  const left = Math.max(0, row.cells - done - failed - aside)
  const running = Math.min(queued!.running, left)
  const perMs = recent === 0 || sinceMs === null ? null : recent / Math.max(1, nowMs - Math.max(sinceMs, nowMs - RATE_MS))
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

/** Of one sweep, or of all, newest first; with the workers that were seen of late. */
export const status = Effect.fn("Status.status")(function* (name: string | undefined) {
  const { sql, safe } = yield* Database
  const rows =
    name === undefined
      ? yield* safe(sql<Sweeps.SweepRow>`SELECT * FROM sweeps ORDER BY recordedMs DESC`)
      : [yield* Sweeps.find(name)]
  const sweeps = yield* Effect.forEach(rows, statusOf)
  const workers = yield* safe(sql<WorkerStatus>`SELECT id AS worker, host, pid, version, runtime, jobs, busy,
      (${sql.literal(SERVER_NOW_MS)} - seenMs) / 1000.0::double precision AS seenSecondsAgo FROM sweepWorkers
    WHERE seenMs > ${sql.literal(SERVER_NOW_MS)} - ${SEEN_MS} ORDER BY host, pid`)
  return { sweeps, workers }
})

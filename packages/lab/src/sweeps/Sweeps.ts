/**
 * Sweeps that many machines work on: recorded in the store, paused, cancelled, tried again, followed.
 *
 * A sweep is known by what it depends on (plan, inputs by digest, versions): recording it again finds it and goes on, and
 * another sweep of its name is refused. Its cells wait in a queue of each device, so that a worker can choose devices.
 */
import { Effect, Schedule } from "effect"
import { PersistedQueue } from "effect/persistence"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { SERVER_NOW_MS } from "../store/clock.ts"
import { Database } from "../store/Database.ts"
import { StoreFailure } from "../store/failures.ts"
import { sha256 } from "../store/identity.ts"
import { type Cell, cellsOf, type Outcome, type SweepPlan } from "../Sweep.ts"
import * as Inputs from "./Inputs.ts"
import { HOLD_SECONDS, TABLE } from "./Queue.ts"
import * as Stored from "./stored.ts"

/** What has to be the same wherever cells of one sweep are worked on. */
export interface Versions {
  /** Of bitbudget. */
  readonly version: string
  /** Of ONNX Runtime. */
  readonly runtime: string
}

const both = ({ version, runtime }: Versions): string => `bitbudget ${version} with ONNX Runtime ${runtime}`

/** Times that a cell may take its worker down, where nothing is said. */
export const ATTEMPTS = 5

export interface Recording {
  readonly name: string
  /** Folder the plan's paths are relative to. */
  readonly folder: string
  readonly plan: SweepPlan
  readonly profiles: string
  readonly versions: Versions
  /** Higher first. */
  readonly priority: number
  readonly attempts: number
  /** Folder for inputs that are too large for the database. */
  readonly inputs: string | undefined
}

export interface SweepRow extends Versions {
  readonly name: string
  readonly identity: string
  readonly status: "recording" | "active" | "paused" | "cancelled"
  readonly priority: number
  readonly attempts: number
  readonly plan: string
  readonly inputs: string
  readonly cells: number
  readonly recordedMs: number
  /** Whether all its cells were put into their queues. */
  readonly offered: boolean
}

const refuse = (why: string) => new UnusableRequest({ why })

const byName = Effect.fnUntraced(function* (name: string) {
  const { sql, safe } = yield* Database
  const [row] = yield* safe(sql<SweepRow>`SELECT * FROM sweeps WHERE name = ${name}`)
  return row
})

export const find = Effect.fn("Sweeps.find")(function* (name: string) {
  const row = yield* byName(name)
  if (row !== undefined) return row
  const { sql, safe } = yield* Database
  const known = yield* safe(sql<{ name: string }>`SELECT name FROM sweeps ORDER BY recordedMs DESC LIMIT 8`)
  const there = known.length === 0 ? "there is none" : `there are ${known.map(({ name }) => name).join(", ")}`
  return yield* refuse(`no sweep "${name}" is recorded: ${there}`)
})

/** A queue of a sweep's cells for a device; sweeps of two names may be the same otherwise. */
const queueName = ({ name, identity }: Pick<SweepRow, "name" | "identity">, device: string): string =>
  `${sha256(JSON.stringify([name, identity])).slice(0, 16)}/${sha256(device).slice(0, 16)}`

export const queueOf = (queue: string, attempts: number) =>
  PersistedQueue.make({
    name: queue,
    schema: Stored.QueuedCell,
    maxAttempts: attempts,
    retrySchedule: Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("10 seconds")])
  })

/** Cells offered a transaction. */
const OFFERED_AT_ONCE = 500

/** Cells put into the queues of their devices; those that are there already are left. `again` marks another try. */
const offer = Effect.fnUntraced(function* (
  sweep: Pick<SweepRow, "name" | "identity" | "attempts">,
  cells: ReadonlyArray<Cell>,
  again = ""
) {
  const { name, attempts } = sweep
  const { sql, safe, file } = yield* Database
  const queues = new Map<string, PersistedQueue.PersistedQueue<typeof Stored.QueuedCell.Type>>()
  for (const device of new Set(cells.map((cell) => cell.device))) {
    const queue = queueName(sweep, device)
    queues.set(device, yield* queueOf(queue, attempts))
    yield* safe(
      sql`INSERT INTO sweepQueues ${sql.insert({ queue, sweep: name, device })} ON CONFLICT DO NOTHING`
    )
  }
  for (let from = 0; from < cells.length; from += OFFERED_AT_ONCE)
    yield* safe(
      sql.withTransaction(
        Effect.forEach(
          cells.slice(from, from + OFFERED_AT_ONCE),
          (cell) => queues.get(cell.device)!.offer({ sweep: name, cell }, { id: `${cell.key}${again}` }),
          // Sent one behind the other, without waiting for each answer.
          { discard: true, concurrency: "unbounded" }
        )
      )
    ).pipe(
      Effect.catchTags({
        PersistedQueueError: ({ message }) =>
          Effect.fail(
            new StoreFailure({
              file,
              why: message,
              mend: "wait until it is up, and run the same again",
              passing: true
            })
          ),
        SchemaError: Effect.die
      })
    )
})

/** Records a sweep with its inputs and cells, or goes on with one that was recorded. */
export const record = Effect.fn("Sweeps.record")(function* (
  recording: Recording
): Effect.fn.Return<
  SweepRow,
  RequestFailure | StoreFailure,
  Database | PersistedQueue.PersistedQueueFactory
> {
  const { sql, safe } = yield* Database
  const { name, folder, plan, profiles, versions, priority, attempts, inputs } = recording
  const { manifest, sources } = yield* Inputs.survey(folder, plan, profiles)
  const cells = cellsOf(plan)
  const identity = sha256(JSON.stringify([plan, manifest, versions]))
  const before = yield* byName(name)
  const isOther = before !== undefined && (before.identity !== identity || both(before) !== both(versions))
  if (isOther)
    return yield* refuse(
      `a sweep "${name}" is recorded already, ${yield* difference(before, recording, manifest)}; give this one another --name`
    )
  if (before === undefined) {
    const row = {
      name,
      identity,
      status: "recording",
      priority,
      attempts,
      plan: JSON.stringify(plan),
      inputs: JSON.stringify(manifest),
      cells: cells.length,
      ...versions
    }
    yield* safe(sql`INSERT INTO sweeps (name, identity, status, priority, attempts, plan, inputs, cells, version, runtime, recordedMs)
      VALUES (${row.name}, ${identity}, ${row.status}, ${priority}, ${attempts}, ${row.plan}, ${row.inputs}, ${row.cells},
        ${versions.version}, ${versions.runtime}, ${sql.literal(SERVER_NOW_MS)}) ON CONFLICT DO NOTHING`)
  }
  // A sweep that was cancelled is wanted again; one that is cancelled from now on is not.
  if (before?.status === "cancelled")
    yield* safe(sql`UPDATE sweeps SET status = CASE WHEN offered THEN 'active' ELSE 'recording' END
      WHERE name = ${name} AND identity = ${identity} AND status = 'cancelled'`)
  if (before?.offered !== true) {
    yield* Inputs.keep(
      manifest.files.map(({ path, sha256, bytes }) => ({ path, sha256, bytes, source: sources.get(path)! })),
      inputs
    )
    yield* offer({ name, identity, attempts: before?.attempts ?? attempts }, cells)
  }
  // A sweep that is paused stays so.
  yield* safe(sql`UPDATE sweeps SET priority = ${priority}, offered = TRUE,
    status = CASE WHEN status = 'recording' THEN 'active' ELSE status END
    WHERE name = ${name} AND identity = ${identity}`)
  const recorded = yield* byName(name)
  return recorded?.identity === identity
    ? recorded
    : yield* refuse(
        `a sweep "${name}" was recorded by another process just now; give this one another --name`
      )
})

/** In what a recorded sweep differs from one of its name. */
const difference = Effect.fnUntraced(function* (
  before: SweepRow,
  { plan, versions }: Recording,
  manifest: Inputs.Manifest
) {
  if (before.version !== versions.version || before.runtime !== versions.runtime)
    return `by ${both(before)}, and this is ${both(versions)}`
  if (before.plan !== JSON.stringify(plan)) return "with another plan"
  const { files } = yield* Stored.manifestOf(before.inputs)
  const was = new Map(files.map(({ path, sha256 }) => [path, sha256]))
  const other = manifest.files.find(({ path, sha256 }) => was.get(path) !== sha256)
  return other === undefined ? "with other inputs" : `and its input ${other.path} has changed since`
})

/** Sweeps whose cells are worked on; of `versions`, and of others. */
export const open = Effect.fn("Sweeps.open")(function* (versions: Versions) {
  const { sql, safe } = yield* Database
  const rows = yield* safe(sql<SweepRow>`SELECT * FROM sweeps WHERE status = 'active'`)
  const [own, others]: [Array<SweepRow>, Array<SweepRow>] = [[], []]
  for (const row of rows)
    (row.version === versions.version && row.runtime === versions.runtime ? own : others).push(row)
  return { own, others }
})

/** Why cells of another version are left alone. */
export const otherVersion = (sweep: SweepRow, versions: Versions): string =>
  `sweep ${sweep.name} was recorded by ${both(sweep)}, and this worker is ${both(versions)}: results of different versions are not mixed; install that version here, or record the sweep again by this one`

/** A queue in which a cell waits. */
export interface Ready {
  readonly queue: string
  readonly sweep: string
  readonly device: string
}

/** Queues that have cells for a worker of these versions, the most urgent first. */
export const ready = Effect.fn("Sweeps.ready")(function* ({ version, runtime }: Versions) {
  const { sql, safe } = yield* Database
  return yield* safe(sql<Ready>`SELECT q.queue AS queue, q.sweep AS sweep, q.device AS device
    FROM sweepQueues q JOIN sweeps s ON s.name = q.sweep
    WHERE s.status = 'active' AND s.version = ${version} AND s.runtime = ${runtime}
      AND EXISTS (SELECT 1 FROM ${sql.literal(TABLE)} e WHERE e.queue_name = q.queue AND e.state = 'pending'
        AND e.visible_at <= now() AND (e.acquired_at IS NULL OR e.acquired_at < now() - INTERVAL '${sql.literal(String(HOLD_SECONDS))} seconds'))
    ORDER BY s.priority DESC, s.recordedMs, q.queue`)
})

/** Statuses that a person gives. */
const changes = {
  pause: { from: ["active", "paused"], to: "paused" },
  resume: { from: ["active", "paused", "cancelled"], to: "active" },
  cancel: { from: ["recording", "active", "paused", "cancelled"], to: "cancelled" }
} as const
export type Change = keyof typeof changes

/**
 * pause: no further cells are taken, those under way end. cancel: those under way are given up too. resume: after either,
 * what is done stays done and the others go on.
 */
export const change = Effect.fn("Sweeps.change")(function* (name: string, kind: Change) {
  const { sql, safe } = yield* Database
  const { from, to } = changes[kind]
  const row = yield* find(name)
  if (!(from as ReadonlyArray<string>).includes(row.status))
    return yield* refuse(
      `sweep "${name}" is ${row.status}: only one that is ${from.join(" or ")} can be ${to}`
    )
  // Only who has the inputs can go on with it.
  if (kind === "resume" && row.status === "cancelled" && !row.offered)
    return yield* refuse(
      `sweep "${name}" was cancelled before all its cells were recorded: give the same \`bitbudget run\` with --queue again, which goes on recording it`
    )
  yield* safe(sql`UPDATE sweeps SET status = ${to} WHERE name = ${name}`)
})

/** Takes a sweep that nobody works on out of the queue, with the files only it needs; its runs stay. Gives its cells. */
export const drop = Effect.fn("Sweeps.drop")(function* (name: string) {
  const { sql, safe } = yield* Database
  const row = yield* find(name)
  const [left] = yield* safe(sql<{ cells: number }>`SELECT count(*) AS cells FROM ${sql.literal(TABLE)} e
    JOIN sweepQueues q ON q.queue = e.queue_name WHERE q.sweep = ${name} AND e.state = 'pending'`)
  if (row.status !== "cancelled" && left!.cells > 0)
    return yield* refuse(
      `sweep "${name}" has ${left!.cells} cells that are not done: cancel it first with \`bitbudget runs cancel ${name}\``
    )
  yield* safe(
    sql.withTransaction(
      Effect.gen(function* () {
        yield* sql`DELETE FROM ${sql.literal(TABLE)} WHERE queue_name IN (SELECT queue FROM sweepQueues WHERE sweep = ${name})`
        yield* sql`DELETE FROM sweeps WHERE name = ${name}`
        yield* sql`DELETE FROM sweepFiles WHERE
          NOT EXISTS (SELECT 1 FROM sweeps, jsonb_array_elements(inputs::jsonb -> 'files') f WHERE f ->> 'sha256' = sweepFiles.sha256)
          AND NOT EXISTS (SELECT 1 FROM sweepOutcomes, jsonb_array_elements(files::jsonb) f WHERE f ->> 'sha256' = sweepFiles.sha256)`
      })
    )
  )
  return row.cells
})

export interface SetAside {
  readonly cell: Cell
  readonly attempts: number
  readonly error: string
}

/** Cells that took their workers down as often as they may, and that no later try has done. */
export const setAside = Effect.fn("Sweeps.setAside")(function* (name: string) {
  const { sql, safe } = yield* Database
  const rows = yield* safe(sql<{ element: string; attempts: number; error: string | null }>`
    SELECT e.element AS element, e.attempts AS attempts, e.last_failure AS error FROM ${sql.literal(TABLE)} e
    JOIN sweepQueues q ON q.queue = e.queue_name
    WHERE q.sweep = ${name} AND e.state = 'failed'
      AND NOT EXISTS (SELECT 1 FROM sweepOutcomes o WHERE o.sweep = q.sweep AND o.cell = split_part(e.id, '~', 1))
      AND NOT EXISTS (SELECT 1 FROM ${sql.literal(TABLE)} later WHERE later.queue_name = e.queue_name
        AND split_part(later.id, '~', 1) = split_part(e.id, '~', 1) AND later.sequence > e.sequence)
    ORDER BY e.sequence`)
  return yield* Effect.forEach(rows, ({ element, attempts, error }) =>
    Effect.map(Stored.queuedOf(element), ({ cell }): SetAside => {
      // The queue keeps the error's name and where it came from, too.
      const [line = ""] = (error ?? "no word of it").split("\n")
      return { cell, attempts, error: line.replace(/^\w+: /, "") }
    })
  )
})

/** Cells that were set aside, and with `failed` those that cannot be met, are tried again; gives their number. */
export const retry = Effect.fn("Sweeps.retry")(function* (name: string, failed: boolean) {
  const { sql, safe } = yield* Database
  const row = yield* find(name)
  const aside = (yield* setAside(name)).map(({ cell }) => cell)
  const wanted = new Set(
    failed
      ? (yield* safe(
          sql<{ cell: string }>`SELECT cell FROM sweepOutcomes WHERE sweep = ${name} AND status = 'failed'`
        )).map(({ cell }) => cell)
      : []
  )
  const plan = yield* Stored.planOf(row.plan)
  const cells = [...aside, ...(wanted.size === 0 ? [] : cellsOf(plan).filter(({ key }) => wanted.has(key)))]
  const [time] = yield* safe(sql.unsafe<{ nowMs: number }>(`SELECT ${SERVER_NOW_MS} AS nowMs`))
  // Both or neither: a cell with no outcome that waits in no queue would never end.
  yield* safe(
    sql.withTransaction(
      Effect.gen(function* () {
        if (wanted.size > 0)
          yield* sql`DELETE FROM sweepOutcomes WHERE sweep = ${name} AND cell IN ${sql.in([...wanted])}`
        yield* offer(row, cells, `~${time!.nowMs}`)
      })
    )
  )
  return cells.length
})

export interface Done extends Outcome {
  readonly files: ReadonlyArray<Inputs.Kept>
  readonly worker: string
  readonly seconds: number
}

/** What became of a cell, once: of two workers that did it, the first tells. */
export const settle = Effect.fn("Sweeps.settle")(function* (sweep: string, done: Done) {
  const { sql, safe } = yield* Database
  const { key, status, run, why, files, worker, seconds } = done
  yield* safe(sql`INSERT INTO sweepOutcomes (sweep, cell, status, run, why, files, worker, seconds, atMs)
    VALUES (${sweep}, ${key}, ${status}, ${run}, ${why}, ${JSON.stringify(files)}, ${worker}, ${seconds},
      ${sql.literal(SERVER_NOW_MS)}) ON CONFLICT DO NOTHING`)
})

/** Whether a cell is settled already. */
export const isSettled = Effect.fn("Sweeps.isSettled")(function* (sweep: string, cell: string) {
  const { sql, safe } = yield* Database
  const rows = yield* safe(sql`SELECT 1 AS one FROM sweepOutcomes WHERE sweep = ${sweep} AND cell = ${cell}`)
  return rows.length > 0
})

/** What became of every cell so far, with the files that each wrote. */
export const outcomes = Effect.fn("Sweeps.outcomes")(function* (row: SweepRow) {
  const { sql, safe } = yield* Database
  const rows = yield* safe(sql<{
    cell: string
    status: Outcome["status"]
    run: string | null
    why: string | null
    files: string
  }>`
    SELECT cell, status, run, why, files FROM sweepOutcomes WHERE sweep = ${row.name}`)
  const aside = yield* setAside(row.name)
  const plan = yield* Stored.planOf(row.plan)
  const known = new Map<string, { readonly outcome: Outcome; readonly files: ReadonlyArray<Inputs.Kept> }>()
  for (const { cell: key, status, run, why, files } of rows)
    known.set(key, {
      outcome: { key, status, run, why },
      files: yield* Stored.filesOf(files)
    })
  for (const { cell, attempts, error } of aside)
    known.set(cell.key, {
      outcome: {
        key: cell.key,
        status: "failed",
        run: null,
        why: `set aside after ${attempts} attempts: ${error}`
      },
      files: []
    })
  return cellsOf(plan).flatMap(({ key }) => known.get(key) ?? [])
})

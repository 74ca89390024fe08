/**
 * A worker: takes cells from the queues of sweeps as long as it runs, does them, and tells what became of them.
 *
 * Taking, holding, trying again and setting aside are the queue's; here is only which queue comes next (by priority, of
 * devices that the worker may do, of its own versions) and what a machine needs for a sweep. Without the database it waits.
 */
import { Duration, Effect, Metric, type Scope, Semaphore } from "effect"
import type { PersistedQueue } from "effect/persistence"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs"
import { hostname } from "node:os"
import * as path from "node:path"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { FileFailure, reason } from "../files.ts"
import { SERVER_NOW_MS } from "../store/clock.ts"
import { Database } from "../store/Database.ts"
import { StoreFailure } from "../store/failures.ts"
import { type Answer, type CellLost, patiently, type Task } from "./CellProcess.ts"
import * as Inputs from "./Inputs.ts"
import { POLL_MS, TABLE } from "./Queue.ts"
import * as Stored from "./stored.ts"
import * as Sweeps from "./Sweeps.ts"
import { exists } from "../processes.ts"

export interface Options {
  readonly versions: Sweeps.Versions
  /** Cells at once. */
  readonly jobs: number
  /** Threads of ONNX Runtime for each. */
  readonly threads: number | undefined
  /** Only cells of these devices; all when absent. */
  readonly only: ReadonlyArray<string> | undefined
  /** Whether it ends when no cell is left, instead of waiting for more. */
  readonly drain: boolean
  readonly cache: Inputs.Cache
  /** Tells a person. */
  readonly say: (text: string) => Effect.Effect<void>
  /** Something that does tasks, one for each job; given the folder that inputs lie in. */
  readonly executor: (
    roots: string
  ) => Effect.Effect<(task: Task) => Effect.Effect<Answer, CellLost>, never, Scope.Scope>
}

const settledCells = Metric.counter("bitbudget.cells", {
  description: "Cells that were settled",
  incremental: true
})
const cellSeconds = Metric.timer("bitbudget.cell.duration", {
  description: "From taking a cell until it was settled"
})

/** Between two looks at what there is to do; every so many of them the worker tells that it lives. */
const LOOK_MS = 1000
const LOOKS_A_SIGN = 5

/** A sweep that this machine lacks something for is left to others for a while. */
const AVOID_MS = 30_000

/** A cell is awaited so long where another worker may have been faster. */
const IDLE_MS = 2000

interface Seen {
  ready: ReadonlyArray<Sweeps.Ready>
  active: ReadonlyMap<string, Sweeps.SweepRow>
}

/** A folder of this process; those of processes of this machine that died are removed, others may share the cache. */
export const ownFolder = (cache: string): Effect.Effect<string, FileFailure, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const [parent, own] = [path.join(cache, "workers"), `${hostname()}.`]
        fs.mkdirSync(parent, { recursive: true })
        for (const name of fs.readdirSync(parent)) {
          // `<host>.<pid>.<random>`; the name of a machine may have dots, too.
          const [, pid] = name.startsWith(own) ? (/^(\d+)\.\w+$/.exec(name.slice(own.length)) ?? []) : []
          if (pid !== undefined && !exists(Number(pid)))
            fs.rmSync(path.join(parent, name), { recursive: true, force: true })
        }
        return fs.mkdtempSync(path.join(parent, `${own}${process.pid}.`))
      },
      catch: (cause) => new FileFailure({ file: cache, why: `cannot be the cache: ${reason(cause)}` })
    }),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
  )

/** Tells that the worker lives, by the server's clock. */
const sign = Effect.fnUntraced(function* (id: string, { versions, jobs }: Options, busy: number) {
  const { sql, safe } = yield* Database
  yield* safe(sql`INSERT INTO sweepWorkers (id, host, pid, version, runtime, jobs, busy, startedMs, seenMs)
    VALUES (${id}, ${hostname()}, ${process.pid}, ${versions.version}, ${versions.runtime}, ${jobs}, ${busy},
      ${sql.literal(SERVER_NOW_MS)}, ${sql.literal(SERVER_NOW_MS)})
    ON CONFLICT (id) DO UPDATE SET busy = excluded.busy, seenMs = excluded.seenMs`)
})

/** Whether no cell is left in queues that the worker may take from, nor held by another. */
const isDrained = Effect.fnUntraced(function* ({ versions, only }: Options) {
  const { sql, safe } = yield* Database
  const rows = yield* safe(sql<{ device: string }>`SELECT DISTINCT q.device AS device FROM sweepQueues q
    JOIN sweeps s ON s.name = q.sweep JOIN ${sql.literal(TABLE)} e ON e.queue_name = q.queue
    WHERE s.status IN ('recording', 'active') AND s.version = ${versions.version} AND s.runtime = ${versions.runtime}
      AND e.state = 'pending'`)
  return rows.every(({ device }) => only !== undefined && !only.includes(device))
})

/** Runs until it is interrupted, or drained. */
export const work = Effect.fn("Worker.work")(function* (
  options: Options
): Effect.fn.Return<
  void,
  RequestFailure | StoreFailure,
  Database | PersistedQueue.PersistedQueueFactory | Scope.Scope
> {
  const { versions, jobs, threads, only, drain, cache, say, executor } = options
  const database = yield* Database
  const id = `${hostname()}/${process.pid}/${randomUUID().slice(0, 8)}`
  const folder = yield* ownFolder(cache.folder)
  const seen: Seen = { ready: [], active: new Map() }
  const avoided = new Map<string, number>()
  const told = new Set<string>()
  const made = new Map<string, string>()
  const making = Semaphore.makeUnsafe(1)
  let busy = 0
  let away = false

  /** Says a thing once. */
  const tell = (text: string) => {
    if (told.has(text)) return Effect.void
    told.add(text)
    return say(text)
  }
  const avoid = (sweep: string, why: string) =>
    Effect.suspend(() => {
      avoided.set(sweep, Date.now() + AVOID_MS)
      return tell(`sweep ${sweep} is left to other workers for now: ${why}`)
    })

  const look = Effect.gen(function* () {
    const { own, others } = yield* Sweeps.open(versions)
    seen.active = new Map(own.map((row) => [row.name, row]))
    seen.ready = (yield* Sweeps.ready(versions)).filter(
      ({ device }) => only === undefined || only.includes(device)
    )
    for (const other of others) yield* tell(Sweeps.otherVersion(other, versions))
    return { own, others }
  })

  /** The folder of a sweep's inputs on this machine. */
  const inputsOf = (sweep: Sweeps.SweepRow) =>
    making.withPermit(
      Effect.gen(function* () {
        const known = made.get(sweep.identity)
        if (known !== undefined) return known
        const manifest = yield* Stored.manifestOf(sweep.inputs)
        const root = path.join(folder, sweep.identity.slice(0, 16))
        yield* Inputs.materialise(manifest.files, root, cache)
        const plan = path.resolve(root, manifest.plan)
        fs.mkdirSync(plan, { recursive: true })
        made.set(sweep.identity, plan)
        return plan
      })
    )

  const profilesOf = (sweep: Sweeps.SweepRow) =>
    path.join(folder, sweep.identity.slice(0, 16), Inputs.PROFILES)

  /** Ends when the sweep is cancelled; what is under way in one that is paused goes on. */
  const givenUp = (sweep: string): Effect.Effect<void> =>
    Effect.suspend(() =>
      seen.active.has(sweep)
        ? Effect.andThen(Effect.sleep(LOOK_MS), givenUp(sweep))
        : Effect.flatMap(
            Effect.option(Effect.provideService(Sweeps.find(sweep), Database, database)),
            (row) =>
              row._tag === "Some" && row.value.status === "cancelled"
                ? Effect.void
                : Effect.andThen(Effect.sleep(LOOK_MS), givenUp(sweep))
          )
    )

  type Execute = (task: Task) => Effect.Effect<Answer, CellLost>

  const doCell = ({ sweep: name, cell }: typeof Stored.QueuedCell.Type, plan: string, execute: Execute) =>
    Effect.gen(function* () {
      const sweep = seen.active.get(name)
      // Paused, or done by a worker whose hold had ended.
      if (sweep === undefined) return yield* Effect.interrupt
      if (yield* Sweeps.isSettled(name, cell.key)) return
      const startedMs = performance.now()
      const task: Task = {
        cell,
        setting: {
          folder: plan,
          plan: yield* Stored.planOf(sweep.plan),
          profiles: profilesOf(sweep),
          out: path.join(folder, "out", sweep.identity.slice(0, 16)),
          threads
        },
        inputs: cache.inputs
      }
      const answer = yield* Effect.raceFirst(execute(task), Effect.as(givenUp(name), undefined))
      if (answer === undefined) return yield* Effect.interrupt
      if (answer.kind === "unable") {
        yield* avoid(name, answer.why)
        return yield* Effect.interrupt
      }
      const { outcome, files } = answer
      const seconds = (performance.now() - startedMs) / 1000
      yield* patiently(Sweeps.settle(name, { ...outcome, files, worker: id, seconds }))
      const { status, run, why } = outcome
      yield* Effect.log("cell settled").pipe(
        Effect.annotateLogs({ sweep: name, cell: cell.key, status, run, why })
      )
      yield* Metric.update(Metric.withAttributes(settledCells, { status }), 1)
      yield* Metric.update(cellSeconds, Duration.seconds(seconds))
    }).pipe(Effect.withSpan("cell", { attributes: { sweep: name, cell: cell.key, device: cell.device } }))

  const takeFrom = Effect.fnUntraced(function* ({ queue, sweep }: Sweeps.Ready, execute: Execute) {
    const row = seen.active.get(sweep)
    if (row === undefined) return
    const plan = yield* inputsOf(row).pipe(
      Effect.catch((error) =>
        error instanceof StoreFailure && error.passing === true
          ? Effect.as(Effect.sleep(LOOK_MS), undefined)
          : Effect.as(avoid(sweep, error.message), undefined)
      )
    )
    if (plan === undefined) return
    const cells = yield* Sweeps.queueOf(queue, row.attempts)
    let begun = false
    const taking = cells.take((item) =>
      Effect.suspend(() => {
        begun = true
        busy++
        return Effect.ensuring(
          doCell(item, plan, execute),
          Effect.sync(() => busy--)
        )
      })
    )
    const idle = Effect.suspend(() => (begun ? Effect.never : Effect.void)).pipe(Effect.delay(IDLE_MS))
    yield* Effect.raceFirst(Effect.asVoid(taking), idle)
    // Others were faster: what the next look finds comes next.
    if (!begun) seen.ready = seen.ready.filter((other) => other.queue !== queue)
  })

  const slot = Effect.scoped(
    Effect.gen(function* () {
      const execute = yield* executor(folder)
      while (true) {
        const next = seen.ready.find(({ sweep }) => (avoided.get(sweep) ?? 0) < Date.now())
        if (next === undefined) yield* Effect.sleep(POLL_MS)
        else
          yield* takeFrom(next, execute).pipe(
            // The queue knows of what went wrong with a cell, and a database that is away is waited for below.
            Effect.catchCause((cause) =>
              Effect.andThen(Effect.logDebug("a cell was given back", cause), Effect.sleep(POLL_MS))
            )
          )
      }
    })
  )

  const first = yield* look
  const [stranger] = first.others
  if (first.own.length === 0 && stranger !== undefined)
    return yield* new UnusableRequest({ why: Sweeps.otherVersion(stranger, versions) })
  yield* sign(id, options, 0)
  yield* Effect.addFinalizer(() => Effect.ignore(database.sql`DELETE FROM sweepWorkers WHERE id = ${id}`))

  const looking = Effect.gen(function* () {
    for (let n = 1; ; n++) {
      yield* Effect.sleep(LOOK_MS)
      yield* look
      if (away) yield* say("the database is back")
      away = false
      if (n % LOOKS_A_SIGN === 0) yield* sign(id, options, busy)
      if (drain && busy === 0 && (yield* isDrained(options))) return
    }
  }).pipe(
    Effect.tapError((error) =>
      error instanceof StoreFailure && error.passing === true && !away
        ? Effect.suspend(() => {
            away = true
            return say(`waiting for the ${error.message}`)
          })
        : Effect.void
    ),
    patiently,
    Effect.withTracerEnabled(false)
  )
  yield* Effect.raceFirst(
    looking,
    Effect.all(
      Array.from({ length: jobs }, () => slot),
      { concurrency: "unbounded", discard: true }
    )
  )
})

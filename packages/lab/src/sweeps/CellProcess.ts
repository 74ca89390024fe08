/**
 * A cell is worked on in a process of its own kind, beside the worker's: computing for a minute without a pause there does not
 * keep the worker from renewing its hold, and what takes that process down (memory, a fault in native code) is told as the
 * cell's error. A process does one cell after another; what it starts with is loaded once.
 */
import { Context, Effect, Layer, Queue, Schedule, Schema } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import type { RequestFailure } from "../errors.ts"
import type { FileFailure } from "../files.ts"
import { Database } from "../store/Database.ts"
import { StoreFailure } from "../store/failures.ts"
import { type Call, RunStore } from "../store/RunStore.ts"
import { type Cell, type Outcome, runCell, type Setting } from "../Sweep.ts"
import * as Inputs from "./Inputs.ts"

export interface Task {
  readonly cell: Cell
  readonly setting: Setting
  /** Folder for outputs that are too large for the database. */
  readonly inputs: string | undefined
}

/** What became of a cell, or why this machine cannot tell. */
export type Answer =
  | { readonly kind: "settled"; readonly outcome: Outcome; readonly files: ReadonlyArray<Inputs.Kept> }
  | { readonly kind: "unable"; readonly why: string }

/** The process ended before it answered. */
export class CellLost extends Schema.TaggedError<CellLost>()("CellLost", { ended: Schema.String }) {
  override get message() {
    return `the process that worked on it ${this.ended}`
  }
}

/** Set for the process that works on cells: the same command line then does what `serve` does. */
export const CELLS = "BITBUDGET_CELLS"

const GRACE_MS = 3000

const start = (roots: string): ChildProcess =>
  fork(process.argv[1]!, process.argv.slice(2), {
    // Descriptors name files of their own folder, of the current one, and of those here.
    env: { ...process.env, [CELLS]: "1", BITBUDGET_DATA: roots },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    serialization: "advanced"
  })

const stop = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    const kill = setTimeout(() => child.kill("SIGKILL"), GRACE_MS)
    child.once("exit", () => {
      clearTimeout(kill)
      resume(Effect.void)
    })
    child.kill("SIGTERM")
  })

/** Does tasks one after another in another process, which is started for the first of them and after its loss. */
export const make = Effect.fn("CellProcess.make")(function* (roots: string) {
  let child: ChildProcess | undefined
  const end = Effect.suspend(() => {
    const running = child
    child = undefined
    return running === undefined ? Effect.void : stop(running)
  })
  yield* Effect.addFinalizer(() => end)
  return (task: Task): Effect.Effect<Answer, CellLost> =>
    Effect.callback<Answer, CellLost>((resume) => {
      const running = (child ??= start(roots))
      const done = (result: Effect.Effect<Answer, CellLost>) => {
        running.removeAllListeners()
        // A process that is gone may still complain of its channel.
        running.on("error", () => {})
        resume(result)
      }
      running.on("message", (answer) => done(Effect.succeed(answer as Answer)))
      running.on("error", (error) => {
        child = undefined
        done(Effect.fail(new CellLost({ ended: `could not be started or spoken to: ${error.message}` })))
      })
      running.on("exit", (code, signal) => {
        child = undefined
        done(
          Effect.fail(
            new CellLost({
              ended: signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`
            })
          )
        )
      })
      running.send(task)
      return end
    })
})

const waiting = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("5 seconds")])

/** As long as the database is away for a while. */
export const patiently = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(work, {
    while: (error) => error instanceof StoreFailure && error.passing === true,
    schedule: waiting
  })

/** Files that a cell wrote, with their digests. */
const written = Effect.fnUntraced(function* (
  folder: string
): Effect.fn.Return<ReadonlyArray<Inputs.Kept & { readonly source: string }>, FileFailure> {
  const found = []
  for (const name of fs.existsSync(folder) ? fs.readdirSync(folder).toSorted() : []) {
    const source = path.join(folder, name)
    const info = fs.statSync(source)
    if (info.isFile())
      found.push({ path: name, sha256: yield* Inputs.digestOf(source), bytes: info.size, source })
  }
  return found
})

const answer = ({ cell, setting, inputs }: Task): Effect.Effect<Answer, never, RunStore | Database> =>
  Effect.gen(function* () {
    const outcome = yield* runCell(cell, setting)
    const folder = path.join(setting.out, cell.key)
    const files = yield* written(folder)
    yield* Inputs.keep(files, inputs)
    fs.rmSync(folder, { recursive: true, force: true })
    return {
      kind: "settled" as const,
      outcome,
      files: files.map(({ source: _source, ...kept }) => kept)
    }
  }).pipe(
    patiently,
    Effect.catch((error: RequestFailure | StoreFailure) =>
      Effect.succeed({ kind: "unable" as const, why: error.message })
    )
  )

/** What the other process does: answers tasks until it is told to stop, or its worker is gone. */
export const serve = Effect.fn("CellProcess.serve")(function* (db: string, call: Call) {
  const tasks = yield* Queue.unbounded<Task>()
  process.on("disconnect", () => process.exit(0))
  process.on("message", (task) => Queue.offerUnsafe(tasks, task as Task))
  const context: Context.Context<RunStore | Database> = yield* patiently(
    Layer.build(RunStore.layer(db, { access: "write", call }))
  )
  return yield* Effect.forever(
    Effect.gen(function* () {
      const task = yield* Queue.take(tasks)
      const said = yield* Effect.provide(answer(task), context)
      process.send?.(said)
    })
  )
})

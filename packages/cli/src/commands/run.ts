/** `run`: a sweep, every cell of its plan.json that the store lacks. */
import { Printable } from "@bitbudget/words"
import { Fleet, Results, Sweep, UnusableRequest } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as path from "node:path"
import { shared } from "../root.ts"
import { countFlag, print, profiles, textFlag, threadsFlag, withServices } from "../shared.ts"
import { cacheFlag, cacheOf, inputsFlag, versions, withQueue } from "./fleet.ts"

/** Time left, from what the cells that were worked on took. */
const remaining = (startedMs: number, worked: number, left: number): string => {
  if (worked === 0 || left === 0) return ""
  const seconds = ((Date.now() - startedMs) / 1000 / worked) * left
  return seconds < 90 ? `, about ${Math.ceil(seconds)} s left` : `, about ${Math.ceil(seconds / 60)} min left`
}

interface Queued {
  readonly experiment: string
  readonly folder: string
  readonly plan: Sweep.SweepPlan
  readonly out: string
  readonly detach: boolean
  readonly name: Option.Option<string>
  readonly priority: number
  readonly attempts: number
  readonly inputs: Option.Option<string>
  readonly cache: Option.Option<string>
}

/** The experiment's folder, or the file of a plan. */
const nameOf = (experiment: string): string => {
  const resolved = path.resolve(experiment)
  return path.basename(resolved) === "plan.json"
    ? path.basename(path.dirname(resolved))
    : path.basename(resolved, ".json")
}

/** How far it is, as a line. */
const progressOf = ({ sweep, workers }: Fleet.Followed): string => {
  const { done, failed, setAside, cells, running, waiting, remainingSeconds } = sweep
  const left = remainingSeconds === null ? "" : `, about ${Tables.spell(remainingSeconds)} left`
  const hands = workers.length === 0 ? ", no worker is there" : `, ${workers.length} workers`
  const state = sweep.status === "paused" ? ", paused" : ""
  return `${done + failed + setAside} of ${cells} cells, ${running} running, ${waiting} waiting${hands}${state}${left}`
}

/** Records the cells for workers on any machine and, unless detached, follows them. */
const byWorkers = (queued: Queued) =>
  withQueue(
    Effect.gen(function* () {
      const { quiet } = yield* shared
      const say = (text: string) =>
        Effect.sync(() => {
          if (!quiet) process.stderr.write(`${Printable.line(text)}\n`)
        })
      const recorded = yield* Fleet.record({
        ...queued,
        name: Option.getOrElse(queued.name, () => nameOf(queued.experiment)),
        profiles,
        versions: yield* versions,
        inputs: Option.getOrUndefined(queued.inputs)
      })
      const { name, status, cells } = recorded
      if (queued.detach)
        return yield* print(
          Results.SweepChangeResult,
          { sweep: name, status, cells },
          () => `sweep ${name} has ${cells} cells; \`bitbudget runs status ${name}\` tells how far it is`
        )
      yield* say(`sweep ${name}: its cells are for workers; stopping this does not stop them`)
      let last = ""
      const outcomes = yield* Fleet.follow(recorded, queued.out, cacheOf(queued), (followed) => {
        const line = progressOf(followed)
        if (line === last) return Effect.void
        last = line
        return say(line)
      })
      yield* print(Results.SweepResult, { cells: outcomes }, Tables.sweep)
      if (outcomes.some(({ status }) => status === "failed")) process.exitCode = 1
    })
  )

export const run = Command.make(
  "run",
  {
    experiment: Argument.String("experiment").pipe(
      Argument.withDescription("Folder with a plan.json (docs/store.md)")
    ),
    shard: Flag.String("shard").pipe(
      Flag.optional,
      Flag.withDescription("Only every n-th cell, as 3/16; each shard with a --db of its own (default all)")
    ),
    jobs: countFlag("jobs").pipe(Flag.withDefault(1), Flag.withDescription("Cells at once (default 1)")),
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDefault(false),
      Flag.withDescription("List the cells, run none")
    ),
    out: Flag.String("out").pipe(
      Flag.optional,
      Flag.withDescription("Folder for the cells' files (default out/ in the experiment)")
    ),
    threads: threadsFlag,
    queue: Flag.Boolean("queue").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Leave the cells to `bitbudget worker`, on this and other machines")
    ),
    detach: Flag.Boolean("detach").pipe(
      Flag.withDefault(false),
      Flag.withDescription("With --queue: do not wait for them")
    ),
    name: textFlag("name").pipe(
      Flag.optional,
      Flag.withDescription("With --queue: name of the sweep (default the experiment's)")
    ),
    priority: Flag.Int("priority").pipe(
      Flag.withDefault(0),
      Flag.withDescription("With --queue: higher comes first (default 0)")
    ),
    attempts: countFlag("attempts").pipe(
      Flag.withDefault(Fleet.ATTEMPTS),
      Flag.withDescription(`With --queue: times a cell may take its worker down (default ${Fleet.ATTEMPTS})`)
    ),
    inputs: inputsFlag,
    cache: cacheFlag
  },
  ({ experiment, shard, jobs, dryRun, out, threads, ...queued }) =>
    Effect.gen(function* () {
      const { folder, plan } = yield* Sweep.read(experiment)
      const part = Option.isSome(shard) ? Sweep.parseShard(shard.value) : { index: 1, of: 1 }
      if (part === undefined)
        return yield* new UnusableRequest({
          why: `--shard "${Option.getOrElse(shard, () => "")}": write for example 3/16, from 1/16 to 16/16`
        })
      const cells = Sweep.shardOf(Sweep.cellsOf(plan), part)
      if (dryRun) return yield* print(Results.CellsResult, { cells }, Tables.cells)
      const folderOut = Option.getOrElse(out, () => path.join(folder, "out"))
      if (queued.queue) {
        if (Option.isSome(shard))
          return yield* new UnusableRequest({
            why: "--shard and --queue are two ways to share cells out: give one of them"
          })
        return yield* byWorkers({ experiment, folder, plan, out: folderOut, ...queued })
      }
      const { quiet } = yield* shared
      const startedMs = Date.now()
      let [finished, worked] = [0, 0]
      const outcomes = yield* withServices(
        Sweep.run(
          cells,
          {
            folder,
            plan,
            profiles,
            out: folderOut,
            threads: Option.getOrUndefined(threads)
          },
          jobs,
          ({ cell, index, of, outcome }) =>
            Effect.sync(() => {
              if (outcome !== undefined) finished++
              if (outcome !== undefined && outcome.status !== "found") worked++
              if (quiet) return
              const what = `${cell.model} on ${cell.device}, ${cell.budgets.join(", ")}`
              const word = outcome?.status ?? "begins"
              const left = outcome === undefined ? "" : remaining(startedMs, worked, of - finished)
              process.stderr.write(
                Printable.line(`cell ${index + 1} of ${of} ${word}: ${what}${left}`) + "\n"
              )
            })
        )
      )
      yield* print(Results.SweepResult, { cells: outcomes }, Tables.sweep)
      if (outcomes.some(({ status }) => status === "failed")) process.exitCode = 1
    })
).pipe(
  Command.withDescription("Run a sweep: every cell of its plan that the store lacks"),
  Command.withExamples([
    {
      command: "bitbudget run experiments/04-sweep --shard 3/16 --db shard3.db",
      description: "one of 16 jobs"
    },
    {
      command: "bitbudget run experiments/my-sweep --queue --detach --db postgres://lab@db/bitbudget",
      description: "cells for workers on any machine"
    }
  ])
)

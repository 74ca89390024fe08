/** `run`: a sweep, every cell of its plan.json that the store lacks. */
import { Printable } from "@bitbudget/words"
import { Results, Sweep, UnusableRequest } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as path from "node:path"
import { shared } from "../root.ts"
import { countFlag, print, profiles, threadsFlag, withServices } from "../shared.ts"

/** Time left, from what the cells that were worked on took. */
const remaining = (startedMs: number, worked: number, left: number): string => {
  if (worked === 0 || left === 0) return ""
  const seconds = ((Date.now() - startedMs) / 1000 / worked) * left
  return seconds < 90 ? `, about ${Math.ceil(seconds)} s left` : `, about ${Math.ceil(seconds / 60)} min left`
}

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
    threads: threadsFlag
  },
  ({ experiment, shard, jobs, dryRun, out, threads }) =>
    Effect.gen(function* () {
      const { folder, plan } = yield* Sweep.read(experiment)
      const part = Option.isSome(shard) ? Sweep.parseShard(shard.value) : { index: 1, of: 1 }
      if (part === undefined)
        return yield* new UnusableRequest({
          why: `--shard "${Option.getOrElse(shard, () => "")}": write for example 3/16, from 1/16 to 16/16`
        })
      const cells = Sweep.shardOf(Sweep.cellsOf(plan), part)
      if (dryRun) return yield* print(Results.CellsResult, { cells }, Tables.cells)
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
            out: Option.getOrElse(out, () => path.join(folder, "out")),
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
    }
  ])
)

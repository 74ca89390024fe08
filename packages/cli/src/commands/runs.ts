/** `runs`: past results in the run store. */
import { Command } from "effect/cli"
import { best, diff, list, pareto, query, show } from "./runs/read.ts"
import { repeat } from "./runs/repeat.ts"
import { cancel, drop, pause, resume, retry, status } from "./runs/sweeps.ts"
import { exportRuns, gc, importRuns, merge, note, rm, tag } from "./runs/write.ts"

export const runs = Command.make("runs").pipe(
  Command.withSubcommands([
    list,
    show,
    diff,
    query,
    best,
    pareto,
    exportRuns,
    importRuns,
    merge,
    tag,
    note,
    rm,
    repeat,
    gc,
    status,
    pause,
    resume,
    cancel,
    retry,
    drop
  ])
)

/** `runs`: past results in the run store. */
import { RunStore } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { print, withServices } from "../shared.ts"

const list = Command.make("list", {}, () =>
  withServices(
    Effect.gen(function* () {
      const store = yield* RunStore
      yield* print(yield* store.list, Tables.runs)
    })
  )
).pipe(Command.withDescription("All runs, newest first"))

const show = Command.make("show", { run: Argument.String("run") }, ({ run }) =>
  withServices(
    Effect.gen(function* () {
      const store = yield* RunStore
      yield* print(yield* store.show(run), Tables.run)
    })
  )
).pipe(Command.withDescription("One run, by the beginning of its id: figures, measurements, seconds a stage"))

export const runs = Command.make("runs").pipe(Command.withSubcommands([list, show]))

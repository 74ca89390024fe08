/** `worker`: does cells of sweeps that were recorded with `run --queue`, beside workers on other machines. */
import { Fleet } from "@bitbudget/lab"
import { Printable } from "@bitbudget/words"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { CommandLine } from "../commandLine.ts"
import { shared, version } from "../root.ts"
import { countFlag, listFlag, storeFile, threadsFlag } from "../shared.ts"
import { telemetry } from "../telemetry.ts"
import { cacheFlag, cacheOf, inputsFlag, versions, withQueue } from "./fleet.ts"

export const worker = Command.make(
  "worker",
  {
    jobs: countFlag("jobs").pipe(Flag.withDefault(1), Flag.withDescription("Cells at once (default 1)")),
    threads: threadsFlag,
    only: listFlag("only").pipe(
      Flag.filter(
        (parts) => parts.every((part) => /^(device=)?[^=]+$/.test(part)),
        () => "devices, as device=gap9,ethos-u55"
      ),
      Flag.map((parts) => parts.map((part) => part.replace(/^device=/, ""))),
      Flag.optional,
      Flag.withDescription("Only cells of these devices, as device=gap9 (default all)")
    ),
    drain: Flag.Boolean("drain").pipe(
      Flag.withDefault(false),
      Flag.withDescription("End when no cell is left (default: wait for more)")
    ),
    inputs: inputsFlag,
    cache: cacheFlag,
    cacheSize: countFlag("cache-size").pipe(
      Flag.withDefault(20),
      Flag.withDescription("GB of fetched files to keep (default 20)")
    )
  },
  ({ jobs, threads, only, drain, inputs, cache, cacheSize }) =>
    Effect.gen(function* () {
      if (process.env[Fleet.CellProcess.CELLS] !== undefined && process.connected)
        return yield* Effect.scoped(
          Fleet.CellProcess.serve(yield* storeFile, { version, commandLine: yield* CommandLine })
          // Its worker, which stopped it, says so.
        ).pipe(Effect.onInterrupt(() => Effect.sync(() => process.exit(0))))
      const { quiet } = yield* shared
      const say = (text: string) =>
        Effect.sync(() => {
          if (!quiet) process.stderr.write(`bitbudget: ${Printable.lines(text)}\n`)
        })
      yield* withQueue(
        Effect.scoped(
          Fleet.work({
            versions: yield* versions,
            jobs,
            threads: Option.getOrUndefined(threads),
            only: Option.getOrUndefined(only),
            drain,
            cache: cacheOf({ cache, inputs }, cacheSize * 1e9),
            say,
            executor: Fleet.CellProcess.make
          })
        )
      ).pipe(Effect.provide(telemetry(quiet)))
    })
).pipe(
  Command.withDescription("Do cells of sweeps that `run --queue` recorded, until it is stopped"),
  Command.withExamples([
    {
      command: "bitbudget worker --jobs 2 --threads 1 --drain --db postgres://lab@db/bitbudget",
      description: "two cells at once, until none is left"
    }
  ])
)

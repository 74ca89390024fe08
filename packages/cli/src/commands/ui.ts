/** `ui`: past runs and those that go on, in a browser. */
import { Database, UnusableRequest } from "@bitbudget/lab"
import { Dashboard } from "@bitbudget/report"
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { countFlag, textFlag, withDatabase } from "../shared.ts"

export const ui = Command.make(
  "ui",
  {
    port: countFlag("port", 0).pipe(
      Flag.withDefault(8765),
      Flag.withDescription("Port to listen at; 0 takes any that is free (default 8765)")
    ),
    host: textFlag("host").pipe(
      Flag.withDefault("127.0.0.1"),
      Flag.withDescription(
        "Address to listen at; beyond this machine a token is asked for (default 127.0.0.1)"
      )
    )
  },
  ({ port, host }) =>
    withDatabase("read")(
      Effect.scoped(
        Effect.gen(function* () {
          const { file, exists } = yield* Database
          if (!exists)
            return yield* new UnusableRequest({
              why: `there is no database ${file}: name one with --db, or make one by a first search`
            })
          const address = yield* Dashboard.serve({ host, port })
          process.stdout.write(`${address}\n`)
          process.stderr.write("stop with Ctrl-C\n")
          return yield* Effect.never
        })
      )
    )
).pipe(
  Command.withExamples([
    { command: "bitbudget ui", description: "open the address it prints in a browser" },
    { command: "bitbudget ui --host 0.0.0.0", description: "for others too, who need the token it prints" }
  ])
)

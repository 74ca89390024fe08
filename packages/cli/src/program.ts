/** The commands put together. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { CliOutput, Command } from "effect/cli"
import { compare, simulate } from "./commands/cost.ts"
import { devices } from "./commands/devices.ts"
import { evaluate, inspect, quantize } from "./commands/network.ts"
import { run } from "./commands/run.ts"
import { runs } from "./commands/runs.ts"
import { search } from "./commands/search.ts"
import { sensitivity } from "./commands/sensitivity.ts"
import { solve } from "./commands/solve.ts"
import { shared, version } from "./shared.ts"

/** Stdout belongs to results: what is wrong with a command line is said on stderr, shortly. */
const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(
          [
            ...event.errors.map(({ message }) => `bitbudget: ${message}`),
            `See \`${event.commandPath.join(" ")} --help\`.`
          ].join("\n")
        )
      : CliOutput.defaultPresenter.present(event)
})

/** The program; its errors are judged by their tags in `main.ts`. */
export const program: Effect.Effect<void, unknown> = shared.pipe(
  Command.withSubcommands([
    inspect,
    simulate,
    compare,
    sensitivity,
    search,
    solve,
    evaluate,
    quantize,
    devices,
    run,
    runs
  ]),
  Command.run({ version }),
  Effect.provide(presenter),
  Effect.provide(NodeServices.layer)
)

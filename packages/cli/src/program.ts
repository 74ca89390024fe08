/** The commands put together. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { Command } from "effect/cli"
import { compare, simulate } from "./commands/cost.ts"
import { devices } from "./commands/devices.ts"
import { evaluate, inspect, quantize } from "./commands/network.ts"
import { runs } from "./commands/runs.ts"
import { search, solve } from "./commands/search.ts"
import { shared } from "./shared.ts"

/** The program; its errors are judged by their tags in `main.ts`. */
export const program: Effect.Effect<void, unknown> = shared.pipe(
  Command.withSubcommands([inspect, simulate, compare, search, solve, evaluate, quantize, devices, runs]),
  Command.run({ version: "0.1.0" }),
  Effect.provide(NodeServices.layer)
)

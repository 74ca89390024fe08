/**
 * The commands put together. What they need (tensors, solvers, a database) takes a second to load, so only those a
 * command line names are loaded; of the others the help tells the names and what they are for.
 */
import type { Failure } from "@bitbudget/lab"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import type * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import { presenter } from "./help.ts"
import { shared, versionAndCommit } from "./root.ts"

const entry = <Name extends string, Input, Context, E, R>(
  does: string,
  load: () => Promise<Command.Command<Name, Input, Context, E, R>>
) => ({ does, load: async () => Command.withDescription(await load(), does) })

/** Every command: what it is for, and where it is. */
const catalogue = {
  inspect: entry(
    "Layers, shapes and work of a network",
    async () => (await import("./commands/network.ts")).inspect
  ),
  simulate: entry("Cost of a network on a device", async () => (await import("./commands/cost.ts")).simulate),
  compare: entry(
    "A network on several devices, under several plans, beside each device's known error",
    async () => (await import("./commands/cost.ts")).compare
  ),
  sensitivity: entry(
    "How much each layer suffers from each format, each figure with its error",
    async () => (await import("./commands/sensitivity.ts")).sensitivity
  ),
  search: entry(
    "Choose formats under budgets, measure them, write the packed network, log the run",
    async () => (await import("./commands/search.ts")).search
  ),
  solve: entry(
    "The best choice for every group of a problem of your own, under its budgets",
    async () => (await import("./commands/solve.ts")).solve
  ),
  evaluate: entry(
    "Measured metrics with 95 % intervals; without labels, a plan against the float network",
    async () => (await import("./commands/network.ts")).evaluate
  ),
  quantize: entry(
    "Write a packed, deployable ONNX file",
    async () => (await import("./commands/network.ts")).quantize
  ),
  devices: entry(
    "Device profiles: list, check, compare with measurements, fit",
    async () => (await import("./commands/devices.ts")).devices
  ),
  run: entry(
    "A sweep: every cell of an experiment that the store lacks",
    async () => (await import("./commands/run.ts")).run
  ),
  runs: entry("Past results", async () => (await import("./commands/runs.ts")).runs)
}

/** `help`, `help search`, `devices help`: the other ways people ask for help. */
const asked = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const words = args.filter((arg) => !arg.startsWith("-"))
  if (words[0] === "help") return [...words.slice(1), "--help"]
  return words.length === 2 && words[1] === "help" && (words[0] === "devices" || words[0] === "runs")
    ? [words[0], "--help"]
    : args
}

/** The program for a command line; its errors are judged by their tags in `start.ts`. */
export const program = async (
  given: ReadonlyArray<string>
): Promise<Effect.Effect<void, Failure | CliError.CliError>> => {
  const args = asked(given)
  const all = args.includes("--completions") || args.includes("--wizard")
  const loaded = await Promise.all(
    Object.entries(catalogue).map(async ([name, { does, load }]) =>
      all || args.includes(name) ? load() : Command.make(name).pipe(Command.withDescription(does))
    )
  )
  const whole = shared.pipe(Command.withSubcommands(loaded))
  return Command.runWith(whole, { version: versionAndCommit })(args).pipe(
    Effect.provide(presenter),
    Effect.provide(NodeServices.layer)
  )
}

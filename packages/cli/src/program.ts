/**
 * The commands put together. What they need (tensors, solvers, a database) takes a second to load, so only those a
 * command line names are loaded; of the others the help tells the names and what they are for.
 */
import type { Failure } from "@bitbudget/lab"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import type * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as CliOutput from "effect/cli/CliOutput"
import type * as HelpDoc from "effect/cli/HelpDoc"
import { asked, CommandLine, withSettings } from "./commandLine.ts"
import { presenter } from "./help.ts"
import { shared, versionAndCommit } from "./root.ts"

const entry = <Name extends string, Input, Context, E, R>(
  does: string,
  load: () => Promise<Command.Command<Name, Input, Context, E, R>>
) => ({ does, load: async () => Command.withDescription(await load(), does) })

/** Every command: what it is for, and where it is. */
const catalogue = {
  init: entry(
    "Write a commented bitbudget.json: what the commands of this folder need not be told",
    async () => (await import("./commands/init.ts")).init
  ),
  inspect: entry(
    "Layers, shapes and work of a network",
    async () => (await import("./commands/network.ts")).inspect
  ),
  simulate: entry("Cost of a network on a device", async () => (await import("./commands/cost.ts")).simulate),
  compare: entry(
    "A network on several devices, under several plans, beside each device's known error",
    async () => (await import("./commands/cost.ts")).compare
  ),
  fit: entry(
    "Whether a language model fits a device, the longest context that does, tokens a second",
    async () => (await import("./commands/fit.ts")).fit
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
  translate: entry(
    "A plan in the words of another tool, or another tool's as a plan",
    async () => (await import("./commands/translate.ts")).translate
  ),
  tune: entry(
    "Train a plan's weights and scales on data of your own, without a training framework",
    async () => (await import("./commands/tune.ts")).tune
  ),
  devices: entry(
    "Device profiles: list, check, compare with measurements, fit",
    async () => (await import("./commands/devices.ts")).devices
  ),
  run: entry(
    "A sweep: every cell of an experiment that the store lacks",
    async () => (await import("./commands/run.ts")).run
  ),
  worker: entry(
    "Cells of sweeps that `run --queue` recorded, until it is stopped",
    async () => (await import("./commands/worker.ts")).worker
  ),
  report: entry(
    "Past runs as a page, as Markdown or as a drawing",
    async () => (await import("./commands/report.ts")).report
  ),
  ui: entry(
    "Past runs and those that go on, in a browser",
    async () => (await import("./commands/ui.ts")).ui
  ),
  runs: entry("Past results", async () => (await import("./commands/runs.ts")).runs)
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
  const runWith = Command.runWith(whole, { version: versionAndCommit })
  /** The flags of a command, as its help tells them. */
  const flagsOf = Effect.fnUntraced(function* (words: ReadonlyArray<string>) {
    let flags: ReadonlyArray<HelpDoc.FlagDoc> = []
    const listener = CliOutput.layerPresenter({
      present: (event) =>
        Effect.sync(() => {
          if (event._tag === "Help") flags = [...event.helpDoc.flags, ...(event.helpDoc.inheritedFlags ?? [])]
        })
    })
    yield* runWith([...words, "--help"]).pipe(
      Effect.ignore,
      Effect.provide(listener),
      Effect.provide(NodeServices.layer)
    )
    return flags
  })
  return Effect.gen(function* () {
    const line = yield* withSettings(args, Object.keys(catalogue), flagsOf)
    yield* Effect.provide(Effect.provideService(runWith(line), CommandLine, line), presenter)
  }).pipe(Effect.provide(NodeServices.layer))
}

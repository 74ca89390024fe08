/** `init`: a `bitbudget.json` for this folder, every line with what it is for. */
import { Files, Results, UnusableRequest } from "@bitbudget/lab"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { existsSync } from "node:fs"
import { settingsName } from "../commandLine.ts"
import { plainly, print, textFlag } from "../shared.ts"

interface Known {
  readonly device: string | undefined
  readonly data: string | undefined
  readonly budget: ReadonlyArray<string>
}

/** Lines that are not known yet stand there as comments. */
const textOf = ({ device, data, budget }: Known): string => {
  const line = (name: string, value: unknown, known: boolean) =>
    `  ${known ? "" : "// "}${JSON.stringify(name)}: ${JSON.stringify(value)},`
  return `{
  // Flags of bitbudget's commands, for all commands in this folder and below. A flag that is typed counts instead.
  // Paths are relative to this file. \`bitbudget devices list\` shows the devices, docs/data.md the forms of data.

  // Where the network is to run.
${line("device", device ?? "gap9", device !== undefined)}

  // Calibration, sensitivities and accuracy are measured on it.
${line("data", data ?? "data.json", data !== undefined)}

  // Limits of \`search\`: a share of the 8-bit network's, or a figure such as 2ms, 300KB, 0.1mJ.
${line("budget", budget.length === 0 ? ["size<=60%", "latency<=80%"] : budget, budget.length > 0)}

  // How layers are rounded: plain, fast or best.
${line("recipe", "best", false)}

  // The store of past runs.
${line("db", "bitbudget.db", true)}

  // Flags of one command.
  // "search": { "weights": "w2,w4,w8", "out": "out" },
  // "runs list": { "sort": "energy" }
}
`
}

const optional = (name: string, description: string) =>
  textFlag(name).pipe(Flag.optional, Flag.withDescription(description))

export const init = Command.make(
  "init",
  {
    device: optional("device", "The device of this folder's work"),
    data: optional("data", "Its data"),
    budget: Flag.String("budget").pipe(
      Flag.atLeast(0),
      Flag.withDescription('Such as "latency<=60%"; repeat')
    ),
    force: Flag.Boolean("force").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Write over the one that is there")
    )
  },
  ({ device, data, budget, force }) =>
    plainly(
      Effect.gen(function* () {
        if (existsSync(settingsName) && !force)
          return yield* new UnusableRequest({
            why: `${settingsName} is there already; edit it, or write over it with --force`
          })
        const known = { device: Option.getOrUndefined(device), data: Option.getOrUndefined(data), budget }
        yield* Files.writeFile(settingsName, textOf(known))
        yield* print(
          Results.InitResult,
          { file: settingsName },
          ({ file }) => `${file} written: what stands in it need not be typed here and below`
        )
      })
    )
).pipe(
  Command.withExamples([
    {
      command: 'bitbudget init --device gap9 --data d.json --budget "size<=60%"',
      description: "then `bitbudget search model.onnx` is enough"
    }
  ])
)

/** `report`: past runs as a file to look at, to print, or to paste into a pull request. */
import { Database, Files, Results, Runs, UnusableRequest } from "@bitbudget/lab"
import { Page } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { print, textFlag, withDatabase } from "../shared.ts"

const kinds = ["html", "md", "svg"] as const

export const report = Command.make(
  "report",
  {
    runs: Argument.String("run").pipe(
      Argument.variadic({ min: 1 }),
      Argument.withDescription("Ids of runs, or their beginnings; several are compared")
    ),
    format: Flag.Literals("format", kinds).pipe(
      Flag.optional,
      Flag.withDescription(
        "html: a page of its own; md: Markdown; svg: the bits by layer (default by the file's name)"
      )
    ),
    out: textFlag("out").pipe(Flag.withAlias("o"), Flag.withDescription("The file to write"))
  },
  ({ runs, format, out }) =>
    withDatabase("read")(
      Effect.gen(function* () {
        const { file } = yield* Database
        const named = kinds.find((kind) => out.toLowerCase().endsWith(`.${kind}`))
        const kind = Option.getOrElse(format, () => named ?? "html")
        const shown = yield* Effect.forEach(runs, Runs.show)
        const unplanned = shown.find(({ layers }) => layers.length === 0)
        if (kind === "svg" && (shown.length > 1 || unplanned !== undefined))
          return yield* new UnusableRequest({
            why: "a drawing is of the plan of one finished search: name one, or take --format html"
          })
        const text =
          kind === "html"
            ? yield* Page.html(shown)
            : kind === "md"
              ? Page.markdown(shown)
              : Page.skylineSvg(shown[0]!)
        yield* Files.writeFile(out, text, { inputs: [file] })
        yield* print(
          Results.ReportResult,
          { file: out, format: kind, runs: shown.length },
          (done) => `${done.file} written`
        )
      })
    )
).pipe(
  Command.withExamples([
    { command: "bitbudget report 3f2a -o run.html", description: "a page to open, mail or print" },
    {
      command: "bitbudget report 3f2a 91bc --format md -o plan.md",
      description: "two runs for a pull request"
    }
  ])
)

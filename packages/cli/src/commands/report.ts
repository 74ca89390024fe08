/** `report`: past runs as a file to look at, to print, or to paste into a pull request. */
import { Database, Files, Results, Runs, UnusableRequest } from "@bitbudget/lab"
import { Page } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { print, textFlag, withDatabase } from "../shared.ts"

const kinds = ["html", "md", "svg", "png", "model-explorer"] as const
type Kind = (typeof kinds)[number]

const contentsOf = Effect.fnUntraced(function* (
  kind: Kind,
  runs: ReadonlyArray<Results.RunResult>,
  chart: Page.ChartName
) {
  if (kind === "html") return yield* Page.html(runs)
  if (kind === "md") return Page.markdown(runs)
  const [run] = runs
  if (run === undefined || runs.length > 1 || run.layers.length === 0)
    return yield* new UnusableRequest({
      why: "a drawing is of the plan of one finished search: name one, or take --format html"
    })
  if (kind === "model-explorer") return Page.modelExplorer(run)
  const drawing = Page.svg(run, chart)
  if (drawing === undefined)
    return yield* new UnusableRequest({
      why: `--chart ${chart}: run ${String(run.summary["run"])} has too little stored for it; take another chart, or search again with --force`
    })
  return kind === "png" ? yield* Page.png(drawing) : drawing
})

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
        "html: a page of its own; md: Markdown; svg, png: a chart; model-explorer: bits by node (default by the file's name)"
      )
    ),
    chart: Flag.Literals("chart", Page.chartNames).pipe(
      Flag.withDefault("skyline" as const),
      Flag.withDescription("What svg and png draw (default skyline: the bits by layer)")
    ),
    out: textFlag("out").pipe(Flag.withAlias("o"), Flag.withDescription("The file to write"))
  },
  ({ runs, format, chart, out }) =>
    withDatabase("read")(
      Effect.gen(function* () {
        const { file } = yield* Database
        const named = kinds.find((kind) => out.toLowerCase().endsWith(`.${kind}`))
        const kind = Option.getOrElse(format, () => named ?? "html")
        if (chart !== "skyline" && kind !== "svg" && kind !== "png")
          return yield* new UnusableRequest({
            why: `--chart is for svg and png; ${kind} has all charts it can have`
          })
        const shown = yield* Effect.forEach(runs, Runs.show)
        yield* Files.writeFile(out, yield* contentsOf(kind, shown, chart), { inputs: [file] })
        return yield* print(
          Results.ReportResult,
          { file: out, format: kind, runs: shown.length },
          (done) => `${done.file} written`
        )
      })
    )
).pipe(
  Command.withExamples([
    { command: "bitbudget report 3f2a -o run.html", description: "a page to open, mail or print" },
    { command: "bitbudget report 3f2a --chart skyline -o skyline.svg", description: "a chart for a paper" },
    {
      command: "bitbudget report 3f2a 91bc --format md -o plan.md",
      description: "two runs for a pull request"
    }
  ])
)

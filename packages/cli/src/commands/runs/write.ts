/** `runs export|import|merge|tag|note|rm|gc`: carrying runs around, and keeping house. */
import { Database, Files, Results, Runs } from "@bitbudget/lab"
import { Export } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { print, withDatabase } from "../../shared.ts"
import { runArgument, whereFlag } from "./read.ts"

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? "" : "s"}`

export const exportRuns = Command.make(
  "export",
  {
    runs: runArgument("run").pipe(Argument.variadic()),
    where: whereFlag,
    format: Flag.Literals("format", ["json", "csv", "parquet"]).pipe(
      Flag.optional,
      Flag.withDescription(
        "json: whole runs, for import; csv, parquet: run_summary (default by the file's name)"
      )
    ),
    out: Flag.String("out").pipe(Flag.withAlias("o"), Flag.withDescription("The file to write"))
  },
  ({ runs, where, format, out }) =>
    withDatabase("read")(
      Effect.gen(function* () {
        const { file } = yield* Database
        const kind = Option.getOrElse(format, () =>
          out.endsWith(".csv") ? "csv" : out.endsWith(".parquet") ? "parquet" : "json"
        )
        const filter = Option.getOrUndefined(where)
        const care = { inputs: [file] }
        if (kind === "json") {
          const document = yield* Runs.exported(runs, filter)
          yield* Files.writeFile(out, `${JSON.stringify(document, null, 1)}\n`, care)
          const n = document.tables["runs"]?.length ?? 0
          return yield* print(
            Results.ExportResult,
            { file: out, runs: n },
            () => `${plural(n, "run")} written to ${out}`
          )
        }
        const ids = new Set(yield* Effect.forEach(runs, Runs.find))
        const { columns, rows } = yield* Runs.list({ where: filter })
        const chosen = rows
          .map(({ row }) => row)
          .filter((row) => ids.size === 0 || ids.has(String(row["run"])))
        yield* Files.writeFile(out, (kind === "csv" ? Export.csv : Export.parquet)(columns, chosen), care)
        yield* print(
          Results.ExportResult,
          { file: out, runs: chosen.length },
          () => `${plural(chosen.length, "run")} written to ${out}`
        )
      })
    )
).pipe(Command.withDescription("Runs as a file: all, those named, or those of a filter"))

const taken = ({ added, known }: { readonly added: number; readonly known: number }): string =>
  `${plural(added, "run")} added, ${known} already here`

export const importRuns = Command.make(
  "import",
  { file: Argument.String("file").pipe(Argument.withDescription("What `runs export` wrote as JSON")) },
  ({ file }) =>
    withDatabase("write")(
      Effect.flatMap(Runs.importFrom(file), (result) => print(Results.TakenResult, result, taken))
    )
).pipe(Command.withDescription("Take the runs of an exported file"))

export const merge = Command.make(
  "merge",
  {
    others: Argument.String("db").pipe(
      Argument.variadic({ min: 1 }),
      Argument.withDescription("Other databases")
    )
  },
  ({ others }) =>
    withDatabase("write")(
      Effect.gen(function* () {
        const results = yield* Effect.forEach(others, Runs.mergeFrom)
        const total = {
          added: results.reduce((sum, { added }) => sum + added, 0),
          known: results.reduce((sum, { known }) => sum + known, 0)
        }
        yield* print(Results.TakenResult, total, taken)
      })
    )
).pipe(Command.withDescription("Take the runs of other databases, which stay as they are"))

const annotation = (field: "tag" | "note", description: string) =>
  Command.make(
    field,
    {
      run: runArgument("run"),
      text: Argument.String(field).pipe(Argument.optional, Argument.withDescription("Left out: taken away"))
    },
    ({ run, text }) =>
      withDatabase("write")(
        Effect.flatMap(Runs.annotate(run, field, Option.getOrNull(text)), (result) =>
          print(Results.AnnotateResult, result, ({ run }) =>
            Option.isNone(text) ? `${run}: no ${field}` : `${run}: ${field} ${text.value}`
          )
        )
      )
  ).pipe(Command.withDescription(description))

export const tag = annotation("tag", "Tag a run with a word")
export const note = annotation("note", "Write a note on a run")

export const rm = Command.make(
  "rm",
  { runs: runArgument("run").pipe(Argument.variadic({ min: 1 })) },
  ({ runs }) =>
    withDatabase("write")(
      Effect.flatMap(Runs.remove(runs), (result) =>
        print(
          Results.RemoveResult,
          result,
          ({ removed, undo }) =>
            `${plural(removed.length, "run")} removed; \`bitbudget runs import ${undo}\` brings back`
        )
      )
    )
).pipe(Command.withDescription("Remove runs; a copy to undo it is written beside the database"))

export const gc = Command.make(
  "gc",
  {
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Say what would be removed, and remove nothing")
    )
  },
  ({ dryRun }) =>
    withDatabase("write")(
      Effect.flatMap(Runs.collect(dryRun), (result) =>
        print(Results.CollectResult, result, ({ removed, bytesBefore, bytesAfter }) => {
          const parts = Object.entries(removed).flatMap(([name, n]) => (n === 0 ? [] : [`${n} of ${name}`]))
          const what =
            parts.length === 0
              ? "nothing to remove"
              : `${dryRun ? "would remove" : "removed"} ${parts.join(", ")}`
          return `${what}; ${bytesBefore} bytes before, ${bytesAfter} now; the file is sound`
        })
      )
    )
).pipe(Command.withDescription("Check the whole file and remove what no run needs"))

/** A run as Markdown, for pull requests and wikis. */
import type { Results } from "@bitbudget/lab"
import { Printable, figure } from "@bitbudget/words"
import { budgetRows, commandOf, headlineOf, planRows, proofOf } from "@bitbudget/page"

type Run = Results.RunResult

/** A cell may neither end the row nor start markup. */
const cell = (text: string): string => Printable.line(text).replaceAll(/[\\`*_|<>[\]]/g, "\\$&")

const table = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<string> => [
  `| ${head.join(" | ")} |`,
  `|${head.map((_, i) => (i === 0 ? "---" : "--:")).join("|")}|`,
  ...rows.map((row) => `| ${row.map(cell).join(" | ")} |`),
  ""
]

const story = (run: Run): ReadonlyArray<string> => {
  const { summary, layers } = run
  const command = commandOf(run)
  return [
    `### ${cell(String(summary["model"]))}${summary["device"] === null ? "" : ` on ${cell(String(summary["device"]))}`}`,
    "",
    headlineOf(run),
    ...proofOf(run),
    "",
    ...(run.budgets.length === 0
      ? []
      : table(
          ["budget", "at most", "reached"],
          budgetRows(run).map(({ text, atMost, reached }) => [text, atMost, reached])
        )),
    ...table(
      ["plan", "bits", "ms", "mJ", "bytes", "fits", String(summary["metric"] ?? "measured")],
      planRows(run).map(({ cells }) => cells)
    ),
    ...(layers.length === 0
      ? []
      : [
          `<details><summary>${layers.length} layers</summary>`,
          "",
          ...table(
            ["layer", "formats", "ms", "bytes", "bound by"],
            layers.map(({ layer, choice, latencyMs, bytes, boundBy }) => [
              layer,
              choice,
              figure(latencyMs),
              figure(bytes),
              boundBy ?? "–"
            ])
          ),
          "</details>",
          ""
        ]),
    ...(command === undefined ? [] : ["```sh", Printable.line(command), "```", ""]),
    `Run ${cell(String(summary["run"]))}, version ${cell(String(summary["version"] ?? "–"))}.`,
    ""
  ]
}

export const markdown = (runs: ReadonlyArray<Run>): string => runs.flatMap(story).join("\n")

/** `runs` as tables. */
import type { Results, Runs } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import { skyline } from "../skyline.ts"
import { commandOf, interval, proofOf } from "@bitbudget/page"
import { middle, type Success, table, tableOfKnown, withError } from "./table.ts"

type Shown = Results.RunResult

const date = (value: unknown): string => String(value).slice(0, 16).replace("T", " ")

const percentages = new Set(["top1", "top1Low", "top1High", "top1Drop", "bestTop1"])

/** A cell of a column that the user chose. */
const cell = (column: string, value: Runs.Value | undefined): string | null => {
  if (value === null || value === undefined) return null
  if (column.endsWith("At") || column === "latest") return date(value)
  if (typeof value === "string") return middle(value, 24)
  if (percentages.has(column)) return `${(100 * value).toFixed(2)} %`
  return Number.isInteger(value) && Math.abs(value) < 1e4 ? String(value) : figure(value)
}

/** Rows whose columns are known only from the question. */
export const rows = (found: ReadonlyArray<Runs.Row>): string => {
  const head = Object.keys(found[0] ?? {})
  return found.length === 0
    ? "no rows"
    : table(
        head,
        found.map((row) => head.map((name) => cell(name, row[name])))
      )
}

const usual = [
  "status",
  "tag",
  "model",
  "device",
  "budgets",
  "bits",
  "latencyMs",
  "energyMj",
  "bytes",
  "value",
  "startedAt"
]

const short: Readonly<Record<string, string>> = {
  latencyMs: "ms",
  energyMj: "mJ",
  startedAt: "started",
  value: "measured"
}

const measured = ({ metric, value }: Runs.Row): string | null =>
  typeof value !== "number"
    ? null
    : metric === "top1"
      ? `${(100 * value).toFixed(2)} %`
      : `${figure(value)} ${String(metric)}`

/** `limited` says whether the user may want more than is shown; `chosen` whether the columns are theirs. */
export const runs = ({ columns, rows, total }: Success<typeof Runs.list>, chosen: boolean): string => {
  if (total === 0) return "no runs"
  const names = chosen ? columns.filter((name) => name !== "run") : usual
  const width = names.length > 6 ? 14 : 24
  const shown = (name: string, row: Runs.Row) => {
    const own = name === "value" ? measured(row) : cell(name, row[name])
    return own === null ? null : middle(own, name === "startedAt" || name === "budgets" ? 22 : width)
  }
  const more =
    rows.length < total ? [`\n${rows.length} of ${total} runs; --limit shows more, --where fewer`] : []
  return [
    (chosen ? table : tableOfKnown)(
      ["run", ...names.map((name) => short[name] ?? name)],
      rows.map(({ short: id, row }) => [id, ...names.map((name) => shown(name, row))])
    ),
    ...more
  ].join("\n")
}

/** A table with its blank line before it, unless it has no rows. */
const section = (head: ReadonlyArray<string>, rows: Parameters<typeof table>[1]): ReadonlyArray<string> =>
  rows.length === 0 ? [] : ["", tableOfKnown(head, rows)]

/** How the bits are spread: "w4a8 × 7, w8a8 × 3". */
const spread = (layers: Shown["layers"]): string => {
  const counts = new Map<string, number>()
  for (const { choice } of layers) counts.set(choice, (counts.get(choice) ?? 0) + 1)
  return [...counts]
    .toSorted((a, b) => b[1] - a[1])
    .map(([choice, n]) => `${choice} × ${n}`)
    .join(", ")
}

export interface Details {
  readonly layers: boolean
  readonly sensitivities: boolean
}

/** The story on one screen; layers and sensitivities where they are asked for. */
export const run = (shown: Shown, details: Details): string => {
  const { run, summary, budgets, plans, measurements, layers, sensitivities, referee, stages, artefacts } =
    shown
  const text = (name: string) => String(summary[name] ?? "–")
  const metric = summary["metric"]
  const of = (plan: string) => measurements.find((row) => row.plan === plan && row.metric === metric)
  const command = commandOf(shown)
  const seconds = summary["durationS"]
  const tried = plans.filter(({ role }) => role === "candidate").length
  return [
    `${text("kind")} ${text("run")}: ${text("status")}` +
      (run["tag"] === null ? "" : `, tagged ${text("tag")}`),
    ...(run["note"] === null ? [] : [`note: ${text("note")}`]),
    ...(run["failure"] === null ? [] : [`failed of: ${text("failure")}`]),
    `model ${text("model")}, ` +
      (summary["device"] === null ? "" : `device ${text("device")}, `) +
      `data ${text("dataset")}`,
    `started ${date(summary["startedAt"])}` +
      (typeof seconds === "number" ? `, took ${figure(seconds)} s` : "") +
      (run["version"] === null ? "" : `, version ${text("version")}, seed ${text("seed")}`),
    ...section(
      ["budget", "at most", "reached", "left"],
      budgets.map(({ text, atMost, reached }) => [
        text,
        figure(atMost),
        figure(reached),
        reached === null ? null : figure(atMost - reached)
      ])
    ),
    ...section(
      [
        "plan",
        "bits",
        "ms",
        "mJ",
        "bytes",
        "fits",
        typeof metric === "string" ? `${metric} [95 %]` : "measured"
      ],
      plans
        .filter(({ role }) => role !== "candidate")
        .map((plan) => {
          const found = of(plan.name)
          return [
            plan.role === "chosen" && run["chosen"] !== null
              ? `chosen (${String(run["chosen"])})`
              : plan.name,
            figure(plan.bits),
            figure(plan.latencyMs),
            figure(plan.energyMj),
            figure(plan.bytes),
            plan.withinBudgets === null ? null : plan.withinBudgets === 1 ? "yes" : "no",
            found === undefined ? null : interval(found.metric, found.value, found.low, found.high)
          ]
        })
    ),
    "",
    ...skyline(
      layers.map(({ weightBits, latencyMs, bytes }) => ({
        bits: weightBits ?? 32,
        size: latencyMs ?? bytes
      })),
      layers.some(({ latencyMs }) => latencyMs !== null) ? "the latency" : "the bytes"
    ),
    ...(layers.length === 0 ? [] : ["", `formats: ${spread(layers)}`]),
    ...(tried === 0
      ? []
      : [`${tried} other plan${tried === 1 ? " was" : "s were"} tried on the tuning data`]),
    ...proofOf(shown),
    ...artefacts.map(
      ({ path, bytes, sha256 }) => `file: ${path} (${bytes} bytes, SHA-256 ${sha256.slice(0, 12)}…)`
    ),
    ...(command === undefined ? [] : [`command: ${command}`]),
    ...(details.layers
      ? section(
          ["layer", "formats", "bytes", "ms", "pJ", "Δloss"],
          layers.map((row) => [
            middle(row.layer, 32),
            row.choice,
            figure(row.bytes),
            figure(row.latencyMs),
            figure(row.energyPj),
            withError(row.deltaLoss, row.deltaLossStdErr)
          ])
        )
      : []),
    ...(details.sensitivities
      ? [
          ...section(
            ["layer", "formats", "metric", "value"],
            sensitivities.map((row) => [
              middle(row.layer, 32),
              row.choice,
              row.metric,
              withError(row.value, row.stdErr)
            ])
          ),
          ...section(
            ["metric", "Spearman", "pairs"],
            referee.map((row) => [row.metric, figure(row.spearman), row.n])
          ),
          ...section(
            ["stage", "seconds"],
            stages.map((row) => [row.stage, figure(row.seconds)])
          )
        ]
      : []),
    ...(details.layers && details.sensitivities
      ? []
      : ["", "--layers shows the plan layer by layer, --sensitivities the figures behind it"])
  ].join("\n")
}

const ratio = (a: number | null, b: number | null): string | null =>
  a === null || b === null || a === 0 ? null : `× ${figure(b / a)}`

/** What differs; what is the same is not shown. */
export const diff = (result: Results.DiffResult): string => {
  const { a, b, inputs, options, layers, sameLayers, costs, measurements, paired } = result
  const digest = (value: Runs.Value) => middle(value === null ? "–" : String(value), 24)
  return [
    `A ${String(a["run"])}  ${String(a["model"])} on ${String(a["device"] ?? "no device")}, ${date(a["startedAt"])}`,
    `B ${String(b["run"])}  ${String(b["model"])} on ${String(b["device"] ?? "no device")}, ${date(b["startedAt"])}`,
    ...section(
      ["input", "A", "B"],
      inputs.map(({ name, a, b }) => [name, digest(a), digest(b)])
    ),
    ...section(
      ["option", "A", "B"],
      options.map(({ name, a, b }) => [name, digest(a), digest(b)])
    ),
    ...section(
      ["layer", "A", "B"],
      layers.map(({ name, a, b }) => [middle(name, 36), a, b])
    ),
    "",
    layers.length === 0
      ? `all ${sameLayers} layers have the same formats`
      : `${sameLayers} other layer${sameLayers === 1 ? " has" : "s have"} the same formats`,
    ...section(
      ["cost", "A", "B", "B to A"],
      costs.map(({ name, a, b }) => [name, figure(a), figure(b), ratio(a, b)])
    ),
    ...section(
      ["measured", "A [95 %]", "B [95 %]"],
      measurements.map(({ metric, a, b }) => [
        metric,
        interval(metric, a.value, a.low, a.high),
        interval(metric, b.value, b.low, b.high)
      ])
    ),
    "",
    paired === null
      ? "not measured on the same targets: no paired test"
      : `of ${paired.targets} targets only A gets ${paired.onlyA} right and only B ${paired.onlyB}: ` +
        `p = ${figure(paired.pValue)}, ${paired.pValue < 0.05 ? "significant" : "not significant"} (McNemar, exact)`
  ].join("\n")
}

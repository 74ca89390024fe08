/**
 * A run as one HTML file: no script, nothing fetched, light and dark by the reader's setting, fit for print. Everything in it
 * is what the store has of the run; what the store lacks is left out, not invented.
 */
import type { Results } from "@bitbudget/lab"
import { figure } from "../tables/table.ts"
import { measured, skyline } from "./charts.ts"
import { element, type Content, type Markup, trusted } from "./markup.ts"
import { budgetRows, commandOf, headlineOf, interval, planRows, proofOf } from "../story.ts"

type Run = Results.RunResult

const style = `
:root { color-scheme: light dark; --ink: #1c1917; --paper: #fdfcfa; --faint: #78716c; --rule: #e7e5e4; --accent: #c2410c; --fill: #0f766e; --over: #b91c1c }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e5e4; --paper: #191817; --faint: #a8a29e; --rule: #35322f; --accent: #fb923c; --fill: #2dd4bf; --over: #f87171 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; color: var(--ink); background: var(--paper); font: 16px/1.55 ui-sans-serif, system-ui, sans-serif; font-variant-numeric: tabular-nums }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; overflow-wrap: anywhere }
h2 { font-size: 1.05rem; margin: 2.6rem 0 .7rem; padding-bottom: .3rem; border-bottom: 1px solid var(--rule) }
p { margin: .4rem 0 } .faint, figcaption { color: var(--faint); font-size: .88rem }
.verdict { font-size: 1.12rem; margin: 1rem 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: right; padding: .28rem .6rem; border-bottom: 1px solid var(--rule); white-space: nowrap }
th { color: var(--faint); font-weight: 500 } th:first-child, td:first-child, td.word, th.word { text-align: left }
tr.chosen td { font-weight: 600 } figure { margin: 0; overflow-x: auto } svg { width: 100%; min-width: 38rem; height: auto; display: block }
.bar { position: relative; height: .55rem; border-radius: .3rem; background: var(--rule); min-width: 8rem; overflow: hidden }
.bar i { position: absolute; inset: 0 auto 0 0; border-radius: .3rem; background: var(--fill) } .bar.over i { background: var(--over) }
code, pre { font: .84rem/1.5 ui-monospace, monospace } pre { overflow-x: auto; padding: .7rem .9rem; border: 1px solid var(--rule); border-radius: .4rem; white-space: pre-wrap; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .88rem } dt { color: var(--faint) } dd { margin: 0; overflow-wrap: anywhere }
details summary { cursor: pointer; color: var(--faint) }
@media print { body { padding: 0; max-width: none } svg { min-width: 0 } details > * { display: block } h2 { break-after: avoid } }
`

/** `words`: which columns are no figures. */
const table = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<{ readonly chosen?: boolean; readonly cells: ReadonlyArray<Content> }>,
  words: ReadonlySet<number> = new Set([0])
): Markup =>
  element(
    "div",
    { class: "wide", tabindex: 0, role: "region", "aria-label": head.join(", ") },
    element(
      "table",
      {},
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          head.map((name, i) =>
            element("th", { scope: "col", class: words.has(i) ? "word" : undefined }, name)
          )
        )
      ),
      element(
        "tbody",
        {},
        rows.map(({ chosen, cells }) =>
          element(
            "tr",
            { class: chosen === true ? "chosen" : undefined },
            cells.map((cell, i) => element("td", { class: words.has(i) ? "word" : undefined }, cell ?? "–"))
          )
        )
      )
    )
  )

const section = (title: string, ...content: ReadonlyArray<Content>): Markup =>
  element("section", {}, element("h2", {}, title), content)

const budgets = (run: Run): Content =>
  run.budgets.length === 0
    ? null
    : section(
        "Budgets",
        table(
          ["budget", "used", "at most", "reached"],
          budgetRows(run).map(({ text, used, atMost, reached }) => ({
            cells: [
              text,
              used === null
                ? "–"
                : element(
                    "div",
                    {
                      class: used > 1 ? "bar over" : "bar",
                      role: "img",
                      "aria-label": `${Math.round(100 * used)} % used`
                    },
                    element("i", { style: `width:${Math.min(100, 100 * used).toFixed(1)}%` })
                  ),
              atMost,
              reached
            ]
          })),
          new Set([0, 1])
        )
      )

const networks = (run: Run): Content => {
  const chart = measured(run)
  return section(
    "Beside the others",
    chart === undefined ? null : element("figure", { tabindex: 0 }, chart),
    table(
      ["plan", "bits", "ms", "mJ", "bytes", "fits", String(run.summary["metric"] ?? "measured")],
      planRows(run).map(({ chosen, cells }) => ({ chosen, cells }))
    )
  )
}

const layers = ({ layers: rows }: Run): Content =>
  rows.length === 0
    ? null
    : [
        section("Bits by layer", element("figure", { tabindex: 0 }, skyline(rows))),
        element(
          "details",
          {},
          element("summary", {}, `All ${rows.length} layers`),
          table(
            ["layer", "formats", "ms", "µJ", "bytes", "Δloss alone", "bound by"],
            rows.map(
              ({ layer, choice, latencyMs, energyPj, bytes, deltaLoss, deltaLossStdErr, boundBy }) => ({
                cells: [
                  layer,
                  choice,
                  figure(latencyMs),
                  figure(energyPj === null ? null : energyPj / 1e6),
                  figure(bytes),
                  deltaLoss === null
                    ? "–"
                    : `${deltaLoss.toExponential(1)} ± ${deltaLossStdErr?.toExponential(0) ?? "?"}`,
                  boundBy
                ]
              })
            ),
            new Set([0, 1, 6])
          )
        )
      ]

/** Time by what bounds the layers. */
const where = ({ layers: rows }: Run): Content => {
  const byBound = Map.groupBy(
    rows.filter(({ latencyMs }) => latencyMs !== null),
    ({ boundBy }) => boundBy ?? "unknown"
  )
  const parts = [...byBound]
    .map(([name, own]) => ({
      name,
      ms: own.reduce((sum, { latencyMs }) => sum + (latencyMs ?? 0), 0),
      n: own.length
    }))
    .toSorted((a, b) => b.ms - a.ms)
  const total = parts.reduce((sum, { ms }) => sum + ms, 0)
  if (total === 0) return null
  return section(
    "Where the layers' time goes",
    table(
      ["bound by", "share", "ms", "layers"],
      parts.map(({ name, ms, n }) => ({
        cells: [
          name,
          element(
            "div",
            { class: "bar", role: "img", "aria-label": `${Math.round((100 * ms) / total)} %` },
            element("i", { style: `width:${((100 * ms) / total).toFixed(1)}%` })
          ),
          figure(ms),
          n
        ]
      })),
      new Set([0, 1])
    )
  )
}

const provenance = (run: Run): Content => {
  const { summary, artefacts } = run
  const known: ReadonlyArray<readonly [string, Content]> = [
    ["run", summary["run"]],
    ["model", [summary["model"], " ", element("code", {}, String(run.run["model"] ?? ""))]],
    ["device", [summary["device"], " ", element("code", {}, String(run.run["profile"] ?? ""))]],
    ["data", [summary["dataset"], " ", element("code", {}, String(run.run["dataset"] ?? ""))]],
    [
      "version",
      `${String(summary["version"] ?? "–")}, seed ${String(summary["seed"] ?? "–")}, ${String(run.run["threads"] ?? "all")} threads, host ${String(summary["host"] ?? "–")}`
    ],
    ["started", summary["startedAt"]],
    ...artefacts.map(({ path, sha256, bytes }): readonly [string, Content] => [
      "file",
      [path, `, ${bytes} bytes, `, element("code", {}, sha256)]
    ])
  ]
  const command = commandOf(run)
  return section(
    "To repeat it",
    command === undefined ? null : element("pre", {}, command),
    element(
      "dl",
      {},
      known.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])
    )
  )
}

const story = (run: Run): Content => [
  element(
    "h1",
    {},
    `${String(run.summary["model"] ?? "run")}${run.summary["device"] === null ? "" : ` on ${String(run.summary["device"])}`}`
  ),
  element(
    "p",
    { class: "faint" },
    `${String(run.summary["kind"])} ${String(run.summary["run"])}, ${String(run.summary["status"])}`,
    run.run["tag"] === null ? "" : `, tagged ${String(run.run["tag"])}`
  ),
  run.run["note"] === null ? null : element("p", {}, String(run.run["note"])),
  element("p", { class: "verdict" }, headlineOf(run)),
  proofOf(run).map((sentence) => element("p", { class: "faint" }, sentence)),
  budgets(run),
  layers(run),
  networks(run),
  where(run),
  provenance(run)
]

/** Runs side by side before each of them is told. */
const comparison = (runs: ReadonlyArray<Run>): Content =>
  runs.length < 2
    ? null
    : [
        element("h1", {}, `${runs.length} runs`),
        table(
          ["run", "model", "device", "budgets", "bits", "ms", "mJ", "bytes", "measured"],
          runs.map(({ summary }) => ({
            cells: [
              summary["run"],
              summary["model"],
              summary["device"],
              summary["budgets"],
              figure(summary["bits"] as number | null),
              figure(summary["latencyMs"] as number | null),
              figure(summary["energyMj"] as number | null),
              figure(summary["bytes"] as number | null),
              interval(String(summary["metric"] ?? ""), summary["value"], summary["low"], summary["high"])
            ]
          })),
          new Set([0, 1, 2, 3])
        )
      ]

/** The whole file. */
export const html = (runs: ReadonlyArray<Run>): string => {
  const title = runs
    .map(({ summary }) => `${String(summary["model"])} on ${String(summary["device"])}`)
    .join(", ")
  const page = element(
    "html",
    { lang: "en" },
    element(
      "head",
      {},
      element("meta", { charset: "utf-8" }),
      element("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
      element("meta", {
        "http-equiv": "Content-Security-Policy",
        content: "default-src 'none'; style-src 'unsafe-inline'"
      }),
      element("title", {}, `bitbudget: ${title}`),
      element("style", {}, trusted(style))
    ),
    element("body", {}, element("main", {}, comparison(runs), runs.map(story)))
  )
  return `<!doctype html>\n${page.html}\n`
}

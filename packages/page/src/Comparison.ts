/** Runs side by side. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import type { VNode } from "preact"
import { type Content, element, section, table } from "./element.ts"
import { skyline, housesOf, widthsOf } from "./skyline.ts"
import { interval } from "./sentences.ts"

type Run = Results.RunResult

const numberOf = (value: string | number | null | undefined): number | null =>
  typeof value === "number" ? value : null

export const comparison = (runs: ReadonlyArray<Run>): VNode =>
  element(
    "article",
    {},
    element("h1", {}, `${runs.length} runs`),
    table(
      "Runs",
      ["run", "model", "device", "budgets", "bits", "ms", "mJ", "bytes", "measured"],
      runs.map(({ summary }) => ({
        cells: [
          String(summary["run"]),
          String(summary["model"]),
          String(summary["device"] ?? "–"),
          String(summary["budgets"] ?? "–"),
          figure(numberOf(summary["bits"])),
          figure(numberOf(summary["latencyMs"])),
          figure(numberOf(summary["energyMj"])),
          figure(numberOf(summary["bytes"])),
          interval(String(summary["metric"] ?? ""), summary["value"], summary["low"], summary["high"])
        ]
      })),
      new Set([0, 1, 2, 3])
    ),
    runs.map((run): Content => {
      const houses = housesOf(run)
      return houses.length === 0
        ? null
        : element(
            "figure",
            { tabIndex: 0, class: "chart" },
            element(
              "figcaption",
              {},
              `${String(run.summary["run"]).slice(0, 8)}, ${String(run.summary["device"])}`
            ),
            skyline(houses, { width: widthsOf(houses)[0] ?? "bytes" })
          )
    })
  )

/** What differs between two runs. */
export const difference = (diff: Results.DiffResult): VNode => {
  const { a, b, inputs, options, layers, sameLayers, costs, measurements, paired } = diff
  const nameOf = (run: typeof a) =>
    element(
      "a",
      { href: `/run/${String(run["run"])}` },
      `${String(run["model"])} on ${String(run["device"] ?? "–")}`
    )
  const unequal = (title: string, rows: typeof inputs): Content =>
    rows.length === 0
      ? null
      : section(
          title,
          table(
            title,
            ["", "A", "B"],
            rows.map((row) => ({ cells: [row.name, String(row.a ?? "–"), String(row.b ?? "–")] })),
            new Set([0, 1, 2])
          )
        )
  return element(
    "article",
    {},
    element("h1", {}, "Two runs"),
    element("p", {}, "A: ", nameOf(a), `, ${String(a["budgets"] ?? "no budgets")}`),
    element("p", {}, "B: ", nameOf(b), `, ${String(b["budgets"] ?? "no budgets")}`),
    unequal("Inputs", inputs),
    unequal("Options", options),
    section(
      "Costs",
      table(
        "Costs",
        ["", "A", "B", "B of A"],
        costs.map(({ name, a, b }) => ({
          cells: [
            name,
            figure(a),
            figure(b),
            a === null || b === null || a === 0 ? "–" : `${((100 * b) / a).toFixed(0)} %`
          ]
        }))
      )
    ),
    measurements.length === 0
      ? null
      : section(
          "Measured",
          table(
            "Measured",
            ["", "A", "B"],
            measurements.map(({ metric, a, b }) => ({
              cells: [
                metric,
                interval(metric, a.value, a.low, a.high),
                interval(metric, b.value, b.low, b.high)
              ]
            }))
          ),
          paired === null
            ? element("p", { class: "faint" }, "They were not measured on the same targets: no paired test.")
            : element(
                "p",
                {},
                `On the same ${paired.targets} targets A alone is right on ${paired.onlyA}, B alone on ${paired.onlyB}: McNemar's exact test gives p = ${figure(paired.pValue)}.`
              )
        ),
    layers.length === 0
      ? element("p", {}, `All ${sameLayers} layers have the same formats.`)
      : unequal(`Formats of ${layers.length} layers; ${sameLayers} have the same`, layers)
  )
}

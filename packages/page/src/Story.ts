/**
 * The story of a run, in the order people ask: what came out, the bits, what else there was, whether to believe it, where
 * the time goes, how to repeat it. The same on paper, in a file without a network, and in the dashboard.
 */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import { type FunctionComponent, h } from "preact"
import { useMemo, useState } from "preact/hooks"
import { answerOf, budgetTable, limitsOf, sliders } from "./Budgets.ts"
import { measured, roofline, trials, trialsOf } from "./charts.ts"
import { choiceOf, type Content, definitions, element, section, table } from "./element.ts"
import { front } from "./front.ts"
import { LayerDetails } from "./LayerDetails.ts"
import { provenance } from "./provenance.ts"
import { quantities, type Quantity, quantityNamed } from "./quantities.ts"
import { type Answer, type FrontPoint, type Tables, tablesOf } from "./resolve.ts"
import { type House, housesOf, skyline, type Width, widthsOf } from "./skyline.ts"
import { besideOf, commandOf, headlineOf, planRows, proofOf } from "./sentences.ts"
import { useAsking, useFront } from "./asking.ts"
import { whereTime } from "./where.ts"

type Run = Results.RunResult

const titleOf = ({ summary }: Run): string =>
  `${String(summary["model"] ?? "run")}${summary["device"] === null ? "" : ` on ${String(summary["device"])}`}`

/** Weights of a format id: `w4.g32 a8` has 4 bits, `f32` none that count. */
const bitsOf = (choice: string): number | null => {
  const found = /^w(\d+)/.exec(choice)
  return found === null ? null : Number(found[1])
}

/** Houses of a plan by the tables; those of the stored plan are told by its simulation. */
const housesBy = (tables: Tables, answer: Answer): ReadonlyArray<House> =>
  tables.layers.map((layer) => {
    const choice = answer.choices[layer]!
    const row = tables.rowOf(layer, choice)
    return {
      layer,
      choice,
      bits: bitsOf(choice),
      latencyMs: row?.latencyMs ?? null,
      energyMj: row?.energyMj ?? null,
      bytes: row?.bytes ?? null,
      harm: row?.loss ?? null
    }
  })

const verdict = (run: Run): Content => [
  element("p", { class: "verdict" }, headlineOf(run)),
  run.run["failure"] === null || run.run["failure"] === undefined
    ? null
    : element("p", { class: "over" }, `It failed of: ${String(run.run["failure"])}`),
  proofOf(run).map((sentence) => element("p", { class: "faint" }, sentence)),
  definitions(besideOf(run)),
  budgetTable(run)
]

const plans = (run: Run): Content => [
  element("figure", { tabIndex: 0, class: "chart" }, measured(run)),
  table(
    "Plans",
    ["plan", "bits", "ms", "mJ", "bytes", "fits", String(run.summary["metric"] ?? "measured")],
    planRows(run).map(({ chosen, cells }) => ({ chosen, cells }))
  )
]

const trust = (run: Run, tables: Tables | undefined): Content => {
  const found = tables === undefined ? undefined : trialsOf(run, tables)
  const ranked = run.referee.map(({ metric, spearman, n }) => ({
    cells: [metric, spearman === null ? "–" : spearman.toFixed(2), n]
  }))
  const chart = found === undefined ? null : trials(found)
  if (chart === null && ranked.length === 0) return null
  const { spearman = null, points = [] } = found ?? {}
  return section(
    "Predicted against measured",
    spearman === null
      ? null
      : element(
          "p",
          { class: spearman < 0.5 ? "over" : "faint" },
          `${points.length} plans of this run were tried whole: the predicted loss ranks them with ρ = ${spearman.toFixed(2)}` +
            (spearman < 0.5 ? ". Do not trust a plan by its predicted loss alone." : ".")
        ),
    chart === null ? null : element("figure", { tabIndex: 0, class: "chart" }, chart),
    ranked.length === 0
      ? null
      : table(
          "How well each metric ranks single layers",
          ["metric", "Spearman, one layer at a time", "pairs"],
          ranked
        )
  )
}

const layerTable = ({ layers }: Run): Content =>
  layers.length === 0
    ? null
    : element(
        "details",
        {},
        element("summary", {}, `All ${layers.length} layers`),
        table(
          "Layers",
          ["layer", "formats", "ms", "µJ", "bytes", "Δloss alone", "bound by"],
          layers.map(
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

/** The quantity people look at first: that of the first budget, else the latency. */
export const firstOf = (run: Run): Quantity =>
  run.budgets.map(({ quantity }) => quantityNamed(quantity)).find((found) => found !== undefined) ??
  quantities[0]!

export interface StoryProperties {
  readonly run: Run
  /** Of the first quantity under the run's own budgets; worked out in the page when absent. */
  readonly front?: ReadonlyArray<FrontPoint> | undefined
}

export const Story: FunctionComponent<StoryProperties> = ({ run, front: known }) => {
  const tables = useMemo(() => tablesOf(run), [run])
  const stored = useMemo(() => limitsOf(run), [run])
  const [quantity, setQuantity] = useState(() => firstOf(run))
  const [width, setWidth] = useState<Width>("latencyMs")
  const [selected, select] = useState<string | undefined>(undefined)
  const { asked, ask, forget } = useAsking(tables, stored)
  const limits = asked?.limits ?? stored
  const points = useFront(tables, quantity, limits, known ?? [])
  const answer = asked?.answer
  const houses = tables !== undefined && answer !== undefined ? housesBy(tables, answer) : housesOf(run)
  const widths = widthsOf(houses)
  const shownWidth = widths.includes(width) ? width : (widths[0] ?? "bytes")
  const chosen = houses.find(({ layer }) => layer === selected)

  return element(
    "article",
    {},
    element("h1", {}, titleOf(run)),
    element(
      "p",
      { class: "faint" },
      `${String(run.summary["kind"])} ${String(run.summary["run"])}, ${String(run.summary["status"])}`,
      run.run["tag"] === null ? "" : `, tagged ${String(run.run["tag"])}`
    ),
    run.run["note"] === null ? null : element("p", {}, String(run.run["note"])),
    verdict(run),
    commandOf(run) === undefined ? null : element("pre", { tabIndex: 0 }, commandOf(run)!),
    houses.length === 0
      ? null
      : section(
          "Bits by layer",
          asked === undefined ? null : element("p", { class: "over" }, "Under the budgets you dragged:"),
          widths.length < 2
            ? null
            : choiceOf(
                "width",
                widths.map((name) => [
                  name,
                  name === "bytes" ? "bytes" : name === "latencyMs" ? "latency" : "energy"
                ]),
                shownWidth,
                setWidth
              ),
          element(
            "figure",
            { tabIndex: 0, class: "chart" },
            skyline(houses, { width: shownWidth, selected, select })
          ),
          tables === undefined
            ? null
            : h(LayerDetails, {
                run,
                tables,
                houses,
                selected: chosen,
                select,
                front: points,
                quantity
              }),
          layerTable(run)
        ),
    tables === undefined
      ? run.layers.length === 0
        ? null
        : section(
            "Other budgets",
            element(
              "p",
              { class: "faint" },
              "This run was stored without what other budgets need; run it again with --force to drag them here."
            )
          )
      : section(
          "Other budgets",
          element(
            "p",
            { class: "faint" },
            "Drag the dashed line, or a slider: the plan is solved again here, by the exact solver, without a network."
          ),
          choiceOf(
            "over",
            quantities
              .filter((each) => {
                const range = tables.rangeOf(each)
                return range !== undefined && range[0] !== range[1]
              })
              .map(({ name }) => [name, name]),
            quantity.name,
            (name) => setQuantity(quantityNamed(name) ?? quantity)
          ),
          element(
            "figure",
            { tabIndex: 0, class: "chart" },
            front({
              run,
              tables,
              quantity,
              front: points,
              limit: limits.get(quantity.name),
              answer,
              drag: (limit) => ask(quantity, limit)
            })
          ),
          sliders({ tables, limits, ask }),
          asked === undefined
            ? null
            : [
                answerOf(run, tables, limits, answer),
                element(
                  "button",
                  { type: "button", class: "back", onClick: forget },
                  "Back to the run's own plan"
                )
              ]
        ),
    run.plans.length === 0 ? null : section("Beside the others", plans(run)),
    trust(run, tables),
    whereTime(run),
    tables === undefined ? null : rooflineOf(run, tables),
    provenance(run)
  )
}

const rooflineOf = (run: Run, tables: Tables): Content => {
  const chart = roofline(run, tables)
  return chart === null
    ? null
    : section(
        "From 8 bits to the plan",
        element(
          "p",
          { class: "faint" },
          "A line a layer, from its 8-bit form to the chosen one; the roofs are the best that layers of this run attain."
        ),
        element("figure", { tabIndex: 0, class: "chart" }, chart)
      )
}

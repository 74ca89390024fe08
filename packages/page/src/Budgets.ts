/** Budgets: what was asked and reached, and sliders that ask again. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import type { VNode } from "preact"
import { bar } from "./bars.ts"
import { type Content, definitions, element, table } from "./element.ts"
import { quantities, type Quantity } from "./quantities.ts"
import { type Answer, expectedOf, type Limits, offBy, type Tables } from "./resolve.ts"
import { budgetRows, interval } from "./sentences.ts"

type Run = Results.RunResult

/** Asked and reached. */
export const budgetTable = (run: Run): VNode | null =>
  run.budgets.length === 0
    ? null
    : table(
        "Budgets",
        ["budget", "used", "at most", "reached"],
        budgetRows(run).map(({ text, used, low, high, atMost, reached }) => ({
          cells: [
            text,
            used === null ? null : bar({ share: used, low, high, label: `${Math.round(100 * used)} % used` }),
            atMost,
            reached
          ]
        })),
        new Set([0, 1])
      )

/** The limits a run was searched under, tightest of each quantity. */
export const limitsOf = ({ budgets }: Run): Limits => {
  const limits = new Map<string, number>()
  for (const { quantity, atMost } of budgets)
    limits.set(quantity, Math.min(atMost, limits.get(quantity) ?? Infinity))
  return limits
}

/** Steps of a slider. */
const STEPS = 400

interface Asking {
  readonly tables: Tables
  readonly limits: Limits
  readonly ask: (quantity: Quantity, limit: number) => void
}

/** A slider for every quantity that differs between plans. */
export const sliders = ({ tables, limits, ask }: Asking): VNode =>
  element(
    "div",
    { class: "sliders" },
    quantities.map((quantity) => {
      const range = tables.rangeOf(quantity)
      if (range === undefined || range[0] === range[1]) return null
      const [least, most] = range
      const limit = limits.get(quantity.name)
      const now = Math.min(most, Math.max(least, limit ?? most))
      const shown = limit === undefined || limit >= most ? "no limit" : `≤ ${figure(limit)} ${quantity.unit}`
      return element(
        "label",
        { key: quantity.name },
        element("span", {}, quantity.name),
        element("input", {
          type: "range",
          min: 0,
          max: STEPS,
          step: 1,
          value: String(Math.round((STEPS * (now - least)) / (most - least))),
          "aria-valuetext": shown,
          onInput: (event: Event) => {
            if (event.currentTarget instanceof HTMLInputElement)
              ask(quantity, least + ((most - least) * Number(event.currentTarget.value)) / STEPS)
          }
        }),
        element("output", {}, shown)
      )
    })
  )

const percent = (share: number): string => `${Number((100 * share).toPrecision(2))} %`

/** What the plan under the dragged budgets comes to. */
export const answerOf = (run: Run, tables: Tables, limits: Limits, answer: Answer | undefined): Content => {
  if (answer === undefined)
    return element(
      "p",
      { class: "verdict", role: "status" },
      "No plan keeps these budgets. Drag one of them back."
    )
  const metric = String(run.summary["metric"] ?? "")
  const expected = expectedOf(run, tables)(answer.loss)
  const costs = quantities.flatMap(({ name, column, unit }): ReadonlyArray<readonly [string, Content]> => {
    const value = answer.costs[column]
    const off = offBy(run, tables, column)
    if (value === null) return []
    return [
      [
        name,
        `${figure(value)} ${unit}` +
          (off === null || off < 1e-3
            ? ""
            : `; whole simulations of this run's plans were off by ${percent(off)} at most`)
      ]
    ]
  })
  return [
    element(
      "p",
      { class: "verdict", role: "status" },
      answer.proved
        ? "The best plan under these budgets, proved by the tables of this run; it was not simulated or measured whole."
        : `A plan under these budgets whose predicted loss is within ${percent(1 - answer.bound / answer.loss)} of the best possible, by the tables of this run; it was not simulated or measured whole.`
    ),
    definitions([
      [
        metric === "" ? "expected" : `expected ${metric}`,
        expected === undefined
          ? "unknown: no measured plan loses as little, or as much"
          : `${interval(metric, expected.value, expected.low, expected.high)}, read off the measured plans`
      ],
      ["predicted loss", figure(answer.loss)],
      ...costs,
      [
        "to measure it",
        element(
          "code",
          {},
          `--budget ${quantities
            .flatMap(({ name, unit }) => {
              const limit = limits.get(name)
              const sign = unit === "bytes" ? "B" : unit === "ms" || unit === "mJ" ? unit : ""
              const shown = unit === "bytes" ? Math.floor(limit ?? 0) : Number(limit?.toPrecision(6))
              return limit === undefined ? [] : [`"${name}<=${shown}${sign}"`]
            })
            .join(" --budget ")}`
        )
      ]
    ])
  ]
}

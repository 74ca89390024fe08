/** Why a layer has its choice: what its others would cost and buy, and how long it keeps it as a budget moves. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import type { FunctionComponent } from "preact"
import { element, table } from "./element.ts"
import type { Quantity } from "./quantities.ts"
import type { FrontPoint, Tables } from "./resolve.ts"
import type { House } from "./skyline.ts"

interface Properties {
  readonly run: Results.RunResult
  readonly tables: Tables
  readonly houses: ReadonlyArray<House>
  readonly selected: House | undefined
  readonly select: (layer: string | undefined) => void
  readonly front: ReadonlyArray<FrontPoint>
  readonly quantity: Quantity
}

/** With its sign. */
const change = (value: number | null, from: number | null): string => {
  if (value === null || from === null) return "–"
  const by = value - from
  return by > 0 ? `+${figure(by)}` : figure(by).replace("-", "−")
}

/** In how many plans of the front the layer has the choice. */
const kept = (front: ReadonlyArray<FrontPoint>, layer: string, choice: string): number =>
  front.filter(({ answer }) => answer.choices[layer] === choice).length

export const LayerDetails: FunctionComponent<Properties> = ({
  run,
  tables,
  houses,
  selected,
  select,
  front,
  quantity
}) => {
  const bound = run.layers.find(({ layer }) => layer === selected?.layer)?.boundBy
  const own = selected === undefined ? undefined : tables.rowOf(selected.layer, selected.choice)
  return element(
    "div",
    { class: "details" },
    element(
      "label",
      {},
      element("span", {}, "Why this choice of"),
      element(
        "select",
        {
          value: selected?.layer ?? "",
          onChange: (event: Event) => {
            if (event.currentTarget instanceof HTMLSelectElement)
              select(event.currentTarget.value === "" ? undefined : event.currentTarget.value)
          }
        },
        element("option", { value: "" }, "a layer"),
        houses.map(({ layer }) => element("option", { value: layer, key: layer }, layer))
      )
    ),
    selected === undefined || own === undefined
      ? null
      : [
          element(
            "p",
            {},
            `${selected.layer} has ${selected.choice}` +
              (bound === null || bound === undefined ? ". " : `; ${bound} bounds it. `) +
              `It keeps that choice in ${kept(front, selected.layer, selected.choice)} of ${front.length} plans along the ${quantity.name} budget.`
          ),
          table(
            `Choices of ${selected.layer}`,
            ["instead", "predicted loss", "ms", "mJ", "bytes", "plans along the budget"],
            run.choices
              .filter(({ layer }) => layer === selected.layer)
              .map((row) => ({
                chosen: row.choice === selected.choice,
                cells: [
                  row.choice,
                  row.choice === selected.choice ? figure(row.loss) : change(row.loss, own.loss),
                  row.choice === selected.choice
                    ? figure(row.latencyMs)
                    : change(row.latencyMs, own.latencyMs),
                  row.choice === selected.choice ? figure(row.energyMj) : change(row.energyMj, own.energyMj),
                  row.choice === selected.choice ? figure(row.bytes) : change(row.bytes, own.bytes),
                  kept(front, selected.layer, row.choice)
                ]
              }))
          )
        ]
  )
}

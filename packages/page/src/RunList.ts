/** All runs: filtered, sorted, looked through a part at a time, two of them picked to be compared. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import type { FunctionComponent } from "preact"
import { useEffect, useState } from "preact/hooks"
import { useJson } from "./browser/load.ts"
import { type Content, element, table } from "./element.ts"
import { isShare } from "./sentences.ts"

type Row = Results.RunListResult["rows"][number]["row"]

const ROWS = 50

/** Milliseconds after the last key before the question is asked. */
const PAUSE_MS = 250

/** Columns of the table, with what they are called there. */
const columns: ReadonlyArray<readonly [column: string, name: string]> = [
  ["model", "model"],
  ["device", "device"],
  ["budgets", "budgets"],
  ["status", "status"],
  ["tag", "tag"],
  ["bits", "bits"],
  ["latencyMs", "ms"],
  ["energyMj", "mJ"],
  ["bytes", "bytes"],
  ["value", "measured"],
  ["startedAt", "started"]
]

const words: ReadonlySet<number> = new Set([0, 1, 2, 3, 4, 5, 6])

const isFilter = (text: string): boolean => /[=<>()'"]|\b(like|in|is|between)\b/i.test(text)

/** A filter as `runs list --where` takes it; plain words are looked for in names and tags. */
export const filterOf = (text: string): string | undefined => {
  const trimmed = text.trim()
  if (trimmed === "") return undefined
  if (isFilter(trimmed)) return trimmed
  return trimmed
    .split(/\s+/)
    .map((word) => {
      const like = `like '%${word}%'`
      return `(model ${like} or device ${like} or tag ${like} or run like '${word}%')`
    })
    .join(" and ")
}

const cell = (column: string, row: Row): Content => {
  const value = row[column]
  if (value === null || value === undefined) return "–"
  if (column === "startedAt") return String(value).slice(0, 16).replace("T", " ")
  if (typeof value === "string") return value
  const metric = String(row["metric"] ?? "")
  if (column !== "value") return figure(value)
  return isShare(metric) ? `${(100 * value).toFixed(2)} %` : `${figure(value)} ${metric}`
}

/** The next order of a column: upwards, downwards, as it was. */
const turned = (sort: string, column: string): string =>
  sort === column ? `-${column}` : sort === `-${column}` ? "" : column

const arrow = (sort: string, column: string): string =>
  sort === column ? " ↑" : sort === `-${column}` ? " ↓" : ""

export const RunList: FunctionComponent<{ readonly stamp: string }> = ({ stamp }) => {
  const [text, setText] = useState("")
  const [asked, setAsked] = useState("")
  const [sort, setSort] = useState("")
  const [offset, setOffset] = useState(0)
  const [picked, setPicked] = useState<ReadonlyArray<string>>([])
  useEffect(() => {
    const timer = setTimeout(() => {
      setAsked(text)
      setOffset(0)
    }, PAUSE_MS)
    return () => clearTimeout(timer)
  }, [text])
  const where = filterOf(asked)
  const query = new URLSearchParams({
    columns: [...columns.map(([column]) => column), "metric"].join(","),
    limit: String(ROWS),
    offset: String(offset),
    ...(where === undefined ? {} : { where }),
    ...(sort === "" ? {} : { sort })
  })
  const loaded = useJson<Results.RunListResult>(`/api/runs?${query}`, stamp)
  const pick = (run: string): void =>
    setPicked(picked.includes(run) ? picked.filter((other) => other !== run) : [...picked, run].slice(-2))
  const [a, b] = picked
  return element(
    "section",
    {},
    element("h1", {}, "Runs"),
    element(
      "div",
      { class: "tools" },
      element("input", {
        type: "search",
        "aria-label": "Filter",
        placeholder: "words, or a filter: device = 'gap9' and top1 > 91% or tag is null",
        value: text,
        onInput: (event: Event) => {
          if (event.currentTarget instanceof HTMLInputElement) setText(event.currentTarget.value)
        }
      }),
      a === undefined || b === undefined
        ? element("span", { class: "faint" }, "pick two runs to compare them")
        : element("a", { href: `/diff/${a}/${b}` }, "compare the two picked runs")
    ),
    loaded.status !== "done"
      ? element("p", { role: "status", class: loaded.status === "failed" ? "over" : "faint" }, loaded.words)
      : [
          table(
            "Runs",
            [
              "",
              "run",
              ...columns.map(([column, name]) =>
                element(
                  "button",
                  {
                    type: "button",
                    "aria-label": `sort by ${name}`,
                    onClick: () => {
                      setSort(turned(sort, column))
                      setOffset(0)
                    }
                  },
                  `${name}${arrow(sort, column)}`
                )
              )
            ],
            loaded.value.rows.map(({ short, row }) => {
              const run = String(row["run"])
              return {
                cells: [
                  element("input", {
                    type: "checkbox",
                    "aria-label": `pick ${short}`,
                    checked: picked.includes(run),
                    onChange: () => pick(run)
                  }),
                  element("a", { href: `/run/${run}` }, short),
                  ...columns.map(([column]) => cell(column, row))
                ]
              }
            }),
            words
          ),
          element(
            "div",
            { class: "tools" },
            element(
              "span",
              { role: "status" },
              loaded.value.total === 0
                ? "no runs"
                : `${offset + 1} to ${offset + loaded.value.rows.length} of ${loaded.value.total} runs`
            ),
            element(
              "button",
              {
                type: "button",
                disabled: offset === 0,
                onClick: () => setOffset(Math.max(0, offset - ROWS))
              },
              "before"
            ),
            element(
              "button",
              {
                type: "button",
                disabled: offset + ROWS >= loaded.value.total,
                onClick: () => setOffset(offset + ROWS)
              },
              "after"
            )
          )
        ]
  )
}

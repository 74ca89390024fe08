/** The dashboard in the browser: which page an address means, and what goes on. */
import type { Results } from "@bitbudget/lab"
import { type ComponentChild, type FunctionComponent, h, render } from "preact"
import { useEffect, useState } from "preact/hooks"
import { difference } from "../Comparison.ts"
import { element } from "../element.ts"
import { Running } from "../Running.ts"
import { RunList } from "../RunList.ts"
import { Story } from "../Story.ts"
import { Sweeps } from "../Sweeps.ts"
import { type Loaded, useJson } from "./load.ts"

/** What is told while there is nothing to show. */
const waiting = <A>(loaded: Loaded<A>, show: (value: A) => ComponentChild) =>
  loaded.status === "done"
    ? show(loaded.value)
    : element("p", { role: "status", class: loaded.status === "failed" ? "over" : "faint" }, loaded.words)

const RunPage: FunctionComponent<{ readonly id: string }> = ({ id }) =>
  waiting(useJson<Results.RunResult>(`/api/run/${encodeURIComponent(id)}`), (run) => h(Story, { run }))

const DiffPage: FunctionComponent<{ readonly a: string; readonly b: string }> = ({ a, b }) =>
  waiting(
    useJson<Results.DiffResult>(`/api/diff/${encodeURIComponent(a)}/${encodeURIComponent(b)}`),
    difference
  )

/** Milliseconds between two looks at the sweeps. */
const LOOK_MS = 2000

const SweepsPage: FunctionComponent = () => {
  const [looks, setLooks] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => setLooks((n) => n + 1), LOOK_MS)
    return () => clearInterval(timer)
  }, [])
  return waiting(useJson<Results.SweepsResult>("/api/sweeps", String(looks)), (found) => h(Sweeps, { found }))
}

/** What the server says of itself, as it comes, and how often that has changed since the page was opened. */
const useRunning = () => {
  const [told, setTold] = useState<
    { readonly found: Results.RunningResult; readonly changes: number } | undefined
  >(undefined)
  useEffect(() => {
    const source = new EventSource("/events")
    source.addEventListener("message", ({ data }) => {
      const found = JSON.parse(String(data)) as Results.RunningResult
      setTold((before) => ({ found, changes: before === undefined ? 0 : before.changes + 1 }))
    })
    return () => source.close()
  }, [])
  return told
}

const Dashboard: FunctionComponent<{ readonly path: string }> = ({ path }) => {
  const [page = "", first = "", second = ""] = path.split("/").slice(1).map(decodeURIComponent)
  const told = useRunning()
  return element(
    "div",
    {},
    element(
      "nav",
      {},
      element("a", { href: "/" }, "all runs"),
      element("a", { href: "/sweeps" }, "sweeps"),
      element("span", { class: "faint" }, "bitbudget")
    ),
    element(
      "main",
      {},
      page === "run"
        ? h(RunPage, { id: first })
        : page === "diff"
          ? h(DiffPage, { a: first, b: second })
          : page === "sweeps"
            ? h(SweepsPage, {})
            : [
                h(Running, { running: told?.found.running ?? [] }),
                h(RunList, { stamp: String(told?.changes ?? 0) })
              ]
    )
  )
}

const root = document.getElementById("root")
if (root !== null) render(h(Dashboard, { path: location.pathname }), root)

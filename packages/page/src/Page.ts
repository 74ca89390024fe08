/** What a report holds: one run told, or several side by side and then told. */
import type { Results } from "@bitbudget/lab"
import { type FunctionComponent, h } from "preact"
import { comparison } from "./Comparison.ts"
import { element } from "./element.ts"
import { Story } from "./Story.ts"

export const Page: FunctionComponent<{ readonly document: Results.ReportDocument }> = ({
  document: { runs, fronts }
}) =>
  element(
    "main",
    {},
    runs.length < 2 ? null : comparison(runs),
    runs.map((run, r) => h(Story, { run, front: fronts[r], key: String(run.summary["run"]) }))
  )

/** What a report has inside: its runs, and the fronts that a reader without a script sees too. */
import type { Results } from "@bitbudget/lab"
import { limitsOf } from "./Budgets.ts"
import { frontOf, tablesOf } from "./resolve.ts"
import { firstOf } from "./Story.ts"

/** Of search for each point of a front. */
const POINT_MS = 250

export const documentOf = (runs: ReadonlyArray<Results.RunResult>): Results.ReportDocument => ({
  // The most of a large network's run, and nothing that the page shows.
  runs: runs.map((run) => Object.assign({}, run, { sensitivities: [] })),
  fronts: runs.map((run) => {
    const tables = tablesOf(run)
    if (tables === undefined) return []
    const quantity = firstOf(run)
    const others = new Map([...limitsOf(run)].filter(([name]) => name !== quantity.name))
    return frontOf(tables, quantity, others, POINT_MS)
  })
})

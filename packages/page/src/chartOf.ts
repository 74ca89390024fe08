/** A run's charts by name, for files of their own. */
import type { Results } from "@bitbudget/lab"
import type { VNode } from "preact"
import { limitsOf } from "./Budgets.ts"
import { measured, roofline, trials, trialsOf } from "./charts.ts"
import { documentOf } from "./document.ts"
import { front } from "./front.ts"
import { tablesOf } from "./resolve.ts"
import { housesOf, skyline, widthsOf } from "./skyline.ts"
import { firstOf } from "./Story.ts"

export const chartNames = ["skyline", "front", "measured", "predicted", "roofline"] as const
export type ChartName = (typeof chartNames)[number]

type Run = Results.RunResult

const byTables = (run: Run, draw: (tables: NonNullable<ReturnType<typeof tablesOf>>) => VNode | null) => {
  const tables = tablesOf(run)
  return tables === undefined ? null : draw(tables)
}

const charts: { readonly [Name in ChartName]: (run: Run) => VNode | null } = {
  skyline: (run) => {
    const houses = housesOf(run)
    return houses.length === 0 ? null : skyline(houses, { width: widthsOf(houses)[0] ?? "bytes" })
  },
  front: (run) =>
    byTables(run, (tables) => {
      const quantity = firstOf(run)
      return front({
        run,
        tables,
        quantity,
        front: documentOf([run]).fronts[0]!,
        limit: limitsOf(run).get(quantity.name),
        answer: undefined
      })
    }),
  measured,
  predicted: (run) => byTables(run, (tables) => trials(trialsOf(run, tables))),
  roofline: (run) => byTables(run, (tables) => roofline(run, tables))
}

/** Null where the run has nothing to draw there. */
export const chartOf = (run: Run, name: ChartName): VNode | null => charts[name](run)

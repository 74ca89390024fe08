/** `runs` as tables. */
import type { RunStore } from "@bitbudget/lab"
import type { Effect } from "effect"
import { figure, table, middle, withError } from "./table.ts"

type Store = RunStore["Service"]
type Listed = Effect.Success<Store["list"]>
type Shown = Effect.Success<ReturnType<Store["show"]>>

export const runs = (rows: Listed): string =>
  table(
    ["run", "kind", "model", "device", "status", "started"],
    rows.map((row) => [
      row.id,
      row.kind,
      middle(row.modelName, 20),
      row.device === "" ? null : middle(row.device, 20),
      row.status,
      row.startedAt.slice(0, 16)
    ])
  )

/** A table with its blank line before it, unless it has no rows. */
const section = (head: ReadonlyArray<string>, rows: Parameters<typeof table>[1]): ReadonlyArray<string> =>
  rows.length === 0 ? [] : ["", table(head, rows)]

export const run = ({ run, stages, layers, measurements, sensitivities, referee }: Shown): string =>
  [
    `${run.kind} ${run.id}${run.device === "" ? "" : ` on ${run.device}`}: ${run.status}`,
    ...section(
      ["layer", "formats", "bytes", "Δloss"],
      layers.map((row) => [middle(row.layer, 40), row.choice, row.bytes, figure(row.deltaLoss)])
    ),
    ...section(
      ["plan", "metric", "value", "n"],
      measurements.map((row) => [row.plan, row.metric, figure(row.value), row.n])
    ),
    ...section(
      ["layer", "formats", "metric", "value"],
      sensitivities.map((row) => [
        middle(row.layer, 36),
        row.choice,
        row.metric,
        withError(row.value, row.stdErr)
      ])
    ),
    ...section(
      ["metric", "Spearman", "pairs"],
      referee.map((row) => [row.metric, figure(row.spearman), row.n])
    ),
    ...section(
      ["stage", "seconds"],
      stages.map((row) => [row.stage, figure(row.seconds)])
    )
  ].join("\n")

/** `run` as tables: the cells of a sweep, and what became of them. */
import type { Results, Sweep } from "@bitbudget/lab"
import { middle, table, tableOfKnown } from "./table.ts"

export const cells = ({ cells }: { readonly cells: ReadonlyArray<Sweep.Cell> }): string =>
  tableOfKnown(
    ["cell", "model", "device", "budgets", "weights", "activations", "metric", "seed"],
    cells.map((cell) => [
      cell.key,
      middle(cell.model, 24),
      middle(cell.device, 20),
      cell.budgets.join(", "),
      cell.weights,
      cell.activations,
      cell.metric,
      cell.seed
    ])
  )

export const sweep = ({ cells }: { readonly cells: ReadonlyArray<Sweep.Outcome> }): string => {
  const counted = (wanted: Sweep.Outcome["status"]) => cells.filter(({ status }) => status === wanted).length
  return [
    table(
      ["cell", "status", "run"],
      cells.map(({ key, status, run }) => [key, status, run])
    ),
    "",
    `${counted("done")} done now, ${counted("found")} found, ${counted("failed")} failed`,
    ...cells.flatMap(({ key, why }) => (why === null ? [] : [`${key}: ${why}`]))
  ].join("\n")
}

/** `90 s`, `12 min`, `3.5 h`. */
export const spell = (seconds: number): string =>
  seconds < 100
    ? `${Math.ceil(seconds)} s`
    : seconds < 6000
      ? `${Math.ceil(seconds / 60)} min`
      : `${(seconds / 3600).toFixed(1)} h`

const rate = (cellsPerHour: number | null): string | null =>
  cellsPerHour === null
    ? null
    : cellsPerHour >= 7200
      ? `${(cellsPerHour / 3600).toFixed(1)}/s`
      : `${cellsPerHour.toFixed(cellsPerHour < 10 ? 1 : 0)}/h`

/** `runs status`. */
export const sweeps = ({ sweeps, workers, setAside }: Results.SweepsResult): string =>
  [
    sweeps.length === 0
      ? "no sweep is recorded; `bitbudget run EXPERIMENT --queue` records one"
      : table(
          ["sweep", "status", "done", "of", "running", "waiting", "failed", "set aside", "rate", "left"],
          sweeps.map((sweep) => [
            sweep.sweep,
            sweep.status,
            sweep.done,
            sweep.cells,
            sweep.running,
            sweep.waiting,
            sweep.failed,
            sweep.setAside,
            rate(sweep.cellsPerHour),
            sweep.remainingSeconds === null ? null : spell(sweep.remainingSeconds)
          ])
        ),
    "",
    workers.length === 0
      ? "no worker is there"
      : table(
          ["worker", "bitbudget", "ONNX Runtime", "cells", "at once", "seen"],
          workers.map(({ host, pid, version, runtime, busy, jobs, seenSecondsAgo }) => [
            `${host}/${pid}`,
            version,
            runtime,
            busy,
            jobs,
            `${spell(Math.max(0, seenSecondsAgo))} ago`
          ])
        ),
    ...setAside.map(({ cell, error }) => `${cell} was set aside: ${error}`)
  ].join("\n")

/** Sweeps that many machines work on: cells, pace, what time is left, failures, and the workers. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import type { FunctionComponent } from "preact"
import { element, section, table } from "./element.ts"

const minutes = (seconds: number | null): string => (seconds === null ? "–" : figure(seconds / 60))

/** Cells that are settled, as a bar. */
const bar = (settled: number, cells: number, label: string) =>
  element("progress", { max: cells, value: settled, "aria-label": label })

export const Sweeps: FunctionComponent<{ readonly found: Results.SweepsResult }> = ({
  found: { sweeps, workers, setAside }
}) =>
  sweeps.length === 0
    ? element(
        "p",
        { class: "faint", role: "status" },
        "No sweep is recorded for workers; `bitbudget run EXPERIMENT --queue` records one."
      )
    : element(
        "div",
        {},
        section(
          "Sweeps",
          table(
            "Sweeps",
            [
              "sweep",
              "status",
              "settled",
              "",
              "of",
              "running",
              "waiting",
              "failed",
              "set aside",
              "cells an hour",
              "minutes left"
            ],
            sweeps.map(
              ({
                sweep,
                status,
                done,
                failed,
                setAside: aside,
                cells,
                running,
                waiting,
                cellsPerHour,
                remainingSeconds
              }) => ({
                cells: [
                  sweep,
                  status,
                  bar(done + failed + aside, cells, `${sweep}: ${done + failed + aside} of ${cells} cells`),
                  done + failed + aside,
                  cells,
                  running,
                  waiting,
                  failed,
                  aside,
                  cellsPerHour === null ? "–" : figure(cellsPerHour),
                  minutes(remainingSeconds)
                ]
              })
            ),
            new Set([0, 1, 2])
          )
        ),
        workers.length === 0
          ? element("p", { class: "faint", role: "status" }, "No worker is there.")
          : section(
              "Workers",
              table(
                "Workers",
                [
                  "host",
                  "process",
                  "bitbudget",
                  "ONNX Runtime",
                  "cells now",
                  "at once",
                  "seconds since seen"
                ],
                workers.map(({ host, pid, version, runtime, busy, jobs, seenSecondsAgo }) => ({
                  cells: [
                    host,
                    String(pid),
                    version,
                    runtime,
                    busy,
                    jobs,
                    figure(Math.max(0, seenSecondsAgo))
                  ]
                })),
                new Set([0, 1, 2, 3])
              )
            ),
        setAside.length === 0
          ? null
          : section(
              "Cells that were set aside",
              table(
                "Cells that were set aside",
                ["cell", "error"],
                setAside.map(({ cell, error }) => ({ cells: [cell, error] })),
                new Set([0, 1])
              )
            )
      )

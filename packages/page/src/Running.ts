/** Runs that go on, with the steps they have behind them. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import type { FunctionComponent } from "preact"
import { element, section, table } from "./element.ts"

export const Running: FunctionComponent<Pick<Results.RunningResult, "running">> = ({ running }) =>
  running.length === 0
    ? element("p", { class: "faint", role: "status" }, "Nothing runs now.")
    : section(
        "Running now",
        table(
          "Running now",
          ["run", "model", "device", "since", "steps done", "seconds in them", "last steps"],
          running.map(({ run, model, device, startedAt, stages }) => ({
            cells: [
              element("a", { href: `/run/${run}` }, run.slice(0, 8)),
              model,
              device ?? "–",
              startedAt.slice(11, 19),
              stages.length,
              figure(stages.reduce((sum, { seconds }) => sum + seconds, 0)),
              stages
                .slice(-3)
                .map(({ stage }) => stage)
                .join(", ")
            ]
          })),
          new Set([0, 1, 2, 6])
        )
      )

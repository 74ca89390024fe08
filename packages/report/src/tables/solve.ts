/** `solve` as tables. */
import type { Tasks } from "@bitbudget/lab"
import { figure, table, type Success } from "./table.ts"

export const solution = (result: Success<typeof Tasks.solveProblem>): string => {
  if (result.explanation !== undefined) return result.explanation.sentence
  return [
    `${result.status}: ${result.minimise} ${figure(result.objective)}, bound ${figure(result.bound)}, ` +
      `gap ${figure(result.gap)}, ${result.seconds.toFixed(3)} s`,
    "",
    table(["group", "choice"], Object.entries(result.choice)),
    "",
    table(
      ["cost", "value", "left"],
      Object.entries(result.costs).map(([name, value]) => [name, figure(value), figure(result.slack[name])])
    ),
    ...(result.front === undefined
      ? []
      : [
          "",
          table(
            ["front: at most", "reached", result.minimise],
            result.front.map(({ limit, value, solution }) => [
              figure(limit),
              figure(value),
              figure(solution.objective)
            ])
          )
        ])
  ].join("\n")
}

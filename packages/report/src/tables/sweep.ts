/** `run` as tables: the cells of a sweep, and what became of them. */
import type { Sweep } from "@bitbudget/lab"
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

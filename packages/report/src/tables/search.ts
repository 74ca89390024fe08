/** `search` as tables. */
import type { Plan } from "@bitbudget/lab"
import { figure, knownError, table, tail } from "./table.ts"

type Metric = { readonly value: number; readonly low: number; readonly high: number; readonly n: number }

const percent = ({ value, low, high }: Metric): string =>
  `${(100 * value).toFixed(2)} % [${(100 * low).toFixed(2)}, ${(100 * high).toFixed(2)}]`

/** The metric people ask for first: accuracy, else whatever was measured. */
const headline = (metrics: { readonly [name: string]: Metric }): string => {
  const top1 = metrics["top1"]
  if (top1 !== undefined) return percent(top1)
  const [first] = Object.entries(metrics)
  return first === undefined ? "–" : `${first[0]} ${figure(first[1].value)}`
}

export const search = (result: Plan.SearchResult): string => {
  const rows = [
    {
      name: "chosen",
      totals: result.predicted,
      bytes: result.predicted.modelBytes,
      fits: true,
      measured: result.measured
    },
    ...result.baselines.map((baseline) => ({
      name: baseline.name,
      totals: baseline.predicted,
      bytes: baseline.modelBytes,
      fits: baseline.withinBudgets,
      measured: baseline.measured
    }))
  ]
  const { certificate } = result
  return [
    `plan for ${result.device} (${result.chosen}), minimising ${result.metric}`,
    `prediction: ${knownError(result.validation)}`,
    "",
    table(
      ["layer", "bits", "Δloss ± s.e.", "ms", "pJ", "bytes", "bound by"],
      result.layers.map((layer) => [
        tail(layer.name, 18),
        `${layer.weightBits}/${layer.activationBits}`,
        layer.deltaLoss === null
          ? null
          : `${layer.deltaLoss.toExponential(1)} ± ${layer.deltaLossStdErr?.toExponential(0) ?? "?"}`,
        figure(layer.latencyMs),
        figure(layer.energyPj),
        figure(layer.bytes),
        tail(layer.boundBy ?? "–", 10)
      ])
    ),
    "",
    table(
      ["network", "ms", "mJ", "bytes", "fits", "top-1 measured [95 %]"],
      rows.map(({ name, totals, bytes, fits, measured }) => [
        name,
        figure(totals?.latencyMs),
        figure(totals?.energyMj),
        figure(bytes),
        fits ? "yes" : "no",
        headline(measured)
      ])
    ),
    "",
    table(
      ["budget", "limit", "reached", "left"],
      result.budgets.map(({ name, limit, value, slack }) => [
        name,
        figure(limit),
        figure(value),
        figure(slack)
      ])
    ),
    "",
    `${certificate.optimal ? "proved optimal" : `within ${figure(certificate.gap)} of the optimum`}: ` +
      `loss ${figure(certificate.objective)}, bound ${figure(certificate.bound)}, ${certificate.nodes} nodes, ` +
      `${certificate.seconds.toFixed(2)} s`,
    `files: ${result.files.join(", ")} (${result.fileBytes} bytes)`,
    `run:   ${result.run}`
  ].join("\n")
}

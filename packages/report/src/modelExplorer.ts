/**
 * A run as node data for Model Explorer (https://github.com/google-ai-edge/model-explorer/wiki/5.-Custom-node-data): a value
 * for each layer, by the name of its node, with colours from few bits to many.
 */
import type { Results } from "@bitbudget/lab"

/** What a node is coloured by. */
const colours = [
  { value: 2, bgColor: "#c2410c" },
  { value: 4, bgColor: "#fb923c" },
  { value: 8, bgColor: "#fde68a" },
  { value: 16, bgColor: "#5eead4" },
  { value: 32, bgColor: "#0f766e" }
]

/** Bits of the weights, 32 where they are float; for every layer its formats, cost and loss are told beside. */
export const modelExplorer = ({ summary, layers }: Results.RunResult): string =>
  JSON.stringify(
    {
      [`bits on ${String(summary["device"])}`]: {
        results: Object.fromEntries(
          layers.map(({ layer, choice, weightBits, latencyMs, deltaLoss }) => [
            layer,
            { value: weightBits ?? 32, formats: choice, latencyMs, deltaLoss }
          ])
        ),
        thresholds: colours
      }
    },
    null,
    1
  )

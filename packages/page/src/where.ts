/** Where the layers' time and energy go, by what bounds them. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import type { VNode } from "preact"
import { bar } from "./bars.ts"
import { section, table } from "./element.ts"

export const whereTime = ({ layers }: Results.RunResult): VNode | null => {
  const byBound = Map.groupBy(
    layers.filter(({ latencyMs }) => latencyMs !== null),
    ({ boundBy }) => boundBy ?? "unknown"
  )
  const sum = (values: ReadonlyArray<number | null>) =>
    values.reduce<number>((total, value) => total + (value ?? 0), 0)
  const parts = [...byBound]
    .map(([name, own]) => ({
      name,
      ms: sum(own.map(({ latencyMs }) => latencyMs)),
      energyMj: own.every(({ energyPj }) => energyPj === null)
        ? null
        : sum(own.map(({ energyPj }) => energyPj)) / 1e9,
      n: own.length
    }))
    .toSorted((a, b) => b.ms - a.ms)
  const total = sum(parts.map(({ ms }) => ms))
  if (total === 0) return null
  return section(
    "Where the layers' time and energy go",
    table(
      "Time and energy by what bounds the layers",
      ["bound by", "share of the time", "ms", "mJ", "layers"],
      parts.map(({ name, ms, energyMj, n }) => ({
        cells: [
          name,
          bar({ share: ms / total, label: `${Math.round((100 * ms) / total)} %` }),
          figure(ms),
          figure(energyMj),
          n
        ]
      })),
      new Set([0, 1])
    )
  )
}

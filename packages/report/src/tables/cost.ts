/** `simulate` and `compare` as tables. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import { knownError, table, middle } from "./table.ts"

/** Shares of a whole, largest first, without what is nothing. */
const shares = (parts: Readonly<Record<string, number | null>>): string => {
  const known = Object.entries(parts).flatMap(([name, value]) =>
    value === null || value <= 0 ? [] : [{ name, value }]
  )
  const total = known.reduce((sum, { value }) => sum + value, 0)
  return known
    .toSorted((a, b) => b.value - a.value)
    .map(({ name, value }) => `${name} ${((100 * value) / total).toFixed(0)} %`)
    .join(", ")
}

export const simulate = (cost: Results.SimulateResult): string => {
  const { totals } = cost
  const shown = cost.layers.filter(({ boundBy }) => !boundBy.startsWith("fused into"))
  const fused = cost.layers.length - shown.length
  const energy = shares(totals.breakdown.energyMj)
  return [
    `${cost.device}, batch ${cost.batch}: ${figure(totals.latencyMs)} ms, ${figure(totals.energyMj)} mJ, ` +
      `${figure(totals.modelBytes)} B of weights, ${figure(totals.peakActivationBytes)} B peak activations` +
      (totals.peakActivationBytesBestOrder < totals.peakActivationBytes
        ? ` (${figure(totals.peakActivationBytesBestOrder)} B in the best order)`
        : ""),
    ...(totals.latencyIntervalMs === null
      ? []
      : [
          `90 % interval: ${between(totals.latencyIntervalMs)} ms` +
            (totals.energyIntervalMj === null ? "" : `, ${between(totals.energyIntervalMj)} mJ`)
        ]),
    `prediction: ${knownError(cost.validation)}`,
    "",
    table(
      ["step", "bits", "ms", "use %", "ops/B", "roof %", "bound by", "pJ"],
      shown.map(({ roofline, ...step }) => [
        middle(step.id, 26),
        `${step.weightBits ?? "–"}/${step.activationBits}`,
        figure(step.latencyMs),
        step.utilisation === null ? null : figure(100 * step.utilisation),
        figure(roofline?.intensityOpsPerByte),
        roofline === null ? null : figure((100 * roofline.attainedOpsPerS) / roofline.attainableOpsPerS),
        middle(step.boundBy, 10),
        figure(step.energyPj.total)
      ])
    ),
    "",
    `time:   ${shares(totals.breakdown.latencyMs)}`,
    ...(energy === "" ? [] : [`energy: ${energy}`]),
    "ops/B: operations a byte through the busiest memory. roof %: of the rate its roofline allows.",
    ...(fused === 0
      ? []
      : [`${fused} element-wise steps are computed in the pipeline of the step before them.`]),
    ...(cost.why === undefined
      ? []
      : [
          "",
          "what fewer bits would buy each layer:",
          ...cost.why.map(({ id, sentence }) => `  ${id}: ${sentence}`)
        ]),
    ...cost.notes.map((note) => `note: ${note}`)
  ].join("\n")
}

/** Two digits, enough to compare errors by. */
const percent = (share: number): string => String(Number((100 * share).toPrecision(2)))

const between = ({ low, high }: { readonly low: number; readonly high: number }): string =>
  `${figure(low)}–${figure(high)}`

/** What a searched plan was measured to do: its accuracy, or what else the data allow. */
const measuredOf = ({ search }: Results.CompareResult["rows"][number]): string | null => {
  const { distortion, loss, top1 } = search?.measured ?? {}
  if (top1 !== undefined) return `${(100 * top1.value).toFixed(2)} % right`
  if (distortion !== undefined) return `distortion ${figure(distortion.value)}`
  return loss === undefined ? null : `loss ${figure(loss.value)}`
}

export const compare = ({ model, batch, open, rows }: Results.CompareResult): string => {
  const searched = rows.some(({ search }) => search !== undefined)
  return [
    `${model}, batch ${batch}`,
    "",
    table(
      ["device", "plan", "ms", "90 % interval", "×", "mJ", "weights", searched ? "measured" : "mm²"],
      rows.map((row) => [
        middle(row.device, 20),
        middle(row.plan, 10),
        figure(row.latencyMs),
        row.latencyIntervalMs === null ? null : between(row.latencyIntervalMs),
        figure(row.speedUp),
        figure(row.energyMj),
        figure(row.modelBytes),
        searched ? measuredOf(row) : figure(row.areaMm2)
      ])
    ),
    "",
    "×: times faster than the first row.",
    ...rows.flatMap(({ device, search }) =>
      search === undefined
        ? []
        : [
            `${device}: run ${search.run.slice(0, 12)}, ${search.proved ? "proved within its model" : "not proved"}, taken: ${search.chosen}; ${search.files.join(", ")}`
          ]
    ),
    ...open.map(
      ({ faster, probability, slower }) =>
        `open: ${faster} before ${slower} is not sure; the order swaps with probability ${percent(probability)} %`
    ),
    ...rows.flatMap(({ device, plan, why }) => (why === null ? [] : [`${device} ${plan}: ${why}`]))
  ].join("\n")
}

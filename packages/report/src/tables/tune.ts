/** `tune` as tables: the curves, then float, untuned and tuned network beside each other. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import { exact, table } from "./table.ts"

type Result = typeof Results.TuneResult.Type
type Metrics = Result["measured"]["after"]

const isShare = (metric: string): boolean =>
  metric === "top1" || metric === "top5" || metric === "agreement" || metric.startsWith("f1")

const shown = (metric: string, metrics: Metrics): string | null => {
  const estimate = metrics[metric]
  if (estimate === undefined) return null
  const { value, low, high } = estimate
  const percent = (x: number) => (100 * x).toFixed(2)
  return isShare(metric)
    ? `${percent(value)} % [${percent(low)}, ${percent(high)}]`
    : `${figure(value)} [${figure(low)}, ${figure(high)}]`
}

export const tune = (result: Result): string => {
  const { measured, epochs, bestEpoch, paired, samples, taken } = result
  const metrics = ["top1", "perplexity", "loss", "mse", "distortion", "agreement"].filter(
    (name) => name in measured.after
  )
  const n = Object.values(measured.after)[0]?.n
  const rows = [
    { name: "float", metrics: measured.float },
    { name: "untuned", metrics: measured.before },
    { name: taken ? "tuned" : "kept (untuned)", metrics: measured.after }
  ].filter((row) => Object.keys(row.metrics).length > 0)
  return [
    `${figure(result.parameters)} parameters trained on ${exact(samples.training)} samples by ${
      result.loss === "task" ? "the labels' loss" : "the float network's outputs"
    }; ${exact(samples.heldOut)} held out`,
    "",
    table(
      ["epoch", "training loss", "held-out loss", "gradient", "s", ""],
      epochs.map(({ epoch, trainingLoss, heldOutLoss, gradientNorm, seconds }) => [
        String(epoch),
        figure(trainingLoss),
        figure(heldOutLoss),
        figure(gradientNorm),
        figure(seconds),
        epoch === bestEpoch ? "taken" : ""
      ])
    ),
    "",
    table(
      [n === undefined ? "network" : `on ${exact(n)} targets`, ...metrics.map((name) => `${name} [95 %]`)],
      rows.map((row) => [row.name].concat(metrics.map((name) => shown(name, row.metrics) ?? "–")))
    ),
    "",
    ...(paired === null || !taken
      ? []
      : [
          `tuned against untuned: ${paired.onlyTuned} only right after, ${paired.onlyUntuned} only right before, p = ${paired.pValue.toPrecision(2)}`
        ]),
    ...(result.agreementWithPacked === null
      ? []
      : [
          `same prediction as the packed file in ONNX Runtime: ${(100 * result.agreementWithPacked.value).toFixed(2)} % of ${exact(result.agreementWithPacked.n)}`
        ]),
    `${result.files.join(", ")}: ${exact(result.bytes)} bytes (predicted ${exact(result.predictedBytes)}); run ${result.run}`,
    ...result.notes.map((note) => `note: ${note}`)
  ].join("\n")
}

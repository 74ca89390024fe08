/** Results as tables for people, 80 columns wide at most. */
import type { Plan, Tasks } from "@bitbudget/lab"
import Table from "cli-table3"
import type { Effect } from "effect"

type Cell = string | number | null | undefined

const plain = { head: [], border: [], "padding-left": 0, "padding-right": 1 }
const borderless = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: " "
}

/** Columns after the first are figures, set to the right. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>): string => {
  const made = new Table({
    head: [...head],
    chars: borderless,
    style: plain,
    colAligns: head.map((_, i) => (i === 0 ? "left" : "right"))
  })
  for (const row of rows)
    made.push(row.map((cell) => (cell === null || cell === undefined ? "–" : String(cell))))
  return made.toString().replaceAll(/[ \t]+$/gm, "")
}

/** Three significant digits, thousands as k, M, G. */
export const figure = (value: number | null | undefined): string => {
  if (value === null || value === undefined) return "–"
  if (value === 0) return "0"
  const steps: ReadonlyArray<readonly [number, string]> = [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"]
  ]
  const step = steps.find(([size]) => Math.abs(value) >= size)
  if (step === undefined) return String(Number(value.toPrecision(3)))
  const [size, suffix] = step
  return `${Number((value / (suffix === "k" ? 1e3 : size)).toPrecision(3))}${suffix}`
}

/** The end of a long name, which tells layers apart. */
const tail = (text: string, width: number): string =>
  text.length <= width ? text : `…${text.slice(1 - width)}`

const shape = (dims: ReadonlyArray<number>): string => dims.join("×")

type Success<F extends (...args: never) => Effect.Effect<unknown, unknown, unknown>> = Effect.Success<
  ReturnType<F>
>

export const inspect = ({ model, layers, unsupported }: Success<typeof Tasks.inspect>): string =>
  [
    `${model.name}: ${figure(model.params)} parameters, ${figure(model.macs)} MACs a sample, opset ${model.opset}`,
    "",
    table(
      ["layer", "op", "weights", "output", "params", "MACs"],
      layers.map((layer) => [
        tail(layer.name, 24),
        layer.op,
        shape(layer.weightShape),
        shape(layer.outputShape),
        figure(layer.params),
        figure(layer.macs)
      ])
    ),
    ...unsupported.map(({ node, op, why }) => `not supported: node ${node} (${op}): ${why}`)
  ].join("\n")

export const simulate = (cost: Success<typeof Tasks.simulate>): string =>
  [
    `${cost.device}, batch ${cost.batch}: ${figure(cost.totals.latencyMs)} ms, ${figure(cost.totals.energyMj)} mJ, ` +
      `${figure(cost.totals.modelBytes)} B of weights, ${figure(cost.totals.peakActivationBytes)} B peak activations`,
    "",
    table(
      ["step", "bits", "ms", "use %", "bound by", "pJ"],
      cost.layers.map((step) => [
        tail(step.id, 30),
        `${step.weightBits ?? "–"}/${step.activationBits}`,
        figure(step.latencyMs),
        step.utilisation === null ? null : figure(100 * step.utilisation),
        tail(step.boundBy, 14),
        figure(step.energyPj.total)
      ])
    ),
    ...cost.notes.map((note) => `note: ${note}`)
  ].join("\n")

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
    `plan for ${result.device}`,
    "",
    table(
      ["layer", "bits", "Δloss ± s.e.", "ms", "pJ", "bytes", "bound by"],
      result.layers.map((layer) => [
        tail(layer.name, 18),
        `${layer.weightBits}/${layer.activationBits}`,
        `${layer.deltaLoss.toExponential(1)} ± ${layer.deltaLossStdErr?.toExponential(0) ?? "?"}`,
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

export const evaluate = (result: Success<typeof Tasks.evaluate>): string =>
  [
    `${result.n} samples in ${result.seconds.toFixed(1)} s`,
    table(
      ["metric", "value", "low", "high"],
      Object.entries(result.metrics).map(([name, { value, low, high }]) => [
        name,
        figure(value),
        figure(low),
        figure(high)
      ])
    )
  ].join("\n")

export const quantize = (result: Success<typeof Tasks.quantize>): string =>
  [
    `${result.file}: ${result.bytes} bytes (predicted ${result.predictedBytes})`,
    "",
    table(
      ["layer", "type", "bytes", "SQNR dB"],
      result.layers.map(({ id, dtype, bytes, sqnrDb }) => [
        tail(id, 40),
        dtype,
        figure(bytes),
        figure(sqnrDb)
      ])
    ),
    ...result.notes.map((note) => `note: ${note}`)
  ].join("\n")

export const validation = ({ rows, summary }: Success<typeof Tasks.validate>): string =>
  [
    table(
      ["network", "layer", "precision", "metric", "measured", "predicted", "error %"],
      rows.map((row) => [
        tail(row.network, 22),
        row.layer,
        row.precision,
        row.metric,
        figure(row.measured),
        figure(row.predicted),
        figure(row.apePct)
      ])
    ),
    "",
    table(
      ["device", "metric", "rows", "missing", "median %", "mean %"],
      summary.map((row) => [
        row.device,
        row.metric,
        row.n,
        row.missing,
        figure(row.medianApePct),
        figure(row.mapePct)
      ])
    )
  ].join("\n")

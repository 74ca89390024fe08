/** `sensitivity` as a table: a line a layer and choice, and how well each metric ranks them. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import { layerNames, table, tableOfKnown, withError } from "./table.ts"

type Analysis = Results.SensitivityResult

const traces = ({ layers }: Analysis): string => {
  const names = layerNames(
    layers.map(({ id }) => id),
    30
  )
  return tableOfKnown(
    ["layer", "weights", "trace", "trace of G", "λ max", "Fisher"],
    layers.map((layer, l) => [
      names[l],
      figure(layer.params),
      withError(layer.trace, layer.traceStdErr),
      withError(layer.gaussNewtonTrace, layer.gaussNewtonTraceStdErr),
      withError(layer.topEigenvalue, layer.topEigenvalueResidual),
      withError(layer.fisher, layer.fisherStdErr)
    ])
  )
}

type Format = Analysis["layers"][number]["byChoice"][string]

/** A line a layer and choice; columns nobody asked for are left out. */
const formats = (
  { layers }: Analysis,
  columns: { readonly [title: string]: (format: Format) => string }
): ReadonlyArray<string> => {
  const names = layerNames(
    layers.map(({ id }) => id),
    24
  )
  const rows = layers.flatMap((layer, l) =>
    Object.entries(layer.byChoice).map(([choice, format]) =>
      [names[l]!, choice].concat(Object.values(columns).map((cell) => cell(format)))
    )
  )
  const empty = rows.every(([, , ...cells]) => cells.every((cell) => cell === "–"))
  return empty ? [] : ["", tableOfKnown(["layer", "formats", ...Object.keys(columns)], rows)]
}

/** What rounding does, measured on whole networks with one layer rounded. */
const measured = {
  Δloss: (format: Format) => withError(format.deltaLoss, format.stdErr),
  KL: (format: Format) => withError(format.klDivergence, format.klDivergenceStdErr),
  "SNR dB": (format: Format) => withError(format.outputSqnrDb, format.outputSqnrStdErrDb)
}

/** What derivatives say it should do. */
const predicted = {
  gᵀΔW: (format: Format) => withError(format.linear, format.linearStdErr),
  "½ΔWᵀGΔW": (format: Format) => withError(format.quadratic, format.quadraticStdErr),
  "½ΔWᵀHΔW": (format: Format) => withError(format.hessianQuadratic, format.hessianQuadraticStdErr),
  Ω: (format: Format) => withError(format.omega, format.omegaStdErr),
  "λ‖ΔW‖²": (format: Format) => figure(format.lambdaOmega)
}

/** Layers' inputs, where these were asked for. */
const inputs = ({ layers }: Analysis): ReadonlyArray<string> => {
  const names = layerNames(
    layers.map(({ id }) => id),
    24
  )
  const rows = layers.flatMap(({ activation }, l) =>
    Object.entries(activation?.byFormat ?? {}).map(([id, format]) => [
      names[l],
      id,
      withError(activation?.trace, activation?.traceStdErr),
      withError(format.deltaLoss, format.stdErr),
      figure(format.noiseOmega)
    ])
  )
  return rows.length === 0
    ? []
    : ["", table(["layer's input", "format", "trace", "Δloss", "½ tr step²/12"], rows)]
}

const statement = ({ gaussNewtonEqualsHessian: { holds, brokenBy } }: Analysis): string =>
  holds || brokenBy === null
    ? "Gauss–Newton is every layer's Hessian block: traces without an error are exact."
    : `Gauss–Newton is not the whole Hessian: ${brokenBy.node} (${brokenBy.op}) has curvature of its own.`

export const sensitivity = (result: Analysis): string =>
  [
    `${result.loss} on ${result.samples} samples, seed ${result.seed}`,
    statement(result),
    "",
    traces(result),
    ...formats(result, measured),
    ...formats(result, predicted),
    ...inputs(result),
    ...(result.referee === undefined
      ? []
      : [
          "",
          table(
            ["metric", "Spearman", "pairs"],
            Object.entries(result.referee)
              .toSorted(([, a], [, b]) => (b.spearman ?? -1) - (a.spearman ?? -1))
              .map(([metric, { spearman, n }]) => [
                metric === result.winner ? `${metric} (best)` : metric,
                figure(spearman),
                n
              ])
          ),
          `Rank correlation with the loss increase measured on ${result.refereeSamples?.samples ?? 0} other samples.`
        ]),
    ...result.notes.map((note) => `note: ${note}`),
    `run: ${result.run}`
  ].join("\n")

/** Puts the stages' results together, layer by layer: plain data in, plain data out. */
import { Dim, Graph, Layer } from "@bitbudget/graph"
import { Choice, WeightKinds } from "@bitbudget/quant"
import type { LayerInput } from "./Activations.ts"
import type { Statement } from "./Curvature.ts"
import type { LayerFisher } from "./Fisher.ts"
import type { LayerForms } from "./HessianForms.ts"
import type * as Measured from "./Measured.ts"
import * as Rounding from "./Rounding.ts"
import type { InputTrace, Projections } from "./Projections.ts"
import type {
  ActivationFormatReport,
  ActivationReport,
  FormatReport,
  Interactions,
  LayerReport
} from "./Report.ts"
import type { LayerEigenvalue } from "./TopEigenvalue.ts"
import type { LayerTrace } from "./Traces.ts"

/**
 * What the stages found of the layers that they apply to, in execution order; undefined where a stage was not asked for or
 * applies to none.
 */
export interface Found {
  readonly rounder: Rounding.Rounder
  readonly statement: Statement
  readonly traces: ReadonlyArray<LayerTrace> | undefined
  readonly eigenvalues: ReadonlyArray<LayerEigenvalue> | undefined
  readonly fisher: ReadonlyArray<LayerFisher> | undefined
  readonly projections: Projections | undefined
  readonly hessianForms: ReadonlyArray<LayerForms> | undefined
  readonly measured: Measured.LossIncrease | undefined
  readonly inputs: ReadonlyArray<LayerInput> | undefined
}

/** The fields of a stage that was run. */
const fields = <A, B extends object>(found: A | undefined, of: (found: A) => B): B | Record<never, never> =>
  found === undefined ? {} : of(found)

/** What a stage found of a layer. */
const of = <A extends { readonly id: string }>(
  found: ReadonlyArray<A> | undefined,
  { id }: Layer.Layer
): A | undefined => found?.find((each) => each.id === id)

const formatReport = (
  graph: Graph.Graph,
  found: Found,
  layer: Layer.Layer,
  choice: Choice.Choice
): FormatReport => {
  const key = Choice.show(choice)
  const rounded = found.rounder(layer, choice)
  const deltaWeightSq = Rounding.squaredNorm(Rounding.weightError(graph, layer, rounded))
  const perWeight = deltaWeightSq / layer.weightElements
  const increase = of(found.measured?.layers, layer)?.byChoice[key]
  const report: FormatReport = {
    deltaWeightSq,
    ...fields(of(found.traces, layer), ({ trace, stdErr }) => ({
      omega: trace * perWeight,
      omegaStdErr: stdErr * perWeight
    })),
    ...fields(of(found.eigenvalues, layer), ({ value }) => ({ lambdaOmega: value * deltaWeightSq })),
    ...fields(of(found.fisher, layer), ({ value }) => ({ fisherOmega: value * perWeight })),
    ...fields(of(found.projections?.layers, layer)?.byChoice[key], ({ quadratic, linear }) => ({
      quadratic: quadratic.value,
      quadraticStdErr: quadratic.stdErr,
      linear: linear.value,
      linearStdErr: linear.stdErr
    })),
    ...fields(
      of(found.hessianForms, layer)?.byWeights[WeightKinds.show(choice.weights)],
      ({ value, stdErr }) => ({
        hessianQuadratic: value,
        hessianQuadraticStdErr: stdErr
      })
    ),
    ...fields(increase?.outputs, ({ klDivergence, sqnrDb }) => ({
      klDivergence: klDivergence?.value ?? null,
      klDivergenceStdErr: klDivergence?.stdErr ?? null,
      outputSqnrDb: sqnrDb.value,
      outputSqnrStdErrDb: sqnrDb.stdErr
    })),
    ...fields(increase, ({ deltaLoss, stdErr }) => ({ deltaLoss, stdErr }))
  }
  return report
}

const traceFields = ({ trace, stdErr, samplingStdErr, exact, method, gaussNewton }: LayerTrace) => ({
  trace,
  traceStdErr: stdErr,
  traceSamplingStdErr: samplingStdErr,
  exact,
  traceMethod: method,
  ...fields(method === "hutchinson" ? (gaussNewton ?? undefined) : undefined, (own) => ({
    gaussNewtonTrace: own.trace,
    gaussNewtonTraceStdErr: own.stdErr
  }))
})

const activationReport = (
  graph: Graph.Graph,
  statement: Statement,
  layer: Layer.Layer,
  { value, stdErr, exact }: InputTrace,
  { byFormat }: LayerInput
): ActivationReport => ({
  value: layer.input,
  elements: Dim.elements(Dim.shapeAt(Graph.shapeOf(graph, layer.input), 1)),
  trace: value,
  traceStdErr: exact ? 0 : stdErr,
  traceSamplingStdErr: stdErr,
  exact: exact && statement.inputs.get(layer.id) === null,
  byFormat: Object.fromEntries(
    Object.entries(byFormat).map(([format, { step, deltaLoss }]): [string, ActivationFormatReport] => [
      format,
      { noiseOmega: (value * step ** 2) / 24, deltaLoss: deltaLoss.value, stdErr: deltaLoss.stdErr }
    ])
  )
})

const layerReport = (
  graph: Graph.Graph,
  choices: Rounding.LayerChoices,
  found: Found,
  layer: Layer.Layer
): LayerReport => {
  const breach = found.statement.layers.get(layer.id) ?? null
  const [input, trace] = [of(found.inputs, layer), of(found.projections?.layers, layer)?.input]
  const activation =
    input === undefined || trace === undefined
      ? {}
      : { activation: activationReport(graph, found.statement, layer, trace, input) }
  return {
    id: layer.id,
    params: layer.weightElements,
    ...fields(of(found.traces, layer), traceFields),
    ...fields(of(found.eigenvalues, layer), ({ value, residual }) => ({
      topEigenvalue: value,
      topEigenvalueResidual: residual
    })),
    ...fields(of(found.fisher, layer), ({ value, stdErr }) => ({ fisher: value, fisherStdErr: stdErr })),
    gaussNewtonEqualsHessian: breach === null,
    brokenBy: breach,
    ...activation,
    byChoice: Object.fromEntries(
      Rounding.choicesOf(choices, layer).map((choice) => [
        Choice.show(choice),
        formatReport(graph, found, layer, choice)
      ])
    )
  }
}

export const layerReports = (
  graph: Graph.Graph,
  choices: Rounding.LayerChoices,
  found: Found
): ReadonlyArray<LayerReport> =>
  Layer.layersOf(graph).map((layer) => layerReport(graph, choices, found, layer))

/** What to know before the figures are trusted. */
export const remarks = (layers: ReadonlyArray<LayerReport>, tolerance: number): ReadonlyArray<string> => {
  const named = (those: ReadonlyArray<LayerReport>) => those.map(({ id }) => id).join(", ")
  const flat = layers.filter(
    ({ trace, byChoice }) =>
      trace === 0 ||
      Object.values(byChoice).some(({ quadratic, deltaWeightSq }) => quadratic === 0 && deltaWeightSq > 0)
  )
  const loose = layers.filter(
    ({ trace, traceStdErr }) =>
      trace !== undefined && traceStdErr !== undefined && traceStdErr > tolerance * Math.abs(trace)
  )
  return [
    ...(flat.length === 0
      ? []
      : [
          `no curvature in ${named(flat)}: on these samples the loss does not move with the weights (activations ` +
            `that are 0, a step such as Round behind them, or another output); trust deltaLoss there`
        ]),
    ...(loose.length === 0
      ? []
      : [`trace of ${named(loose)}: the standard error stayed above the tolerance of ${tolerance}`])
  ]
}

/** The pairs' matrix with its rows named. */
export const interactionsOf = (
  layers: ReadonlyArray<Layer.Layer>,
  choices: Rounding.LayerChoices,
  matrix: ReadonlyArray<ReadonlyArray<number>>
): Interactions => ({
  choices: layers.flatMap((layer) =>
    Rounding.choicesOf(choices, layer).map((choice) => ({ layer: layer.id, choice: Choice.show(choice) }))
  ),
  matrix
})

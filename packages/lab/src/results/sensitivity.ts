/** What `sensitivity` prints: figures are exact or stand next to their standard error, as `sensitivity`'s Report says. */
import { type Report, Loss } from "@bitbudget/sensitivity"
import { Schema } from "effect"
import { Known, Notes, same } from "./common.ts"

const Figure = Schema.optionalKey(Schema.Finite)
const MaybeFigure = Schema.optionalKey(Known)

/** One layer at one choice. */
const AtChoice = Schema.Struct({
  deltaWeightSq: Schema.Finite,
  omega: Figure,
  omegaStdErr: Figure,
  lambdaOmega: Figure,
  fisherOmega: Figure,
  quadratic: Figure,
  quadraticStdErr: MaybeFigure,
  hessianQuadratic: Figure,
  hessianQuadraticStdErr: MaybeFigure,
  linear: Figure,
  linearStdErr: MaybeFigure,
  klDivergence: MaybeFigure,
  klDivergenceStdErr: MaybeFigure,
  outputSqnrDb: MaybeFigure,
  outputSqnrStdErrDb: MaybeFigure,
  deltaLoss: Figure,
  stdErr: MaybeFigure
})

/** A layer's input, with all weights float. */
const Activation = Schema.Struct({
  value: Schema.String,
  elements: Schema.Finite,
  trace: Schema.Finite,
  traceStdErr: Known,
  traceSamplingStdErr: Known,
  exact: Schema.Boolean,
  byFormat: Schema.Record(
    Schema.String,
    Schema.Struct({ noiseOmega: Schema.Finite, deltaLoss: Schema.Finite, stdErr: Known })
  )
})

/** The first operator in which the loss bends more than once. */
const Breach = Schema.NullOr(Schema.Struct({ node: Schema.String, op: Schema.String }))

const Layer = Schema.Struct({
  id: Schema.String,
  params: Schema.Finite,
  trace: Figure,
  traceStdErr: Figure,
  traceSamplingStdErr: MaybeFigure,
  exact: Schema.optionalKey(Schema.Boolean),
  traceMethod: Schema.optionalKey(Schema.Literals(["gaussNewton", "hutchinson"])),
  gaussNewtonTrace: Figure,
  gaussNewtonTraceStdErr: Figure,
  topEigenvalue: Figure,
  topEigenvalueResidual: Figure,
  fisher: Figure,
  fisherStdErr: MaybeFigure,
  gaussNewtonEqualsHessian: Schema.Boolean,
  brokenBy: Breach,
  activation: Schema.optionalKey(Activation),
  byChoice: Schema.Record(Schema.String, AtChoice)
})

const Correlation = Schema.Struct({ spearman: Known, low: Known, high: Known, n: Schema.Finite })

const report = {
  loss: Schema.Literals(Loss.names),
  samples: Schema.Finite,
  seed: Schema.Finite,
  choices: Schema.Array(Schema.String),
  floatLoss: Known,
  gaussNewtonEqualsHessian: Schema.Struct({ holds: Schema.Boolean, brokenBy: Breach }),
  layers: Schema.Array(Layer),
  referee: Schema.optionalKey(Schema.Record(Schema.String, Correlation)),
  refereeSamples: Schema.optionalKey(
    Schema.Struct({ split: Schema.String, from: Schema.Finite, samples: Schema.Finite })
  ),
  winner: Schema.optionalKey(Schema.NullOr(Schema.String)),
  /** Of every pair of (layer, choice). */
  interactions: Schema.optionalKey(
    Schema.Struct({
      choices: Schema.Array(Schema.Struct({ layer: Schema.String, choice: Schema.String })),
      matrix: Schema.Array(Schema.Array(Schema.Finite))
    })
  ),
  notes: Notes
}

export const SensitivityResult = Schema.Struct({ run: Schema.String, ...report })
export type SensitivityResult = typeof SensitivityResult.Type

// Operators stand in the report by a type of their own, which is text here; all else is the same.
same<typeof AtChoice.Type, Report.FormatReport>()
same<typeof Activation.Type, Report.ActivationReport>()
same<keyof typeof Layer.Type, keyof Report.LayerReport>()
same<keyof typeof report, keyof Report.SensitivityReport>()

/**
 * The referee: how well each metric ranks what rounding really costs.
 *
 * The truth is the loss's increase measured one layer and choice at a time, on samples that no metric saw; a
 * metric is scored by Spearman's rank correlation with it over all (layer, choice) pairs. The best one wins, the first
 * in the table where two are equal.
 */
import { Ranks } from "@bitbudget/numerics"
import type { LossIncrease } from "./Measured.ts"
import type { FormatReport, LayerReport } from "./Report.ts"

type Predictor = (format: FormatReport) => number | null | undefined

/** Predicted harm by each metric; undefined or null where it was not taken. */
const predictors = {
  /** Measured increase on the metric's own samples. */
  deltaLoss: ({ deltaLoss }) => deltaLoss,
  /** Taylor to second order: gᵀΔW + ½ΔWᵀGΔW. */
  taylor: ({ linear, quadratic }) =>
    linear === undefined || quadratic === undefined ? undefined : linear + quadratic,
  quadratic: ({ quadratic }) => quadratic,
  /** The same with the Hessian itself. */
  hessianTaylor: ({ linear, hessianQuadratic }) =>
    linear === undefined || hessianQuadratic === undefined ? undefined : linear + hessianQuadratic,
  hessianQuadratic: ({ hessianQuadratic }) => hessianQuadratic,
  klDivergence: ({ klDivergence }) => klDivergence,
  /** Noise over signal. */
  outputSqnrDb: ({ outputSqnrDb }) =>
    outputSqnrDb === undefined || outputSqnrDb === null ? undefined : -outputSqnrDb,
  omega: ({ omega }) => omega,
  lambdaOmega: ({ lambdaOmega }) => lambdaOmega,
  fisherOmega: ({ fisherOmega }) => fisherOmega,
  /** The baseline: no knowledge of the loss. */
  deltaWeightSq: ({ deltaWeightSq }) => deltaWeightSq
} as const satisfies Record<string, Predictor>

export type Judged = keyof typeof predictors

/** The metrics that can be judged, the first preferred where two are equal. */
export const judged = Object.keys(predictors) as ReadonlyArray<Judged>

/** The harm a metric predicts of one layer at one choice; undefined where it was not taken. */
export const harm = (metric: Judged, format: FormatReport): number | undefined =>
  predictors[metric](format) ?? undefined

/** Errors of sums whose parts are taken of the same samples: at most the sum of theirs. */
const together = (a: number | null | undefined, b: number | null | undefined): number | undefined =>
  typeof a === "number" && typeof b === "number" ? a + b : undefined

/** Standard error of `harm`; undefined where the metric knows none. */
export const harmStdErr = (metric: Judged, format: FormatReport): number | undefined => {
  switch (metric) {
    case "deltaLoss":
      return format.stdErr ?? undefined
    case "taylor":
      return together(format.linearStdErr, format.quadraticStdErr)
    case "quadratic":
      return format.quadraticStdErr ?? undefined
    case "hessianTaylor":
      return together(format.linearStdErr, format.hessianQuadraticStdErr)
    case "hessianQuadratic":
      return format.hessianQuadraticStdErr ?? undefined
    case "klDivergence":
      return format.klDivergenceStdErr ?? undefined
    case "outputSqnrDb":
      return format.outputSqnrStdErrDb ?? undefined
    case "omega":
      return format.omegaStdErr
    case "lambdaOmega":
    case "fisherOmega":
    case "deltaWeightSq":
      return undefined
  }
}

export interface Verdict {
  readonly referee: Readonly<Partial<Record<Judged, Ranks.RankCorrelation>>>
  readonly winner: Judged | null
}

/** Judges every metric that all (layer, choice) pairs have. */
export const judge = (layers: ReadonlyArray<LayerReport>, truth: LossIncrease): Verdict => {
  const increases = new Map(truth.layers.map(({ id, byChoice }) => [id, byChoice]))
  const pairs = layers.flatMap(({ id, byChoice }) =>
    Object.entries(byChoice).flatMap(([choice, format]) => {
      const increase = increases.get(id)?.[choice]
      return increase === undefined ? [] : [{ format, deltaLoss: increase.deltaLoss }]
    })
  )
  const referee: Partial<Record<Judged, Ranks.RankCorrelation>> = {}
  let winner: Judged | null = null
  let best = -Infinity
  for (const name of judged) {
    const predicted = pairs.map(({ format }) => predictors[name](format) ?? Number.NaN)
    if (predicted.some(Number.isNaN)) continue
    const correlation = Ranks.spearman(
      predicted,
      pairs.map(({ deltaLoss }) => deltaLoss)
    )
    referee[name] = correlation
    if (correlation.spearman !== null && correlation.spearman > best) {
      best = correlation.spearman
      winner = name
    }
  }
  return { referee, winner }
}

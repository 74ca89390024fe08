/**
 * What a sensitivity analysis hands on: one plain JSON document.
 *
 * Every figure is exact (on the samples it was taken of) or stands next to its standard error; `null` is unknown, and
 * a field that was not asked for is absent. Losses are in nats for the entropies.
 */
import type { Ranks } from "@bitbudget/numerics"
import type { LossName } from "./Loss.ts"
import type { Breach } from "./Curvature.ts"

/**
 * One layer at one choice. ΔW = Q(W) − W is the rounding error of its weights. Figures made of a trace, an eigenvalue
 * or ‖ΔW‖ alone know the weights only; the others know the choice's activations too.
 */
export interface FormatReport {
  /** ‖ΔW‖². */
  readonly deltaWeightSq: number
  /** HAWQ-v2's Ω = (tr H / n)·‖ΔW‖². */
  readonly omega?: number
  readonly omegaStdErr?: number
  /** HAWQ-v1's λ·‖ΔW‖². */
  readonly lambdaOmega?: number
  /** (empirical Fisher / n)·‖ΔW‖². */
  readonly fisherOmega?: number
  /** ½·ΔyᵀGΔy with the Gauss–Newton matrix G: what the actual rounding of weights and input costs to second order. */
  readonly quadratic?: number
  readonly quadraticStdErr?: number | null
  /** ½·ΔWᵀHΔW with the Hessian itself, of the weights alone. */
  readonly hessianQuadratic?: number
  readonly hessianQuadraticStdErr?: number | null
  /** gᵀΔy: what it costs to first order. */
  readonly linear?: number
  readonly linearStdErr?: number | null
  /** Of the outputs, from the float model's. */
  readonly klDivergence?: number | null
  readonly klDivergenceStdErr?: number | null
  readonly outputSqnrDb?: number | null
  readonly outputSqnrStdErrDb?: number | null
  /** Measured increase of the loss, and the standard error of this paired mean over samples. */
  readonly deltaLoss?: number
  readonly stdErr?: number | null
}

/** A layer's input, with all weights float. */
export interface ActivationReport {
  /** Name of the value. */
  readonly value: string
  /** Elements a sample. */
  readonly elements: number
  /** Of the Gauss–Newton matrix with respect to one sample's input, the mean over samples. */
  readonly trace: number
  /** Of the estimate on these samples: 0 where exact. */
  readonly traceStdErr: number | null
  /** Over the samples. */
  readonly traceSamplingStdErr: number | null
  /** Whether the trace is the Hessian's, without sampling of directions. */
  readonly exact: boolean
  /** By activation format, such as a8. */
  readonly byFormat: Readonly<Record<string, ActivationFormatReport>>
}

/** A layer's input in one format. */
export interface ActivationFormatReport {
  /** ½·trace·step²/12: what rounding noise, spread evenly over a step, costs to second order. */
  readonly noiseOmega: number
  /** Measured increase of the loss, a paired mean over samples. */
  readonly deltaLoss: number
  readonly stdErr: number | null
}

export interface LayerReport {
  readonly id: string
  /** Weights. */
  readonly params: number
  /** Of the layer's Hessian block. */
  readonly trace?: number
  /** Of the estimate on these samples: 0 where exact. */
  readonly traceStdErr?: number
  /** Over the samples: what another draw of the data would change. Null where it was not measured. */
  readonly traceSamplingStdErr?: number | null
  readonly exact?: boolean
  readonly traceMethod?: "gaussNewton" | "hutchinson"
  /** Trace of the Gauss–Newton block, where it is not the Hessian's. */
  readonly gaussNewtonTrace?: number
  readonly gaussNewtonTraceStdErr?: number
  /** Largest eigenvalue of the layer's Hessian block. */
  readonly topEigenvalue?: number
  /** ‖Hv − λv‖: an eigenvalue lies within this of the figure. */
  readonly topEigenvalueResidual?: number
  /** Mean over samples of the squared norm of the gradient: the empirical Fisher's trace. */
  readonly fisher?: number
  readonly fisherStdErr?: number | null
  /** Whether Gauss–Newton is the Hessian block; the first operator that breaks it, if one does. */
  readonly gaussNewtonEqualsHessian: boolean
  readonly brokenBy: Breach | null
  readonly activation?: ActivationReport
  /** By choice, such as w4a8. */
  readonly byChoice: Readonly<Record<string, FormatReport>>
}

/** ½·ΔW_iᵀ G_ij ΔW_j for every pair of (layer, choice), as CLADO's cross-layer terms. */
export interface Interactions {
  readonly choices: ReadonlyArray<{ readonly layer: string; readonly choice: string }>
  /** Symmetric; the diagonal is `quadratic`. */
  readonly matrix: ReadonlyArray<ReadonlyArray<number>>
}

export interface SensitivityReport {
  readonly loss: LossName
  readonly samples: number
  readonly seed: number
  /** All choices that were asked of any layer. */
  readonly choices: ReadonlyArray<string>
  /** Mean loss of the float network; null where no metric needed it. */
  readonly floatLoss: number | null
  /** Whether Gauss–Newton is the Hessian block of every layer, and the first operator that breaks it. */
  readonly gaussNewtonEqualsHessian: { readonly holds: boolean; readonly brokenBy: Breach | null }
  readonly layers: ReadonlyArray<LayerReport>
  /** Rank correlation of each metric with the loss increase measured on data kept apart, over (layer, choice). */
  readonly referee?: Readonly<Record<string, Ranks.RankCorrelation>>
  readonly refereeSamples?: { readonly split: string; readonly from: number; readonly samples: number }
  /** The metric with the highest correlation. */
  readonly winner?: string | null
  readonly interactions?: Interactions
  /** What was left out and why. */
  readonly notes: ReadonlyArray<string>
}

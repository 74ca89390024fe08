/** What a tuning is asked for, and what is usual where nothing is said. */
import type { Model } from "@bitbudget/graph"
import type { PlanFile, Recipe } from "@bitbudget/quant"
import type { Data } from "@bitbudget/runtime"
import { Augment, type Estimator, type Optimizer, type Schedule } from "@bitbudget/train"

export const lossNames = ["task", "distill"] as const
export type LossName = (typeof lossNames)[number]

export interface Request {
  readonly model: Model.Model
  readonly plan: PlanFile.Plan
  readonly data: Data.Dataset
  /** Usual for the data when absent: see `usualLoss`. */
  readonly loss: LossName | undefined
  readonly temperature: number
  readonly epochs: number
  /** Usual for the number of samples when absent; a network made for one batch size has its own. */
  readonly batch: number | undefined
  /** Usual for the optimizer when absent. */
  readonly learningRate: number | undefined
  readonly optimizer: Optimizer.OptimizerName
  readonly schedule: Schedule.ScheduleName
  readonly weightDecay: number
  readonly clipNorm: number | undefined
  readonly estimators: {
    readonly weights: Estimator.WeightEstimator
    readonly activations: Estimator.ActivationEstimator
  }
  readonly augmentation: Augment.Augmentation
  /** Epochs without a better one after which it stops. */
  readonly patience: number
  /** Patterns of layers that stay as they are. */
  readonly freeze: ReadonlyArray<string>
  readonly recipe: Recipe.RecipeName | undefined
  readonly calibration: number | undefined
  readonly seed: number
  readonly threads: number | undefined
  /** The packed file. */
  readonly file: string
  /** Folder for plan.json and tuning.json; undefined: they are not written. */
  readonly out: string | undefined
  readonly force: boolean
}

/** By trials on held-out training images of two image networks, see docs/training.md. */
export const usualRate = { sgd: 0.01, adam: 3e-4, adamw: 3e-4 } as const satisfies {
  readonly [K in Optimizer.OptimizerName]: number
}

/**
 * Relative change of scales by one step of Adam at rate 1. Those of weights move with the weights; those of activations, one
 * a tensor, have farther to go.
 */
export const SCALE_RATES = { weights: 1, activations: 10 } as const

/** Share of the steps over which the rate rises: Adam's first steps are of full size whatever the gradient. */
export const WARMUP = 0.1

/** Samples held out of `size`: a tenth, but neither more than are needed nor too few to tell epochs apart. */
export const heldOutOf = (size: number): number =>
  Math.min(1000, Math.max(Math.floor(size / 10), Math.min(32, Math.floor(size / 3)), 1))

/** Samples a step: 128, fewer where there are few, so that an epoch has some steps. */
export const usualBatch = (samples: number): number =>
  Math.max(1, Math.min(128, samples, Math.max(8, Math.floor(samples / 8))))

/** The float network's outputs, which need no labels: networks have usually seen the data, whose labels they know by heart. */
export const usualLoss: LossName = "distill"

/** What nobody asked otherwise about. */
export const usualTuning = {
  temperature: 1,
  optimizer: "adam",
  schedule: "cosine",
  weightDecay: 0,
  estimators: { weights: "lsq", activations: "lsq" },
  augmentation: Augment.noAugmentation,
  patience: 3
} as const satisfies Partial<Request>

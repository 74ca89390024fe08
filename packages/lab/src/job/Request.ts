/** What a search is asked for: files already read, words already parsed. */
import type { Profile } from "@bitbudget/device"
import type { Model } from "@bitbudget/graph"
import type { ActivationFormat, Choice, Recipe, WeightFormat } from "@bitbudget/quant"
import type { Data } from "@bitbudget/runtime"
import type { Solution } from "@bitbudget/search"
import type { Budget, Harm, Quantity } from "../Budget.ts"
import type { MetricChoice } from "./losses.ts"
import type { Ties } from "./ties.ts"

/** Choices for the layers that a pattern matches, in place of the usual ones. */
export interface Offer {
  readonly pattern: string
  readonly choices: ReadonlyArray<Choice.Choice>
}

/** One choice for the layers that a pattern matches. */
export interface Lock {
  readonly pattern: string
  readonly choice: Choice.Choice
}

/** The least of a cost is wanted, of plans that harm the network no more than this. */
export interface Thrift {
  readonly minimise: Quantity
  readonly harm: Harm
}

export interface Request {
  readonly model: Model.Model
  readonly profile: Profile.Profile
  readonly data: Data.Dataset
  readonly budgets: ReadonlyArray<Budget>
  /** 2, 4 and 8-bit integers, as far as the device holds them, when absent. */
  readonly weights?: ReadonlyArray<WeightFormat.WeightFormat> | undefined
  /** 8-bit integers, or what the device holds, when absent. */
  readonly activations?: ReadonlyArray<ActivationFormat.ActivationFormat> | undefined
  readonly offers: ReadonlyArray<Offer>
  readonly locks: ReadonlyArray<Lock>
  /**
   * "shared": layers that read operands of one Add or Concat agree in their activation format; "fused": and matrix products
   * of one value in their whole choice.
   */
  readonly ties: Ties
  /** Whether plans count that do not fit the device's memories. */
  readonly ignoreCapacity: boolean
  /** What a layer's loss is measured by. */
  readonly metric: MetricChoice
  /** The least loss within the budgets when absent. */
  readonly thrift?: Thrift | undefined
  /** Points of a front over a quantity, beside the plan. */
  readonly front?: { readonly over: Quantity; readonly points: number } | undefined
  /** The rival whose plan is taken, and the plans it may measure; the exact search when absent. */
  readonly method?: { readonly method: Solution.Rival; readonly evaluations: number } | undefined
  /** Rival searches to be compared, and the plans each may measure: as many as the chosen plan took when absent. */
  readonly methods?: { readonly evaluations?: number | undefined } | undefined
  /** Whether to say for every layer what other choices would cost and buy. */
  readonly explain?: boolean
  /** Epochs of training for the chosen plan and the runner-up; none when absent. */
  readonly tune?: number | undefined
  /** Draws of the losses under which each layer's choice is held; none when absent. */
  readonly draws?: number | undefined
  /** Samples the sensitivities are measured on; as many more judge the metrics. DEFAULT_SAMPLES when absent. */
  readonly samples?: number | undefined
  /** Samples activation ranges are taken of; CALIBRATION_SAMPLES when absent. */
  readonly calibration?: number | undefined
  /** How layers are rounded; the best that the network's size allows when absent. */
  readonly recipe?: Recipe.RecipeName | undefined
  /** Seconds the exact search may take. */
  readonly timeLimitSeconds?: number | undefined
  readonly seed: number
  readonly threads?: number | undefined
  /** Folder of the plan and the packed network. */
  readonly out: string
  /** Whether everything is measured again although the store has it. */
  readonly force: boolean
}

/** Samples of the sensitivities where nothing is said. */
export const DEFAULT_SAMPLES = 512

/** Samples of activation ranges where nothing is said. */
export const CALIBRATION_SAMPLES = 512

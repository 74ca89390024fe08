/**
 * The loss table of a search: what each layer adds to the loss at each choice, by the metric that ranks best what was
 * measured on other data, or by the one the user names.
 *
 * Estimates are noisy where formats hardly matter, so they are made monotone: fewer bits of a kind never look better than more,
 * nor better than float.
 */
import { Referee, type Report, type Sensitivity } from "@bitbudget/sensitivity"
import { Choice } from "@bitbudget/quant"
import { Effect } from "effect"
import { UnusableRequest } from "../errors.ts"
import type { Opened } from "./open.ts"

/** Metrics whose values of several layers add up to what the layers cost together. Decibels do not. */
export type Additive = Exclude<Referee.Judged, "outputSqnrDb">

/** `auto`: the referee's choice. */
export type MetricChoice = "auto" | Additive

/** What has to be taken for each. */
export const takenFrom: { readonly [M in Additive]: Sensitivity.Metric } = {
  deltaLoss: "deltaLoss",
  taylor: "quadratic",
  quadratic: "quadratic",
  hessianTaylor: "hessianQuadratic",
  hessianQuadratic: "hessianQuadratic",
  klDivergence: "klDivergence",
  omega: "trace",
  lambdaOmega: "topEigenvalue",
  fisherOmega: "fisher",
  deltaWeightSq: "deltaLoss"
}

const isAdditive = (metric: Referee.Judged): metric is Additive => Object.hasOwn(takenFrom, metric)

/** What a search can minimise, the first preferred where two rank equally well. */
export const additive: ReadonlyArray<Additive> = Referee.judged.filter(isAdditive)

export interface LossTable {
  /** "distortion": of all outputs, where there are several. */
  readonly metric: Additive | "distortion"
  /** By layer in the report's order, by choice. */
  readonly losses: ReadonlyArray<ReadonlyMap<string, number>>
}

/** The additive metric with the highest correlation; the measured increase where nothing was judged. */
const best = ({ referee = {} }: Report.SensitivityReport): Additive => {
  let [winner, highest]: [Additive, number] = ["deltaLoss", -Infinity]
  for (const metric of additive) {
    const spearman = referee[metric]?.spearman ?? -Infinity
    if (spearman > highest) [winner, highest] = [metric, spearman]
  }
  return winner
}

/** Losses made monotone: at least 0, and at least those of every choice that is finer of its kind. */
export const monotone = (
  choices: ReadonlyArray<Choice.Choice>,
  harms: ReadonlyArray<number>
): ReadonlyMap<string, number> =>
  new Map(
    choices.map((choice) => {
      const finer = harms.filter((_, i) => Choice.isFiner(choices[i]!, choice))
      return [Choice.show(choice), Math.max(0, ...finer)]
    })
  )

export const lossTable = (
  report: Report.SensitivityReport,
  { choices }: Opened,
  wanted: MetricChoice
): Effect.Effect<LossTable, UnusableRequest> =>
  Effect.gen(function* () {
    const metric = wanted === "auto" ? best(report) : wanted
    const losses = []
    for (const { id, byChoice } of report.layers) {
      const own = choices.get(id)!
      const harms = own.map((choice) => Referee.harm(metric, byChoice[Choice.show(choice)]!))
      if (harms.some((harm) => harm === undefined))
        return yield* new UnusableRequest({
          why: `--metric ${metric} was not taken of layer ${id}; use auto or deltaLoss`
        })
      losses.push(
        monotone(
          own,
          harms.map((harm) => harm ?? 0)
        )
      )
    }
    return { metric, losses }
  })

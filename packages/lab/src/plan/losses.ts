/**
 * The loss table of a search: what each layer adds to the loss at each width, by the metric that ranks best what was
 * measured on other data, or by the one the user names.
 *
 * Estimates are noisy where widths hardly matter, so they are made monotone: fewer bits never look better than more,
 * nor better than float.
 */
import { Referee, type Report, type Sensitivity } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import { UnusableRequest } from "../errors.ts"

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
  readonly metric: Additive
  /** By layer in the report's order, by width. */
  readonly losses: ReadonlyArray<ReadonlyMap<number, number>>
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

export const lossTable = (
  report: Report.SensitivityReport,
  choice: MetricChoice
): Effect.Effect<LossTable, UnusableRequest> =>
  Effect.gen(function* () {
    const metric = choice === "auto" ? best(report) : choice
    const losses = []
    for (const { id, byBits } of report.layers) {
      let worst = 0
      const row = new Map<number, number>()
      for (const width of report.bits.toSorted((a, b) => b - a)) {
        const harm = Referee.harm(metric, byBits[String(width)]!)
        if (harm === undefined)
          return yield* new UnusableRequest({
            why: `--metric ${metric} was not taken of layer ${id}; use auto or deltaLoss`
          })
        worst = Math.max(worst, harm)
        row.set(width, worst)
      }
      losses.push(row)
    }
    return { metric, losses }
  })

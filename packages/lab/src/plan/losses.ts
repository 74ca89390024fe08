/**
 * The loss table of a search: what each layer adds to the loss at each width, by the metric that ranks best what was
 * measured on other data, or by the one the user names.
 *
 * Estimates are noisy where widths hardly matter, so they are made monotone: fewer bits never look better than more,
 * nor better than float.
 */
import { Referee, type Report } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import { UnusableRequest } from "../errors.ts"

/** `auto`: the referee's choice. */
export type MetricChoice = "auto" | Referee.Judged

export interface LossTable {
  readonly metric: Referee.Judged
  /** By layer in the report's order, by width. */
  readonly losses: ReadonlyArray<ReadonlyMap<number, number>>
}

/** Metrics whose values of several layers add up to what the layers cost together. Decibels do not. */
const isAdditive = (metric: Referee.Judged): boolean => metric !== "outputSqnrDb"

/** The additive metric with the highest correlation; the measured increase where nothing was judged. */
const best = ({ referee = {} }: Report.SensitivityReport): Referee.Judged => {
  let [winner, highest]: [Referee.Judged, number] = ["deltaLoss", -Infinity]
  for (const metric of Referee.judged) {
    const spearman = referee[metric]?.spearman ?? -Infinity
    if (isAdditive(metric) && spearman > highest) [winner, highest] = [metric, spearman]
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

/**
 * The errors to expect: every network (or layer shape) left out in turn, every stack, and every class of step with
 * all networks that spend a quarter of their time in it. What is left predicts what was left out, with an interval.
 * The intervals of a group of devices are then scaled by two factors, one for what factors leave open and one for the
 * spread of rows: those with the best interval score (Gneiting and Raftery, Strictly Proper Scoring Rules, 2007),
 * and together so that nine in ten hold.
 */
import { reachOf, uncertain, type Reach, type Uncertain } from "../cost/Uncertainty.ts"
import { slopedMs } from "../cost/Slopes.ts"
import { build } from "../cost/Machine.ts"
import { factorsOf } from "../cost/Factors.ts"
import { stepClasses } from "../profile/ProfileSchema.ts"
import type { Case } from "./Case.ts"
import { solve, type Problem, type Solved } from "./Posterior.ts"

export interface LeftOutCase {
  readonly without: "network" | "stack" | "class"
  /** log(predicted / measured). */
  readonly logError: number
  /** Where the 90 % interval of log(measured) ends, below and above log(predicted). */
  readonly reach: Reach
}

/** A class counts as exercised by a network that spends this share of its time in it. */
const classShare = 0.25

/** Rows that an assumed scale of 1 weighs like. */
const priorRows = 10

/** Scales of the standard deviations of factors, of whole networks and of single layers. */
export interface Widening {
  readonly factors: number
  readonly networks: number
  readonly layers: number
}

interface Residual {
  readonly logError: number
  readonly about: Uncertain
  readonly whole: boolean
}

/** Whether a measured value lies in the interval of its prediction. */
export const isInside = ({ logError, reach }: Pick<LeftOutCase, "logError" | "reach">): boolean =>
  logError <= reach.down && -logError <= reach.up

const scales = [0.35, 0.5, 0.7, 1, 1.4, 2, 2.8]

const reachBy = ({ about, whole }: Residual, by: Widening): Reach =>
  reachOf(about, by.factors, whole ? by.networks : by.layers)

/** Width of a 90 % interval, and twenty times what lies outside. */
const intervalScore = (residuals: ReadonlyArray<Residual>, by: Widening): number =>
  residuals.reduce((sum, each) => {
    const { down, up } = reachBy(each, by)
    const outside = Math.max(0, each.logError - down, -each.logError - up)
    return sum + down + up + 20 * outside
  }, 0)

const quantile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
}

const one: Widening = { factors: 1, networks: 1, layers: 1 }

const wideningOf = (residuals: ReadonlyArray<Residual>): Widening => {
  if (residuals.length === 0) return one
  // Rows of one kind say nothing of the other's scale.
  const of = (whole: boolean) => (residuals.some((each) => each.whole === whole) ? scales : [1])
  let [best, least] = [one, Infinity]
  for (const factors of scales)
    for (const networks of of(true))
      for (const layers of of(false)) {
        const score = intervalScore(residuals, { factors, networks, layers })
        if (score < least) [best, least] = [{ factors, networks, layers }, score]
      }
  const both = quantile(
    residuals.map((each) => {
      const { down, up } = reachBy(each, best)
      return each.logError > 0 ? each.logError / down : -each.logError / up
    }),
    0.9
  )
  const trust = residuals.length / (residuals.length + priorRows)
  const towards = (scale: number): number => Math.exp(trust * Math.log(Math.max(0.05, scale * both)))
  return {
    factors: towards(best.factors),
    networks: towards(best.networks),
    layers: towards(best.layers)
  }
}

const classShares = (each: Case, logs: Float64Array): ReadonlyMap<string, number> => {
  const machine = build(each.profile, undefined, each.at, factorsOf(logs))
  const byClass = Map.groupBy(each.flows, (flow) => flow.class)
  const ms = [...byClass].map(([name, flows]) => [name, slopedMs(machine, flows, true).ms] as const)
  const total = ms.reduce((sum, [, own]) => sum + own, 0)
  return new Map(ms.map(([name, own]) => [name, own / total]))
}

type Group = { readonly without: LeftOutCase["without"]; readonly cases: ReadonlyArray<number> }

const groupsOf = (problem: Problem, cases: ReadonlyArray<Case>, { logs }: Solved): ReadonlyArray<Group> => {
  const indices = cases.map((_, i) => i)
  const by = (key: (each: Case) => string) => [...Map.groupBy(indices, (i) => key(cases[i]!)).values()]
  const shares = cases.map((each, i) => classShares(each, logs[problem.observations[i]!.stack]!))
  const classes = stepClasses.flatMap((name) => {
    const within = indices.filter((i) => (shares[i]!.get(name) ?? 0) >= classShare)
    return within.length === 0 ? [] : [within]
  })
  return [
    ...by(({ unit }) => unit).map((own) => ({ without: "network" as const, cases: own })),
    ...by(({ profile, software }) => `${profile.id}|${software}`).map((own) => ({
      without: "stack" as const,
      cases: own
    })),
    ...classes.map((own) => ({ without: "class" as const, cases: own }))
  ].filter((group) => group.cases.length < cases.length)
}

/** `spreads`: standard deviation of each case's logarithm about a right prediction. */
export const leaveOut = (
  problem: Problem,
  cases: ReadonlyArray<Case>,
  found: Solved,
  spreads: ReadonlyArray<number>
): { readonly leftOut: ReadonlyArray<ReadonlyArray<LeftOutCase>>; readonly widening: Widening } => {
  const left = cases.map((): Array<Residual & Pick<LeftOutCase, "without">> => [])
  for (const { cases: own, without } of groupsOf(problem, cases, found)) {
    const out = new Set(own)
    const rest = solve(
      problem,
      cases.flatMap((_, i) => (out.has(i) ? [] : [i])),
      found.logs
    )
    for (const i of own) {
      const { log, stack } = problem.observations[i]!
      const { covariance, mean } = rest.at(problem.stacks[stack]!, problem.usual[stack]!)
      const { log: predicted, slopes } = problem.model(i, mean)
      const about = uncertain(slopes, (f, g) => covariance[f * slopes.length + g]!, spreads[i]! ** 2)
      left[i]!.push({ without, logError: predicted - log, about, whole: cases[i]!.whole })
    }
  }
  const widening = wideningOf(left.flat())
  return {
    leftOut: left.map((each) =>
      each.map((row) => ({ without: row.without, logError: row.logError, reach: reachBy(row, widening) }))
    ),
    widening
  }
}

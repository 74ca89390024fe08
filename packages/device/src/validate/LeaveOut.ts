/**
 * The errors to expect: every network (or layer shape) left out in turn, every stack, and every class of step with
 * all networks that spend a quarter of their time in it. What is left predicts what was left out, with an interval.
 * The intervals of a group of devices are then scaled so that nine in ten hold, one factor for what factors leave
 * open and one for the spread of rows: those with the best interval score (Gneiting and Raftery, Strictly Proper
 * Scoring Rules, 2007). A stack or a class that nobody measured has a factor of its own.
 */
import { reachOf, uncertain, type Reach, type Uncertain } from "../cost/Uncertainty.ts"
import { slopedMs } from "../cost/Slopes.ts"
import { build } from "../cost/Machine.ts"
import { factorsOf } from "../cost/Factors.ts"
import { stepClasses } from "../profile/ProfileSchema.ts"
import type { Case } from "./Case.ts"
import { solve, type Belief, type Problem, type Solved } from "./Posterior.ts"

export interface LeftOutCase {
  readonly without: Without
  /** log(predicted / measured). */
  readonly logError: number
  /** Where the 90 % interval of log(measured) ends, below and above log(predicted). */
  readonly reach: Reach
}

/** A class counts as exercised by a network that spends this share of its time in it. */
const classShare = 0.25

/** Share of left-out rows that lie in their intervals. */
const coverage = 0.9

/** What can be left out. */
export type Without = "network" | "stack" | "class"

/** Scales of standard deviations: of factors, by what a prediction lacks, and of rows about right predictions. */
export interface Widening {
  readonly factors: { readonly [K in Without]: number }
  readonly networks: number
  readonly layers: number
}

/**
 * Scales of the rows left out of all devices that ship here, taken together; a group's own rows move them as far as
 * there are many.
 */
export const usualWidening: Widening = {
  factors: { network: 0.55, stack: 1.2, class: 0.55 },
  networks: 1.5,
  layers: 1.1
}

/** Rows that the usual scales weigh like. */
const priorRows = 10

interface Residual {
  readonly logError: number
  readonly about: Uncertain
  readonly whole: boolean
}

/** Whether a measured value lies in the interval of its prediction. */
export const isInside = ({ logError, reach }: Pick<LeftOutCase, "logError" | "reach">): boolean =>
  logError <= reach.down && -logError <= reach.up

const scales = Array.from({ length: 49 }, (_, step) => 0.25 * 2 ** (step / 8))

/** Scales of one kind of prediction. */
interface Scales {
  readonly factors: number
  readonly networks: number
  readonly layers: number
}

const reachBy = ({ about, whole }: Residual, { factors, layers, networks }: Scales): Reach =>
  reachOf(about, factors, whole ? networks : layers)

/** Width of a 90 % interval, and twenty times what lies outside. */
const intervalScore = (residuals: ReadonlyArray<Residual>, by: Scales): number =>
  residuals.reduce((sum, each) => {
    const { down, up } = reachBy(each, by)
    const outside = Math.max(0, each.logError - down, -each.logError - up)
    return sum + down + up + 20 * outside
  }, 0)

const insideShare = (residuals: ReadonlyArray<Residual>, by: Scales): number =>
  residuals.filter((each) => isInside({ logError: each.logError, reach: reachBy(each, by) })).length /
  residuals.length

/** Where own rows are few, the usual scale stands. */
const towards = (usual: number, own: number, rows: number): number =>
  usual * (own / usual) ** (rows / (rows + priorRows))

/** The scales of best interval score, and together so much larger or smaller that nine in ten rows hold. */
const scalesOf = (residuals: ReadonlyArray<Residual>, usual: Scales): Scales => {
  // Rows of one kind say nothing of the other's scale.
  const of = (whole: boolean, otherwise: number) =>
    residuals.some((each) => each.whole === whole) ? scales.filter((_, step) => step % 4 === 0) : [otherwise]
  let [best, least] = [usual, Infinity]
  for (const factors of scales.filter((_, step) => step % 4 === 0))
    for (const networks of of(true, usual.networks))
      for (const layers of of(false, usual.layers)) {
        const score = intervalScore(residuals, { factors, networks, layers })
        if (score < least) [best, least] = [{ factors, networks, layers }, score]
      }
  const times = (by: number): Scales => ({
    factors: best.factors * by,
    networks: best.networks * by,
    layers: best.layers * by
  })
  const enough = scales.find((by) => insideShare(residuals, times(by)) >= coverage) ?? scales.at(-1)!
  const own = times(enough)
  const rows = residuals.length
  return {
    factors: towards(usual.factors, own.factors, rows),
    networks: towards(usual.networks, own.networks, rows),
    layers: towards(usual.layers, own.layers, rows)
  }
}

/** The smallest scale of factors at which nine in ten hold, the rows' own spread being known. */
const factorScaleOf = (residuals: ReadonlyArray<Residual>, usual: number, rows: Scales): number => {
  if (residuals.length === 0) return usual
  const found = scales.find((factors) => insideShare(residuals, { ...rows, factors }) >= coverage)
  return towards(usual, found ?? scales.at(-1)!, residuals.length)
}

/** From the errors of rows left out to the scales at which nine in ten intervals hold, whatever was left out. */
export const wideningOf = (residuals: ReadonlyArray<Residual & { readonly without: Without }>): Widening => {
  const of = (without: Without) => residuals.filter((each) => each.without === without)
  const usual = usualWidening
  const flat = { factors: usual.factors.network, networks: usual.networks, layers: usual.layers }
  const network = of("network").length === 0 ? flat : scalesOf(of("network"), flat)
  const factors = (without: "stack" | "class"): number =>
    factorScaleOf(of(without), usual.factors[without], network)
  return {
    factors: { network: network.factors, stack: factors("stack"), class: factors("class") },
    networks: network.networks,
    layers: network.layers
  }
}

const classShares = (each: Case, logs: Float64Array): ReadonlyMap<string, number> => {
  const machine = build(each.profile, undefined, each.at, factorsOf(logs))
  const indices = each.flows.map((_, index) => index)
  const ms = [...Map.groupBy(indices, (index) => each.flows[index]!.class)].map(([name, own]) => {
    const flows = own.map((index) => each.flows[index]!)
    const counts = own.map((index) => each.counts[index]!)
    return [name, slopedMs(machine, flows, true, 1, counts).ms] as const
  })
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
    const beliefs = new Map<number, Belief>()
    for (const i of own) {
      const { log, stack } = problem.observations[i]!
      const belief = beliefs.get(stack) ?? rest.at(problem.stacks[stack]!, problem.usual[stack]!)
      beliefs.set(stack, belief)
      const { covariance, mean } = belief
      const { log: predicted, slopes } = problem.model(i, mean)
      const about = uncertain(slopes, (f, g) => covariance[f * slopes.length + g]!, spreads[i]! ** 2)
      left[i]!.push({ without, logError: predicted - log, about, whole: cases[i]!.whole })
    }
  }
  const widening = wideningOf(left.flat())
  const scalesBy = (without: Without): Scales => ({ ...widening, factors: widening.factors[without] })
  return {
    leftOut: left.map((each) =>
      each.map((row) => ({
        without: row.without,
        logError: row.logError,
        reach: reachBy(row, scalesBy(row.without))
      }))
    ),
    widening
  }
}

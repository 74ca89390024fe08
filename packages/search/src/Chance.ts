/**
 * Budgets that hold with a probability: P(cost ≤ limit) ≥ p, where every cost is normal with the standard
 * error its choice carries, independent of the others, and all of a quantity share one relative error (the
 * device model's own). In second-order form, with z the normal quantile of p:
 *
 *   T + z·√(V + σ²T²) ≤ limit,   T = Σ costs,  V = Σ stdErr²,  σ the shared relative error.
 *
 * The root is no sum over choices, but never below one: √V lies above its chord over the values V can take,
 * and √(a² + b²) ≥ a·sin θ + b·cos θ for every θ (for p < ½ the tangent, and the triangle inequality, do the
 * same). These sums are rows of the program, and the second-order form itself decides what is accepted.
 */
import { Normal } from "@bitbudget/numerics"
import { evaluate, valueOf, type Assignment } from "./Assignment.ts"
import { finderOf, quantityOf } from "./Dense.ts"
import type { Choice, Problem } from "./Problem.ts"
import { seeded } from "./random.ts"

export interface Chance {
  readonly budget: string
  readonly probability: number
  /** Relative error that all costs of the quantity share. */
  readonly sharedRelativeStdErr: number
}

export const chancesOf = (problem: Problem): ReadonlyArray<Chance> =>
  Object.entries(problem.chances ?? {}).flatMap(([budget, chance]) => {
    // A part of the program that leaves a budget out leaves out its chance.
    if (problem.budgets?.[budget] === undefined) return []
    return typeof chance === "number"
      ? [{ budget, probability: chance, sharedRelativeStdErr: 0 }]
      : [{ budget, probability: chance.probability, sharedRelativeStdErr: chance.sharedRelativeStdErr }]
  })

const varianceOf = (choice: Choice, name: string): number => (choice.stdErr?.[name] ?? 0) ** 2

/** Total and variance of one quantity of a plan. */
const momentsOf = (problem: Problem, name: string) => {
  const finders = problem.groups.map((group) => ({ id: group.id, find: finderOf(group) }))
  return (choice: Assignment): { readonly total: number; readonly variance: number } => ({
    total: valueOf(evaluate({ ...problem, budgets: {} }, choice), name),
    variance: finders.reduce((sum, { id, find }) => sum + varianceOf(find(choice[id]!)!, name), 0)
  })
}

/** Angles of the linear rows under a root of two squares. */
const angles = [0, 0.25, 0.5, 0.75, 1].map((share) => (share * Math.PI) / 2)

const rowName = (budget: string, n: number): string => `${budget} (chance ${n})`

/** The problem whose rows lie below the chance constraints, and the test of the constraints themselves. */
export const linearised = (
  problem: Problem
): { readonly problem: Problem; readonly accept: (choice: Assignment) => boolean } => {
  const chances = chancesOf(problem)
  const budgets = { ...problem.budgets }
  const extra = new Map<string, (choice: Choice, share: number) => number>()
  const tests = chances.map(({ budget, probability, sharedRelativeStdErr: shared }) => {
    const limit = budgets[budget]!
    const z = Normal.quantile(probability)
    const variances = problem.groups.map(({ choices }) => choices.map((choice) => varianceOf(choice, budget)))
    const low = variances.reduce((sum, row) => sum + Math.min(...row), 0)
    const high = variances.reduce((sum, row) => sum + Math.max(...row), 0)
    // A line that √V keeps above (z > 0: the chord) or below (z < 0: the tangent in the middle).
    const middle = (low + high) / 2
    const slope =
      high === low || middle === 0
        ? 0
        : z > 0
          ? (Math.sqrt(high) - Math.sqrt(low)) / (high - low)
          : 1 / (2 * Math.sqrt(middle))
    const origin = z > 0 ? Math.sqrt(low) - slope * low : Math.sqrt(middle) - slope * middle
    const lines =
      z > 0 ? angles.map((angle) => [Math.sin(angle), Math.cos(angle)] as const) : [[1, 1] as const]
    lines.forEach(([ofSpread, ofTotal], n) => {
      if ((shared === 0 && n < lines.length - 1 && z > 0) || (high === 0 && n > 0)) return
      const name = rowName(budget, n)
      extra.set(
        name,
        (choice, share) =>
          quantityOf(choice, budget) * (1 + z * ofTotal * shared) +
          z * ofSpread * (slope * varianceOf(choice, budget) + origin * share)
      )
      // A hair wider, since the lines touch what they bound.
      budgets[name] = limit + 1e-12 * Math.abs(limit)
    })
    if (z > 0) budgets[budget] = limit
    else delete budgets[budget]
    const moments = momentsOf(problem, budget)
    return (choice: Assignment): boolean => {
      const { total, variance } = moments(choice)
      return total + z * Math.sqrt(variance + (shared * total) ** 2) <= limit * (1 + 1e-12)
    }
  })
  const share = 1 / problem.groups.length
  const groups = problem.groups.map(({ id, choices }) => ({
    id,
    choices: choices.map((choice) =>
      Object.assign({}, choice, {
        costs: {
          ...choice.costs,
          ...Object.fromEntries([...extra].map(([name, of]) => [name, of(choice, share)]))
        }
      })
    )
  }))
  // A transition adds to the total, hence to every line over it.
  const transitions = (problem.transitions ?? []).map((transition) => {
    const added = chances.flatMap(({ budget, probability, sharedRelativeStdErr: shared }) => {
      const z = Normal.quantile(probability)
      const amount = transition.cost[budget] ?? 0
      const lines = z > 0 ? angles.map((angle) => Math.cos(angle)) : [1]
      return lines.flatMap((ofTotal, n) => {
        const name = rowName(budget, n)
        return extra.has(name) ? [[name, Math.max(0, amount * (1 + z * ofTotal * shared))] as const] : []
      })
    })
    return Object.assign({}, transition, { cost: { ...transition.cost, ...Object.fromEntries(added) } })
  })
  const { chances: _, ...rest } = problem
  return {
    problem: { ...rest, groups, transitions, budgets },
    accept: (choice) => tests.every((test) => test(choice))
  }
}

export interface Sampled {
  readonly budget: string
  readonly asked: number
  /** By the second-order form. */
  readonly probability: number
  /** Share of draws within the limit, with its standard error. */
  readonly sampled: number
  readonly stdErr: number
}

/** The probabilities of a plan, by formula and by drawing every cost. */
export const sample = (
  problem: Problem,
  choice: Assignment,
  { draws = 20_000, seed = 0 }: { readonly draws?: number; readonly seed?: number } = {}
): ReadonlyArray<Sampled> => {
  const random = seeded(seed, "costs")
  const finders = problem.groups.map((group) => ({ id: group.id, find: finderOf(group) }))
  return chancesOf(problem).map(({ budget, probability, sharedRelativeStdErr: shared }) => {
    const limit = problem.budgets![budget]!
    const { total, variance } = momentsOf(problem, budget)(choice)
    const deviation = Math.sqrt(variance + (shared * total) ** 2)
    const errors = finders.flatMap(({ id, find }) => {
      const error = find(choice[id]!)!.stdErr?.[budget] ?? 0
      return error === 0 ? [] : [error]
    })
    let within = 0
    for (let draw = 0; draw < draws; draw++) {
      let sum = total * (1 + shared * random.normal())
      for (const error of errors) sum += error * random.normal()
      if (sum <= limit) within++
    }
    const sampled = within / draws
    return {
      budget,
      asked: probability,
      probability: deviation === 0 ? (total <= limit ? 1 : 0) : Normal.cdf((limit - total) / deviation),
      sampled,
      stdErr: Math.sqrt((sampled * (1 - sampled)) / draws)
    }
  })
}

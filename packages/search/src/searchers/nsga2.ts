/**
 * NSGA-II (Deb et al. 2002): a population evolves towards the front of objective and budget use. Uniform
 * crossover, one mutation a child on average, binary tournaments by front and crowding distance; feasible
 * plans dominate infeasible ones.
 */
import { spaceOf, type Proposals, type Searcher } from "./Searcher.ts"

interface Member {
  readonly picks: Int32Array
  /** Objective and total use of the budgets; both fall. */
  readonly goals: readonly [number, number]
  readonly feasible: boolean
}

const dominates = (a: Member, b: Member): boolean => {
  if (a.feasible !== b.feasible) return a.feasible
  return a.goals.every((goal, k) => goal <= b.goals[k]!) && a.goals.some((goal, k) => goal < b.goals[k]!)
}

/** Members front by front. */
const fronts = (all: ReadonlyArray<Member>): ReadonlyArray<ReadonlyArray<Member>> => {
  const result: Array<ReadonlyArray<Member>> = []
  let rest = all
  while (rest.length > 0) {
    const front = rest.filter((member) => !rest.some((other) => dominates(other, member)))
    result.push(front)
    const taken = new Set(front)
    rest = rest.filter((member) => !taken.has(member))
  }
  return result
}

/** How lonely each member of a front is; its ends are infinitely so. */
const crowding = (front: ReadonlyArray<Member>): ReadonlyMap<Member, number> => {
  const distance = new Map(front.map((member) => [member, 0]))
  for (const k of [0, 1] as const) {
    const sorted = [...front].sort((a, b) => a.goals[k] - b.goals[k])
    const range = sorted.at(-1)!.goals[k] - sorted[0]!.goals[k] || 1
    sorted.forEach((member, n) => {
      const [before, after] = [sorted[n - 1], sorted[n + 1]]
      const gap =
        before === undefined || after === undefined ? Infinity : (after.goals[k] - before.goals[k]) / range
      distance.set(member, distance.get(member)! + gap)
    })
  }
  return distance
}

export const nsga2: Searcher = function* (setting) {
  const { dense, scaled, decisions, sizeOf, plan, tie, repair, draw, random } = spaceOf(setting)
  const size = Math.max(8, Math.min(60, 2 * Math.floor(Math.sqrt(setting.evaluations))))
  const rows = scaled.limits.length
  const useOf = (picks: Int32Array): number => {
    let sum = 0
    for (const i of picks) for (let k = 0; k < rows; k++) sum += scaled.costs[i * rows + k]!
    return sum
  }
  let population: Array<Member> = []
  const judged = function* (picks: Int32Array): Proposals {
    const { objective, feasible } = yield plan(picks)
    population.push({ picks, goals: [objective, useOf(picks)], feasible })
  }
  while (population.length < size) yield* judged(repair(draw()))
  for (;;) {
    const rank = new Map<Member, number>()
    const lonely = new Map<Member, number>()
    fronts(population).forEach((front, n) => {
      for (const member of front) rank.set(member, n)
      for (const [member, distance] of crowding(front)) lonely.set(member, distance)
    })
    const better = (a: Member, b: Member): number =>
      rank.get(a)! - rank.get(b)! || lonely.get(b)! - lonely.get(a)!
    population.sort(better)
    population = population.slice(0, size)
    const parents = [...population]
    const tournament = (): Member => {
      const [a, b] = [parents[random.below(parents.length)]!, parents[random.below(parents.length)]!]
      return better(a, b) <= 0 ? a : b
    }
    for (let child = 0; child < size; child++) {
      const [mother, father] = [tournament(), tournament()]
      const picks = mother.picks.map((i, d) => (random.uniform() < 0.5 ? i : father.picks[d]!))
      for (const d of decisions)
        if (random.uniform() < 1 / decisions.length) picks[d] = dense.starts[d]! + random.below(sizeOf(d))
      yield* judged(random.uniform() < 0.5 ? repair(picks) : tie(picks))
    }
  }
}

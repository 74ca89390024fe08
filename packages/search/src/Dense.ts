/**
 * A problem as solvers see it: decisions instead of tied groups, numbers in Float64Arrays, budgets as rows.
 *
 * Groups tied by id become one decision over their common choices, losses and costs summed. A tie on an
 * attribute becomes a hub: a decision without groups or costs over the attribute's values, to which the
 * members are linked by edges that forbid any other value. Given the hub the members are separable, so no
 * choices are multiplied out. A fixed group leaves its decision one choice. A transition inside a decision,
 * or towards a decision with one choice left, is an ordinary cost of the other end's choices; the rest stay
 * as edges, and one that compares what a hub decides hangs on the hub.
 */
import { attributeOf, type Attribute } from "./Attribute.ts"
import type { Assignment } from "./Assignment.ts"
import { exactSum } from "@bitbudget/numerics"
import { weightsOf } from "./Objective.ts"
import { attributeTies, commonChoices, tiedSets, type Choice, type Group, type Problem } from "./Problem.ts"

export interface Dense {
  /** Group ids that share decision d; none for a hub. */
  readonly members: ReadonlyArray<ReadonlyArray<string>>
  /** Decision d has choices `starts[d] .. starts[d+1]`. */
  readonly starts: Int32Array
  /** Of a hub: its values, as text. */
  readonly choiceIds: ReadonlyArray<string>
  /** What each choice adds to the minimised quantity. */
  readonly objective: Float64Array
  /** Budgeted quantities, each row one budget. */
  readonly rows: ReadonlyArray<string>
  readonly limits: Float64Array
  /** `costs[i * rows.length + k]`: what choice i adds to row k. */
  readonly costs: Float64Array
  readonly edges: ReadonlyArray<Edge>
  /** Losses of two decisions together. */
  readonly pairs: ReadonlyArray<Pair>
  /** What the objective takes of the pairs' loss. */
  readonly pairWeight: number
  /** Index of each choice before any was dropped. */
  readonly origin: Int32Array
}

export interface Pair {
  readonly a: number
  readonly b: number
  /** `losses[i * choices of b + j]` */
  readonly losses: Float64Array
}

/** Paid when the two decisions' choices carry different labels; forbidden then, if `hard`. */
export interface Edge {
  readonly a: number
  /** Of a hard edge the hub. */
  readonly b: number
  readonly hard: boolean
  /** Label of each choice of a (of b), in the order of the decision's choices; equal numbers agree. */
  readonly labelsA: Int32Array
  readonly labelsB: Int32Array
  readonly objective: number
  readonly costs: Float64Array
}

/** A group's choice by its id. */
export type Finder = (id: string) => Choice | undefined

/** Up to so many choices are looked through rather than indexed. */
const fewChoices = 24

export const finderOf = ({ choices }: Group): Finder => {
  if (choices.length <= fewChoices) return (id) => choices.find((choice) => choice.id === id)
  const byId = new Map(choices.map((choice) => [choice.id, choice]))
  return (id) => byId.get(id)
}

export const quantityOf = (choice: Choice, name: string): number =>
  name === "loss" ? choice.loss : Object.hasOwn(choice.costs, name) ? choice.costs[name]! : 0

/** One end of an edge: a decision and the attribute value of each of its choices. */
interface End {
  readonly d: number
  readonly values: ReadonlyArray<Attribute | undefined>
}

/** Numbers for the values of both ends, equal where they agree. */
const labelsOf = (a: End, b: End): readonly [Int32Array, Int32Array] => {
  const numbers = new Map<Attribute | undefined, number>()
  const number = (value: Attribute | undefined): number => {
    if (!numbers.has(value)) numbers.set(value, numbers.size)
    return numbers.get(value)!
  }
  return [Int32Array.from(a.values, number), Int32Array.from(b.values, number)]
}

/** Edges between the same ends that pay on the same labels are one. */
const merged = (edges: ReadonlyArray<Edge>): ReadonlyArray<Edge> => {
  const byEnds = new Map<string, Edge>()
  for (const edge of edges) {
    const key = [edge.a, edge.b, edge.hard, edge.labelsA.join(), edge.labelsB.join()].join("|")
    const same = byEnds.get(key)
    byEnds.set(
      key,
      same === undefined
        ? edge
        : {
            ...edge,
            objective: edge.objective + same.objective,
            costs: edge.costs.map((cost, k) => cost + same.costs[k]!)
          }
    )
  }
  return [...byEnds.values()]
}

export const compile = (problem: Problem): Dense => {
  const weights = weightsOf(problem)
  const rows = Object.keys(problem.budgets ?? {})
  const fixed = problem.fixed ?? {}
  const sets = tiedSets(problem)
  const finders = new Map<string, Finder>()
  for (const group of problem.groups) finders.set(group.id, finderOf(group))
  const decisionOf = new Map(sets.flatMap((set, d) => set.map((group) => [group.id, d] as const)))
  const valueOf = (group: string, id: string, attribute: string): Attribute | undefined =>
    attributeOf(finders.get(group)!(id)!, attribute)

  const ties = attributeTies(problem)
  const offered: Array<ReadonlyArray<string>> = sets.map((set) => {
    const lock = set.find(({ id }) => Object.hasOwn(fixed, id))
    return lock === undefined ? commonChoices(set) : [fixed[lock.id]!]
  })
  // Two members of one tie in one decision must agree with each other already.
  for (const { same, groups } of ties) {
    const first = new Map<number, string>()
    for (const { id } of groups) {
      const d = decisionOf.get(id)!
      const other = first.get(d)
      if (other === undefined) first.set(d, id)
      else offered[d] = offered[d]!.filter((c) => valueOf(id, c, same) === valueOf(other, c, same))
    }
  }
  const hubs = ties.map(({ same, groups }, t) => {
    const values = new Set(
      groups.flatMap(({ id }) => offered[decisionOf.get(id)!]!.map((c) => valueOf(id, c, same)))
    )
    return { d: sets.length + t, same, values: [...values], groups: new Set(groups.map(({ id }) => id)) }
  })

  const decisions = sets.length + hubs.length
  const starts = new Int32Array(decisions + 1)
  offered.forEach((ids, d) => (starts[d + 1] = starts[d]! + ids.length))
  for (const { d, values } of hubs) starts[d + 1] = starts[d]! + values.length
  const total = starts[decisions]!
  const objective = new Float64Array(total)
  const costs = new Float64Array(total * rows.length)
  sets.forEach((set, d) => {
    const all = set.length === 1 && offered[d]!.length === set[0]!.choices.length ? set[0]!.choices : null
    offered[d]!.forEach((id, c) => {
      const i = starts[d]! + c
      const chosen = all === null ? set.map((group) => finders.get(group.id)!(id)!) : [all[c]!]
      const [only] = chosen
      const sum = (name: string): number =>
        chosen.length === 1
          ? quantityOf(only!, name)
          : exactSum(chosen.map((choice) => quantityOf(choice, name)))
      objective[i] =
        weights.length === 1 && weights[0]![1] === 1
          ? sum(weights[0]![0])
          : exactSum(chosen.flatMap((choice) => weights.map(([name, w]) => w * quantityOf(choice, name))))
      rows.forEach((name, k) => (costs[i * rows.length + k] = sum(name)))
    })
  })

  const nothing = new Float64Array(rows.length)
  const edges: Array<Edge> = []
  const endOf = (group: string, attribute: string): End => {
    const hub = hubs.find(({ same, groups }) => same === attribute && groups.has(group))
    if (hub !== undefined) return hub
    const d = decisionOf.get(group)!
    return { d, values: offered[d]!.map((id) => valueOf(group, id, attribute)) }
  }
  for (const hub of hubs) {
    const linked = new Set<number>()
    for (const id of hub.groups) {
      const d = decisionOf.get(id)!
      if (linked.has(d)) continue
      linked.add(d)
      const end = { d, values: offered[d]!.map((c) => valueOf(id, c, hub.same)) }
      const [labelsA, labelsB] = labelsOf(end, hub)
      edges.push({ a: d, b: hub.d, hard: true, labelsA, labelsB, objective: 0, costs: nothing })
    }
  }
  for (const { from, to, cost, whenDifferent } of problem.transitions ?? []) {
    const amount = (name: string): number => (Object.hasOwn(cost, name) ? cost[name]! : 0)
    const addObjective = exactSum(weights.map(([name, weight]) => weight * amount(name)))
    const addCosts = Float64Array.from(rows, amount)
    const [a, b] = [endOf(from, whenDifferent), endOf(to, whenDifferent)].sort((x, y) => x.d - y.d) as [
      End,
      End
    ]
    const [labelsA, labelsB] = labelsOf(a, b)
    const addTo = (d: number, pays: (choice: number) => boolean): void => {
      for (let i = starts[d]!; i < starts[d + 1]!; i++) {
        if (!pays(i - starts[d]!)) continue
        objective[i]! += addObjective
        addCosts.forEach((extra, k) => (costs[i * rows.length + k]! += extra))
      }
    }
    if (a.d === b.d) addTo(a.d, (c) => labelsA[c] !== labelsB[c])
    else if (labelsA.length === 1) addTo(b.d, (c) => labelsB[c] !== labelsA[0])
    else if (labelsB.length === 1) addTo(a.d, (c) => labelsA[c] !== labelsB[0])
    else
      edges.push({ a: a.d, b: b.d, hard: false, labelsA, labelsB, objective: addObjective, costs: addCosts })
  }
  const pairs = new Map<string, Pair>()
  const indexOf = new Map(
    (problem.interactions ?? []).flatMap(({ between }) =>
      between.map((id) => {
        const { choices } = problem.groups.find((group) => group.id === id)!
        return [id, new Map(choices.map((choice, c) => [choice.id, c]))] as const
      })
    )
  )
  const lossWeight = weights.find(([name]) => name === "loss")?.[1] ?? 0
  const lossRow = rows.indexOf("loss")
  for (const { between, loss } of problem.interactions ?? []) {
    const [x, y] = between
    const [dx, dy] = [decisionOf.get(x)!, decisionOf.get(y)!]
    const lossOf = (cx: string, cy: string): number =>
      loss[indexOf.get(x)!.get(cx)!]![indexOf.get(y)!.get(cy)!]!
    if (dx === dy) {
      offered[dx]!.forEach((id, c) => {
        const i = starts[dx]! + c
        objective[i]! += lossWeight * lossOf(id, id)
        if (lossRow >= 0) costs[i * rows.length + lossRow]! += lossOf(id, id)
      })
      continue
    }
    const [a, b] = dx < dy ? [dx, dy] : [dy, dx]
    const losses = Float64Array.from(
      offered[a]!.flatMap((ca) => offered[b]!.map((cb) => (dx < dy ? lossOf(ca, cb) : lossOf(cb, ca))))
    )
    const key = `${a} ${b}`
    const before = pairs.get(key)
    pairs.set(key, {
      a,
      b,
      losses: before === undefined ? losses : losses.map((v, i) => v + before.losses[i]!)
    })
  }
  return {
    pairs: [...pairs.values()],
    pairWeight: lossWeight,
    origin: Int32Array.from({ length: total }, (_, i) => i),
    members: [...sets.map((set) => set.map((group) => group.id)), ...hubs.map(() => [])],
    starts,
    choiceIds: [...offered, ...hubs.map(({ values }) => values.map(String))].flat(),
    objective,
    rows,
    limits: Float64Array.from(rows, (name) => problem.budgets![name]!),
    costs,
    edges: merged(edges)
  }
}

/** The assignment of groups that picks choice `picks[d]` (an index into `choiceIds`) for decision d. */
export const expand = (dense: Dense, picks: ArrayLike<number>): Assignment =>
  Object.fromEntries(dense.members.flatMap((ids, d) => ids.map((id) => [id, dense.choiceIds[picks[d]!]!])))

/** The picks an assignment stands for; null if it is none the decisions allow. */
export const picksOf = (dense: Dense, assignment: Assignment): Int32Array | null => {
  const { members, starts, choiceIds, edges } = dense
  const picks = new Int32Array(members.length)
  const find = (d: number, matches: (i: number) => boolean): boolean => {
    for (let i = starts[d]!; i < starts[d + 1]!; i++) {
      if (!matches(i)) continue
      picks[d] = i
      return true
    }
    return false
  }
  for (const [d, ids] of members.entries())
    if (ids.length > 0 && !find(d, (i) => ids.every((id) => assignment[id] === choiceIds[i]))) return null
  for (const { a, b, hard, labelsA, labelsB } of edges) {
    if (!hard || members[b]!.length > 0) continue
    const label = labelsA[picks[a]! - starts[a]!]
    if (!find(b, (i) => labelsB[i - starts[b]!] === label)) return null
  }
  const agrees = edges.every(
    ({ a, b, hard, labelsA, labelsB }) =>
      !hard || labelsA[picks[a]! - starts[a]!] === labelsB[picks[b]! - starts[b]!]
  )
  return agrees ? picks : null
}

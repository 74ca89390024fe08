/**
 * A problem as solvers see it: decisions instead of tied groups, numbers in Float64Arrays, budgets as rows.
 *
 * Tied groups become one decision over their common choices, losses and costs summed. A fixed group leaves
 * its decision one choice. A transition inside a decision, or towards a decision with one choice left, is
 * an ordinary cost of the other end's choices; the rest stay as edges.
 */
import { attributeOf, type Attribute } from "./Attribute.ts"
import type { Assignment } from "./Assignment.ts"
import { exactSum } from "@bitbudget/numerics"
import { commonChoices, tiedSets, type Group, type Problem } from "./Problem.ts"

export interface Dense {
  /** Group ids that share decision d. */
  readonly members: ReadonlyArray<ReadonlyArray<string>>
  /** Decision d has choices `starts[d] .. starts[d+1]`. */
  readonly starts: Int32Array
  readonly choiceIds: ReadonlyArray<string>
  /** What each choice adds to the minimised quantity. */
  readonly objective: Float64Array
  /** Budgeted quantities, each row one budget. */
  readonly rows: ReadonlyArray<string>
  readonly limits: Float64Array
  /** `costs[i * rows.length + k]`: what choice i adds to row k. */
  readonly costs: Float64Array
  readonly edges: ReadonlyArray<Edge>
}

/** Paid when the two decisions' choices carry different labels. */
export interface Edge {
  readonly a: number
  readonly b: number
  /** Label of each choice of a (of b), in the order of the decision's choices; equal numbers agree. */
  readonly labelsA: Int32Array
  readonly labelsB: Int32Array
  readonly objective: number
  readonly costs: Float64Array
}

const choiceOf = (group: Group, id: string) => group.choices.find((choice) => choice.id === id)!

export const compile = (problem: Problem): Dense => {
  const minimise = problem.minimise ?? "loss"
  const rows = Object.keys(problem.budgets ?? {})
  const valueOf = (group: Group, id: string, name: string): number => {
    const choice = choiceOf(group, id)
    return name === "loss" ? choice.loss : Object.hasOwn(choice.costs, name) ? choice.costs[name]! : 0
  }
  const sets = tiedSets(problem)
  const offered = sets.map((set) => {
    const fixed = set.find(({ id }) => Object.hasOwn(problem.fixed ?? {}, id))
    return fixed === undefined ? commonChoices(set) : [problem.fixed![fixed.id]!]
  })
  const starts = new Int32Array(sets.length + 1)
  offered.forEach((ids, d) => (starts[d + 1] = starts[d]! + ids.length))
  const total = starts[sets.length]!
  const objective = new Float64Array(total)
  const costs = new Float64Array(total * rows.length)
  sets.forEach((set, d) =>
    offered[d]!.forEach((id, c) => {
      const i = starts[d]! + c
      objective[i] = exactSum(set.map((group) => valueOf(group, id, minimise)))
      rows.forEach((name, k) => {
        costs[i * rows.length + k] = exactSum(set.map((group) => valueOf(group, id, name)))
      })
    })
  )

  const decisionOf = new Map(sets.flatMap((set, d) => set.map((group) => [group.id, { d, group }] as const)))
  const edges: Array<Edge> = []
  for (const { from, to, cost, whenDifferent } of problem.transitions ?? []) {
    const addObjective = Object.hasOwn(cost, minimise) ? cost[minimise]! : 0
    const addCosts = Float64Array.from(rows, (name) => (Object.hasOwn(cost, name) ? cost[name]! : 0))
    const a = decisionOf.get(from)!
    const b = decisionOf.get(to)!
    const labels = new Map<Attribute | undefined, number>()
    const labelsOf = ({ d, group }: typeof a): Int32Array =>
      Int32Array.from(offered[d]!, (id) => {
        const attribute = attributeOf(choiceOf(group, id), whenDifferent)
        if (!labels.has(attribute)) labels.set(attribute, labels.size)
        return labels.get(attribute)!
      })
    const labelsA = labelsOf(a)
    const labelsB = labelsOf(b)
    const addTo = (d: number, pays: (choice: number) => boolean): void => {
      for (let c = 0; c < offered[d]!.length; c++) {
        if (!pays(c)) continue
        const i = starts[d]! + c
        objective[i]! += addObjective
        addCosts.forEach((amount, k) => (costs[i * rows.length + k]! += amount))
      }
    }
    if (a.d === b.d) addTo(a.d, (c) => labelsA[c] !== labelsB[c])
    else if (labelsA.length === 1) addTo(b.d, (c) => labelsB[c] !== labelsA[0])
    else if (labelsB.length === 1) addTo(a.d, (c) => labelsA[c] !== labelsB[0])
    else edges.push({ a: a.d, b: b.d, labelsA, labelsB, objective: addObjective, costs: addCosts })
  }
  return {
    members: sets.map((set) => set.map((group) => group.id)),
    starts,
    choiceIds: offered.flat(),
    objective,
    rows,
    limits: Float64Array.from(rows, (name) => problem.budgets![name]!),
    costs,
    edges
  }
}

/** The assignment of groups that picks choice `picks[d]` (an index into `choiceIds`) for decision d. */
export const expand = (dense: Dense, picks: ArrayLike<number>): Assignment =>
  Object.fromEntries(dense.members.flatMap((ids, d) => ids.map((id) => [id, dense.choiceIds[picks[d]!]!])))

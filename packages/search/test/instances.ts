/** Small random problems of every kind, and what trying every assignment says about them. */
import * as fc from "fast-check"
import { attributeOf } from "../src/Attribute.ts"
import { Assignment, type Problem } from "../src/index.ts"

type P = Problem.Problem

/** Every assignment that respects ties and fixed choices. */
export function* assignments(problem: P, from = 0): Generator<{ [group: string]: string }> {
  const next = problem.groups[from]
  if (next === undefined) {
    yield {}
    return
  }
  for (const rest of assignments(problem, from + 1)) {
    for (const { id } of next.choices) {
      if ((problem.fixed?.[next.id] ?? id) !== id) continue
      const broken = problem.ties?.some((tie) => {
        const ids = "same" in tie ? tie.groups : tie
        const value = (choice: string) => ("same" in tie ? attributeOf({ id: choice }, tie.same) : choice)
        return (
          ids.includes(next.id) &&
          ids.some((other) => rest[other] !== undefined && value(rest[other]) !== value(id))
        )
      })
      if (broken === true) continue
      yield { ...rest, [next.id]: id }
    }
  }
}

/** The least objective within the budgets that is accepted; null if there is none. */
export const bruteForce = (
  problem: P,
  accept: (assignment: Assignment.Assignment) => boolean = () => true
): number | null => {
  let best: number | null = null
  for (const assignment of assignments(problem)) {
    const evaluation = Assignment.evaluate(problem, assignment)
    if (!evaluation.feasible || !accept(assignment)) continue
    const objective = Assignment.objectiveOf(problem, evaluation)
    if (best === null || objective < best) best = objective
  }
  return best
}

const formats = ["w2a8", "w4a4", "w4a8", "w8a8"]

/** Few distinct values, so that equal losses and exactly met budgets are common. */
const coarse = fc.integer({ min: 0, max: 6 })
/** Ten decades. */
const fine = fc
  .tuple(fc.double({ min: 0.1, max: 1, noNaN: true }), fc.integer({ min: -5, max: 5 }))
  .map(([m, e]) => m * 10 ** e)

interface Kind {
  readonly maxGroups: number
  readonly transitions: boolean
  /** Ties on an attribute as well. */
  readonly agreements?: boolean
  /** Losses of pairs of groups as well, of either sign. */
  readonly interactions?: boolean
}

/** Ties, fixed choices, up to three budgets from hopeless to slack, optionally transitions and other objectives. */
export const problems = ({
  maxGroups,
  transitions,
  agreements = false,
  interactions = false
}: Kind): fc.Arbitrary<P> =>
  fc
    .record({
      sizes: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: maxGroups }),
      names: fc.constantFrom(
        ["latencyMs"],
        ["latencyMs", "sizeBytes"],
        ["latencyMs", "sizeBytes", "energyPj"]
      ),
      number: fc.constantFrom(coarse, fine)
    })
    .chain(({ sizes, names, number }) => {
      const id = fc.nat(sizes.length - 1).map((g) => `g${g}`)
      return fc.record({
        groups: fc.tuple(
          ...sizes.map((size, g) =>
            fc
              .tuple(
                ...formats.slice(0, size).map((format) =>
                  fc.tuple(number, ...names.map(() => number)).map(([loss, ...costs]) => ({
                    id: format,
                    loss: loss!,
                    costs: Object.fromEntries(names.map((name, k) => [name, costs[k]!]))
                  }))
                )
              )
              .map((choices) => ({ id: `g${g}`, choices }))
          )
        ),
        pairs: fc.array(
          fc.tuple(id, id, fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 16, maxLength: 16 })),
          { maxLength: interactions ? 8 : 0 }
        ),
        agreement: !agreements
          ? fc.constant(undefined)
          : fc.option(
              fc.record({
                groups: fc.uniqueArray(id, { minLength: 1, maxLength: 4 }),
                same: fc.constantFrom("weights", "activations", "weightBits")
              }),
              { nil: undefined, freq: 3 }
            ),
        tie: fc.option(fc.tuple(id, id), { nil: undefined, freq: 2 }),
        fixed: fc.option(id, { nil: undefined, freq: 2 }),
        tightness: fc.tuple(
          ...names.map(() => fc.integer({ min: 0, max: 110 }).map((percent) => percent / 100))
        ),
        budgeted: fc.subarray([...names, "loss"]),
        minimise: fc.constantFrom("loss", "loss", ...names),
        transitions: transitions
          ? fc.array(
              fc.record({
                from: id,
                to: id,
                cost: fc.tuple(number, number).map(([a, b]) => ({ [names[0]!]: a, loss: b })),
                whenDifferent: fc.constantFrom("weightBits", "activationBits", "activations")
              }),
              { maxLength: 8 }
            )
          : fc.constant([])
      })
    })
    .map(
      ({ groups: list, tie, agreement, pairs, fixed, tightness, budgeted, minimise, transitions: hops }) => {
        const within = (name: string, share: number): number => {
          const values = list.map(({ choices }) =>
            choices.map((c) => (name === "loss" ? c.loss : c.costs[name]!))
          )
          const low = values.reduce((sum, v) => sum + Math.min(...v), 0)
          const high = values.reduce((sum, v) => sum + Math.max(...v), 0)
          return low + (high - low) * share
        }
        const sizeOf = (id: string) => list.find((group) => group.id === id)!.choices
        return {
          groups: list,
          ties: [...(tie === undefined ? [] : [tie]), ...(agreement === undefined ? [] : [agreement])],
          // The first choice of every group has the same id, so it is always open to a tied group.
          fixed: fixed === undefined ? {} : { [fixed]: formats[0]! },
          budgets: Object.fromEntries(budgeted.map((name, k) => [name, within(name, tightness[k] ?? 0.5)])),
          transitions: hops,
          interactions: pairs
            .filter(([a, b]) => a !== b)
            .map(([a, b, values]) => ({
              between: [a, b] as const,
              loss: sizeOf(a).map((_, i) => sizeOf(b).map((__, j) => values[4 * i + j]!))
            })),
          minimise
        }
      }
    )

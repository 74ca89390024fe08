/**
 * What is minimised: one quantity ("loss" unless told), a weighted sum of several, or several in order.
 *
 * `minimise: "latencyMs"` · `minimise: { loss: 1, energyMj: 0.02 }` · `minimise: ["loss", "sizeBytes"]`:
 * of a list, a later quantity only decides among the optima of those before it (`Lexicographic`); a single
 * program sees the first.
 */
import type { Problem } from "./Problem.ts"

/** The quantities one program adds up, each with its weight. */
export const weightsOf = ({
  minimise = "loss"
}: Pick<Problem, "minimise">): ReadonlyArray<readonly [name: string, weight: number]> => {
  if (typeof minimise === "string") return [[minimise, 1]]
  return isOrder(minimise) ? [[minimise[0] ?? "loss", 1]] : Object.entries(minimise)
}

/** The quantities in order, where the problem gives an order of several. */
export const orderOf = ({ minimise }: Pick<Problem, "minimise">): ReadonlyArray<string> =>
  minimise !== undefined && typeof minimise !== "string" && isOrder(minimise) ? minimise : []

const isOrder = (
  minimise: Exclude<Problem["minimise"], string | undefined>
): minimise is ReadonlyArray<string> => Array.isArray(minimise)

/** For people: "loss", "loss + 0.02·energyMj", "loss, then sizeBytes". */
export const nameOf = (problem: Pick<Problem, "minimise">): string => {
  const order = orderOf(problem)
  if (order.length > 0) return order.join(", then ")
  return weightsOf(problem)
    .map(([name, weight]) => (weight === 1 ? name : `${weight}·${name}`))
    .join(" + ")
}

/** The name under which a weighted sum can be budgeted. */
const sumName = "weighted sum"

/** The same problem with what is minimised as one quantity, so that it can be limited too. */
export const asQuantity = (
  problem: Problem
): { readonly problem: Problem & { readonly minimise: string }; readonly name: string } => {
  const weights = weightsOf(problem)
  const [only] = weights
  if (weights.length === 1 && only![1] === 1)
    return { problem: { ...problem, minimise: only![0] }, name: only![0] }
  const sum = (amount: (name: string) => number): number =>
    weights.reduce((total, [name, weight]) => total + weight * amount(name), 0)
  const groups = problem.groups.map(({ id, choices }) => ({
    id,
    choices: choices.map((choice) =>
      Object.assign({}, choice, {
        costs: {
          ...choice.costs,
          [sumName]: sum((name) => (name === "loss" ? choice.loss : (choice.costs[name] ?? 0)))
        }
      })
    )
  }))
  const transitions = (problem.transitions ?? []).map((transition) =>
    Object.assign({}, transition, {
      cost: { ...transition.cost, [sumName]: sum((name) => transition.cost[name] ?? 0) }
    })
  )
  return { problem: { ...problem, groups, transitions, minimise: sumName }, name: sumName }
}

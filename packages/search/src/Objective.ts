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

/**
 * Products of integers, exact, by kernels of float32: sums below 2²⁴ have no rounding there. Where a sum could be larger,
 * the activation's steps are cut into digits to base 16, and the digits' products are put together as 64-bit integers.
 */
import { type GraphBuilder, Tensor } from "@bitbudget/graph"
import { blockIndex } from "../weights/Blocks.ts"
import type { WeightShape } from "../weights/WeightKind.ts"

/** The least integer whose successor float32 does not have. */
const EXACT = 2 ** 24

const BASE = 16

/** Largest sum that a channel's product can come to: Σ|w| of the channel with the most × the largest |step|. */
export const largestSum = (absolutes: ReadonlyArray<number>, mostSteps: number): number =>
  absolutes.reduce((most, sum) => Math.max(most, sum), 0) * mostSteps

/** Whether the product can be had exactly. */
export const isExact = (absolutes: ReadonlyArray<number>): boolean => largestSum(absolutes, BASE - 1) < EXACT

/**
 * Adds the product of integer steps, given as float32, and returns the name of its int64 value. `multiply` adds the
 * layer's node on a float32 operand; `mostSteps` bounds |step|. The caller has asked `isExact`.
 */
export const addExactProduct = (
  builder: GraphBuilder,
  steps: string,
  mostSteps: number,
  absolutes: ReadonlyArray<number>,
  multiply: (operand: string, name: string) => string,
  name: string
): string => {
  const product = (operand: string, digit: string): string =>
    builder.add(
      "Cast",
      [multiply(operand, `${name}/${digit}`)],
      { to: "int64" },
      { name: `${name}/${digit}/sums` }
    )
  if (largestSum(absolutes, mostSteps) < EXACT) return product(steps, "product")
  const base = builder.constant(Tensor.scalar("float32", BASE), `${name}/base`)
  const shifted = builder.add("Div", [steps, base], {}, { name: `${name}/shifted` })
  const high = builder.add("Floor", [shifted], {}, { name: `${name}/high` })
  const whole = builder.add("Mul", [high, base], {}, { name: `${name}/whole` })
  const low = builder.add("Sub", [steps, whole], {}, { name: `${name}/low` })
  const above = addExactProduct(
    builder,
    high,
    Math.ceil(mostSteps / BASE),
    absolutes,
    multiply,
    `${name}/above`
  )
  const factor = builder.constant(Tensor.int64([], [BASE]), `${name}/factor`)
  const weighed = builder.add("Mul", [above, factor], {}, { name: `${name}/weighed` })
  return builder.add("Add", [weighed, product(low, "digit")], {}, { name: `${name}/together` })
}

/** Σ|w| by output channel. */
export const absoluteSums = (steps: ArrayLike<number>, of: WeightShape): ReadonlyArray<number> => {
  const channelOf = blockIndex(of, "channel")
  const sums = Array.from({ length: of.shape[of.axis]! }, () => 0)
  for (let i = 0; i < steps.length; i++) sums[channelOf(i)]! += Math.abs(steps[i]!)
  return sums
}

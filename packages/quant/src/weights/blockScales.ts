/**
 * Scales of blocks in half precision: one for 16 or 32 values in 32 bits would weigh as much as another bit or two a value.
 * They are rounded before codes are chosen, and upwards, so that a block's largest value stays within its codes; files keep
 * float16 and widen it once, when they are loaded. Scales of channels are few and stay float32, which integer kernels want.
 */
import type { GraphBuilder } from "@bitbudget/graph"
import type { Scale } from "../format/WeightFormat.ts"
import { stored } from "./integer/stored.ts"

const LARGEST = 65504
/** The least half above 0, and the step of those below `NORMAL`. */
const LEAST = 2 ** -24
const NORMAL = 2 ** -14

/** Whether scales of a format are kept in half precision: 16-bit codes would run over by its rounding. */
export const isHalf = (scale: Scale, bits: number): boolean => typeof scale === "object" && bits <= 8

export const scaleBytes = (scale: Scale, bits: number): number => (isHalf(scale, bits) ? 2 : 4)

/** The nearest half that is no smaller in magnitude; the largest there is beyond it. */
export const halfUp = (x: number): number => {
  const size = Math.abs(x)
  if (size === 0) return x
  const rounded = Math.f16round(Math.min(size, LARGEST))
  if (rounded >= size || rounded === LARGEST) return Math.sign(x) * rounded
  const step = size < NORMAL ? LEAST : 2 ** (Math.floor(Math.log2(rounded)) - 10)
  return Math.sign(x) * Math.min(LARGEST, rounded + step)
}

/** Scales as they are kept. */
export const kept = (scales: Float32Array, scale: Scale, bits: number): Float32Array =>
  isHalf(scale, bits) ? scales.map(halfUp) : scales

/** Adds the scales and returns the name of their float32 value. */
export const emitScales = (
  builder: GraphBuilder,
  name: string,
  shape: ReadonlyArray<number>,
  scales: Float32Array,
  scale: Scale,
  bits: number
): string => {
  if (!isHalf(scale, bits)) return builder.constant(stored("float32", shape, scales), `${name}/scale`)
  const half = builder.constant(stored("float16", shape, scales), `${name}/half_scale`)
  return builder.add("Cast", [half], { to: "float32" }, { name: `${name}/scale` })
}

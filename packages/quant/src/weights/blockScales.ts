/**
 * Scales of blocks in half precision: one for 16 or 32 values in 32 bits would weigh as much as another bit or two a value.
 * They are rounded before codes are chosen; up to 8 bits that moves the end of a range by an eighth of a step at most. Files
 * keep float16 and widen it once, when they are loaded. Scales of channels are few and stay float32, which integer kernels want.
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

/** The nearest half. Below the normal ones, where the next may be half as large, the next above; at most the largest. */
export const toHalf = (x: number): number => {
  const size = Math.min(LARGEST, Math.abs(x))
  const nearest = Math.f16round(size)
  return Math.sign(x) * (size < NORMAL && nearest < size ? nearest + LEAST : nearest)
}

/** What a scale becomes in a format. */
export const keeper = (scale: Scale, bits: number): ((of: number) => number) =>
  isHalf(scale, bits) ? toHalf : Math.fround

/** Scales as they are kept. */
export const kept = (scales: Float32Array, scale: Scale, bits: number): Float32Array =>
  isHalf(scale, bits) ? scales.map(toHalf) : scales

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

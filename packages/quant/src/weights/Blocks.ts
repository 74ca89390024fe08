/**
 * Which values share a scale: the whole tensor, an output channel, or a block of values along a channel's reduction.
 *
 * Blocks are numbered channel by channel, and along the reduction within a channel. A block size that does not divide
 * the reduction leaves a shorter block at its end.
 */
import { Dim } from "@bitbudget/graph"
import type { Scale } from "../format/WeightFormat.ts"
import type { WeightShape } from "./WeightKind.ts"

export interface BlockSizes {
  readonly channels: number
  /** Values of a channel. */
  readonly reduction: number
  /** Values of a block. */
  readonly block: number
  /** Blocks of a channel. */
  readonly blocks: number
}

export const blockSizes = ({ shape, axis }: WeightShape, scale: Scale): BlockSizes => {
  const channels = scale === "tensor" ? 1 : shape[axis]!
  const reduction = Dim.elements(shape) / Math.max(1, channels)
  const block = typeof scale === "object" ? Math.min(scale.block, reduction) : reduction
  return { channels, reduction, block, blocks: reduction === 0 ? 0 : Math.ceil(reduction / block) }
}

/** Number of scales. */
export const blockCount = (of: WeightShape, scale: Scale): number => {
  const { channels, blocks } = blockSizes(of, scale)
  return channels * blocks
}

/** The block of every value, by its position in row-major order. */
export const blockIndex = (of: WeightShape, scale: Scale): ((i: number) => number) => {
  if (scale === "tensor") return () => 0
  const { shape, axis } = of
  const inner = Dim.elements(shape.slice(axis + 1))
  const channels = shape[axis]!
  const channel = (i: number) => Math.floor(i / inner) % channels
  if (scale === "channel") return channel
  const { block, blocks } = blockSizes(of, scale)
  // Position along the reduction: all axes but the channels', in row-major order.
  const along = (i: number) => Math.floor(i / (inner * channels)) * inner + (i % inner)
  return (i) => channel(i) * blocks + Math.floor(along(i) / block)
}

/** Positions of the values of every block, in order. */
export const blockMembers = (of: WeightShape, scale: Scale): ReadonlyArray<Uint32Array> => {
  const count = Dim.elements(of.shape)
  const indexOf = blockIndex(of, scale)
  const sizes = new Uint32Array(blockCount(of, scale))
  for (let i = 0; i < count; i++) sizes[indexOf(i)]!++
  const members = Array.from(sizes, (size) => new Uint32Array(size))
  sizes.fill(0)
  for (let i = 0; i < count; i++) {
    const block = indexOf(i)
    members[block]![sizes[block]!++] = i
  }
  return members
}

/** The least and the largest value of every block, 0 among them. */
export const blockExtents = (
  data: ArrayLike<number>,
  of: WeightShape,
  scale: Scale
): ReadonlyArray<{ readonly low: number; readonly high: number }> => {
  const indexOf = blockIndex(of, scale)
  const count = blockCount(of, scale)
  const [lows, highs] = [new Float64Array(count), new Float64Array(count)]
  for (let i = 0; i < data.length; i++) {
    const [x, block] = [data[i]!, indexOf(i)]
    if (x < lows[block]!) lows[block] = x
    else if (x > highs[block]!) highs[block] = x
  }
  return Array.from(lows, (low, block) => ({ low, high: highs[block]! }))
}

/** Values in rows of channels, whatever axis the channels are. */
export const channelsFirst = <A extends Int16Array | Uint16Array | Uint8Array | Float32Array>(
  values: A,
  { shape, axis }: WeightShape
): A => {
  if (axis === 0 || values.length === 0) return values
  const inner = Dim.elements(shape.slice(axis + 1))
  const [channels, reduction] = [shape[axis]!, values.length / shape[axis]!]
  const rows = values.slice() as A
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / inner) % channels
    const along = Math.floor(i / (inner * channels)) * inner + (i % inner)
    rows[channel * reduction + along] = values[i]!
  }
  return rows
}

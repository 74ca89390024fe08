/**
 * Pullbacks of pooling: the input is read through windows, and rules put the gradient back where each window read it.
 */
import { float32 } from "../ir/Tensor.ts"
import type { Window } from "../ir/Op.ts"
import type { Algebra } from "./Algebra.ts"
import { unslice } from "./movement.ts"
import type { At, Pullback } from "./Pullback.ts"

type Rows = "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "MaxPool"
type Ints = ReadonlyArray<number>

const spatialAxes = (e: Algebra, x: string): Ints => e.shape(x).flatMap((_, i) => (i >= 2 ? [i] : []))

/** Every offset inside the kernel, row-major: [0,0], [0,1], … */
export const offsets = (kernel: Ints): ReadonlyArray<Ints> =>
  kernel.reduce<ReadonlyArray<Ints>>(
    (list, size) => list.flatMap((head) => Array.from({ length: size }, (_, i) => [...head, i])),
    [[]]
  )

/** Padding that lets every window of `out` positions lie inside: [begin…, end…] of the spatial dimensions. */
const fullPads = ({ kernel, strides, dilations, pads }: Window, spatial: Ints, out: Ints): Ints => [
  ...pads.slice(0, kernel.length),
  ...kernel.map(
    (size, i) => strides[i]! * (out[i]! - 1) + dilations[i]! * (size - 1) + 1 - pads[i]! - spatial[i]!
  )
]

/** What a window reads at one offset, for all of its positions: start, end, step of each spatial dimension. */
const reach = ({ strides, dilations }: Window, offset: Ints, out: Ints) => {
  const starts = offset.map((o, i) => o * dilations[i]!)
  return { starts, ends: starts.map((start, i) => start + strides[i]! * (out[i]! - 1) + 1), steps: strides }
}

/** The largest element passes the gradient on; of equal ones the first, as frameworks do. */
const maxPool = ({ e, g, x: [x], y, attributes }: At<"MaxPool">): string => {
  const axes = spatialAxes(e, x)
  const [spatial, out] = [e.shape(x).slice(2), e.shape(y).slice(2)]
  const pads = fullPads(attributes, spatial, out)
  const around = [0, 0, ...pads.slice(0, axes.length), 0, 0, ...pads.slice(axes.length)]
  const padded = pads.every((pad) => pad === 0)
    ? x
    : e.apply("Pad", [x], { pads: around, mode: "constant", value: -3e38 })
  const shape = e.shape(padded)
  let free = e.shift(e.scale(0, y), 1)
  const parts = offsets(attributes.kernel).map((offset) => {
    const { starts, ends, steps } = reach(attributes, offset, out)
    const equal = e.indicator(e.binary("Equal", e.slice(padded, axes, starts, ends, steps), y), y)
    const mask = e.mul(equal, free)
    free = e.sub(free, mask)
    return unslice(e, e.mul(g, mask), shape, axes, starts, steps)
  })
  const sum = parts.reduce((total, part) => e.add(total, part))
  return e.pad(
    sum,
    around.map((pad) => -pad)
  )
}

/** How many elements each window counts: all of the kernel's, or those inside the input (and its padding). */
const divisors = (
  window: Window & { readonly countIncludePad: boolean },
  spatial: Ints,
  out: Ints
): Float32Array => {
  const { kernel, strides, dilations, pads, countIncludePad } = window
  const n = kernel.length
  const counts = out.map((size, d) =>
    Array.from({ length: size }, (_, position) => {
      const start = position * strides[d]! - pads[d]!
      const [low, high] = countIncludePad ? [-pads[d]!, spatial[d]! + pads[d + n]!] : [0, spatial[d]!]
      let count = 0
      for (let k = 0; k < kernel[d]!; k++) {
        const at = start + k * dilations[d]!
        if (at >= low && at < high) count++
      }
      return count
    })
  )
  return Float32Array.from(offsets(out), (at) => at.reduce((product, i, d) => product * counts[d]![i]!, 1))
}

/** g/count spread over each window: a transposed convolution with ones, channel by channel. */
const averagePool = ({ e, g, x: [x], y, attributes }: At<"AveragePool">): string => {
  const { kernel, strides, dilations } = attributes
  const [samples, channels, ...spatial] = e.shape(x)
  const out = e.shape(y).slice(2)
  const counts = e.constant(float32([1, 1, ...out], divisors(attributes, spatial, out)))
  const pads = fullPads(attributes, spatial, out)
  // Windows past the input's end only occur with ceilMode; a negative end is stride that was left over.
  const outputPadding = pads.slice(kernel.length).map((end) => Math.max(0, -end))
  const ones = e.constant(float32([1, 1, ...kernel], new Float32Array(offsets(kernel).length).fill(1)))
  const alone = e.reshape(e.div(g, counts), [samples! * channels!, 1, ...out])
  const spread = e.apply("ConvTranspose", [alone, ones], {
    kernel,
    strides,
    dilations,
    pads: pads.map((pad) => Math.max(0, pad)),
    groups: 1,
    outputPadding
  })
  return e.reshape(spread, e.shape(x))
}

export const windows: { readonly [K in Rows]: Pullback<K> } = {
  MaxPool: (at) => [maxPool(at)],
  AveragePool: (at) => [averagePool(at)],
  /** 1/(H·W) everywhere */
  GlobalAveragePool: ({ e, g, x: [x] }) => {
    const positions = spatialAxes(e, x).reduce((product, axis) => product * e.shape(x)[axis]!, 1)
    return [e.expand(e.scale(1 / positions, g), e.shape(x))]
  },
  /** [x = y], shared equally among equals */
  GlobalMaxPool: ({ e, g, x: [x], y }) => {
    const mask = e.indicator(e.binary("Equal", x, y), x)
    return [e.mul(mask, e.div(g, e.sum(mask, spatialAxes(e, x), true)))]
  }
}

/** Random convolutions and pools. */
import type { Op } from "@bitbudget/graph"
import * as fc from "fast-check"
import { one } from "./case.ts"
import type { Row } from "./draws.ts"
import { int, pick, shape } from "./draws.ts"

/** Sliding windows over 1 or 2 spatial dimensions: any strides, dilations and pads on either side. */
const windowed = (limitPads: boolean) =>
  fc
    .array(
      fc.record({
        kernel: int(1, 3),
        stride: int(1, 3),
        dilation: int(1, 2),
        begin: int(0, 2),
        end: int(0, 2),
        spare: int(0, 4)
      }),
      { minLength: 1, maxLength: 2 }
    )
    .map((dims) => {
      const pad = (amount: number, kernel: number) => (limitPads ? Math.min(amount, kernel - 1) : amount)
      const begins = dims.map(({ begin, kernel }) => pad(begin, kernel))
      const ends = dims.map(({ end, kernel }) => pad(end, kernel))
      return {
        window: {
          kernel: dims.map(({ kernel }) => kernel),
          strides: dims.map(({ stride }) => stride),
          dilations: dims.map(({ dilation }) => dilation),
          pads: [...begins, ...ends]
        },
        // Just large enough for one position, and some more.
        spatial: dims.map(
          ({ kernel, dilation, spare }, i) =>
            Math.max(1, dilation * (kernel - 1) + 1 - begins[i]! - ends[i]!) + spare
        )
      }
    })

type Windowed = ReturnType<typeof windowed> extends fc.Arbitrary<infer W> ? W : never

const grouped = pick([1, 1, 1], [1, 2, 3], [2, 1, 1], [2, 2, 1], [3, 1, 2]).map(([groups, c, m]) => ({
  groups: groups!,
  c: c!,
  m: m!
}))

export const convolution: Row = fc
  .record({ shaped: windowed(false), group: grouped, samples: int(1, 2), bias: fc.boolean() })
  .map(({ shaped: { window, spatial }, group: { groups, c, m }, samples, bias }) =>
    one(
      "Conv",
      { ...window, groups },
      [[samples, groups * c, ...spatial], [groups * m, c, ...window.kernel], ...(bias ? [[groups * m]] : [])],
      { smooth: true }
    )
  )

export const transposedConvolution: Row = fc
  .record({
    shaped: windowed(true),
    group: grouped,
    samples: int(1, 2),
    bias: fc.boolean(),
    extra: int(0, 2)
  })
  .map(({ shaped: { window }, group: { groups, c, m }, samples, bias, extra }) => {
    const spatial = window.kernel.map((_, i) => 2 + ((extra + i) % 3))
    const outputPadding = window.strides.map((stride) => Math.min(extra, stride - 1))
    return one(
      "ConvTranspose",
      { ...window, groups, outputPadding },
      [[samples, groups * c, ...spatial], [groups * c, m, ...window.kernel], ...(bias ? [[groups * m]] : [])],
      { smooth: true }
    )
  })

/**
 * Whether rounding up adds a window that starts behind the input, which ONNX drops again. ONNX Runtime drops it when it
 * runs but not in its shape inference, so it refuses gradients of such pools; they need strides or pads like kernels.
 */
const dropsWindow = ({ window, spatial }: Windowed, ceilMode: boolean): boolean =>
  ceilMode &&
  spatial.some((dim, i) => {
    const n = spatial.length
    const [begin, end, stride] = [window.pads[i]!, window.pads[i + n]!, window.strides[i]!]
    const span = dim + begin + end - window.dilations[i]! * (window.kernel[i]! - 1) - 1
    return Math.ceil(span / stride) * stride >= dim + begin
  })

const poolings = fc
  .record({
    shaped: windowed(true),
    ceilMode: fc.boolean(),
    countIncludePad: fc.boolean(),
    samples: int(1, 2)
  })
  .filter(({ shaped, ceilMode }) => !dropsWindow(shaped, ceilMode))

export const pooling = {
  MaxPool: poolings.map(({ shaped: { window, spatial }, ceilMode, samples }) =>
    one("MaxPool", { ...window, ceilMode }, [[samples, 2, ...spatial]])
  ),
  AveragePool: poolings.map(({ shaped: { window, spatial }, ceilMode, countIncludePad, samples }) =>
    one("AveragePool", { ...window, ceilMode, countIncludePad }, [[samples, 2, ...spatial]], { smooth: true })
  ),
  GlobalAveragePool: shape(3, 4).map((dims) => one("GlobalAveragePool", {}, [dims], { smooth: true })),
  GlobalMaxPool: shape(3, 4).map((dims) => one("GlobalMaxPool", {}, [dims]))
} satisfies Partial<Record<Op, Row>>

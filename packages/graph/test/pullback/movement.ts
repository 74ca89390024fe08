/** Random operators that move, select or resample elements. */
import type { Op } from "@bitbudget/graph"
import * as fc from "fast-check"
import type { Input } from "./case.ts"
import { one } from "./case.ts"
import type { Row } from "./draws.ts"
import { broadcasting, int, pick, shape, withAxis } from "./draws.ts"

const resize: Row = fc
  .record({
    dims: shape(4, 4),
    mode: pick("nearest", "linear", "cubic"),
    coordinates: pick(
      "half_pixel",
      "half_pixel_symmetric",
      "pytorch_half_pixel",
      "align_corners",
      "asymmetric"
    ),
    nearestMode: pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    factors: fc.tuple(pick(0.5, 1, 2, 3), pick(0.5, 1, 2, 3)),
    excludeOutside: fc.boolean(),
    bySizes: fc.boolean()
  })
  .map(({ dims, factors, bySizes, mode, excludeOutside, ...rest }) => {
    const x = [dims[0]!, dims[1]!, dims[2]! + 1, dims[3]! + 1]
    const scales = [1, 1, ...factors]
    const sizes = bySizes ? x.map((dim, i) => Math.floor(dim * scales[i]!)) : undefined
    return one(
      "Resize",
      {
        mode,
        ...rest,
        cubicCoefficient: -0.75,
        excludeOutside: mode === "cubic" && excludeOutside,
        antialias: false,
        scales,
        sizes
      },
      [x],
      { smooth: true }
    )
  })

const pad: Row = fc
  .record({
    dims: shape(1, 4),
    mode: pick("constant", "reflect", "edge", "wrap"),
    amounts: fc.array(int(-1, 2), { minLength: 8, maxLength: 8 })
  })
  .map(({ dims, mode, amounts }) => {
    const x = dims.map((dim) => dim + 2)
    // Only constant padding may crop; reflected and wrapped elements must exist.
    const pads = [...x, ...x].map((_, i) => (mode === "constant" ? amounts[i]! : Math.abs(amounts[i]!)))
    return one("Pad", { pads, mode, value: mode === "constant" ? 0.3 : 0 }, [x], { smooth: true })
  })

const slice: Row = shape(1, 3).chain((dims) => {
  const x = dims.map((dim) => dim + 2)
  return fc
    .record({
      axes: fc.subarray(
        x.map((_, i) => i),
        { minLength: 1 }
      ),
      picks: fc.array(fc.record({ step: pick(-2, -1, 1, 2), start: int(0, 1) }), {
        minLength: 3,
        maxLength: 3
      })
    })
    .map(({ axes, picks }) => {
      const steps = axes.map((_, i) => picks[i]!.step)
      const starts = axes.map((_, i) => (steps[i]! > 0 ? picks[i]!.start : -1 - picks[i]!.start))
      const ends = axes.map((axis, i) => (steps[i]! > 0 ? x[axis]! : -x[axis]! - 1))
      return one("Slice", { axes, steps, starts, ends }, [x], { smooth: true })
    })
})

const split: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  fc.array(int(1, 3), { minLength: 1, maxLength: 3 }).map((sizes) => {
    const x = dims.with(
      axis,
      sizes.reduce((a, b) => a + b)
    )
    return one("Split", { axis, sizes }, [x], { smooth: true, results: sizes.length })
  })
)

const concat: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  fc.array(int(1, 3), { minLength: 1, maxLength: 3 }).map((sizes) =>
    one(
      "Concat",
      { axis },
      sizes.map((size) => dims.with(axis, size)),
      { smooth: true }
    )
  )
)

const gather: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  shape(0, 2).map((picks) =>
    one("Gather", { axis }, [dims, { shape: picks, kind: "index", range: [-dims[axis]!, dims[axis]!] }], {
      smooth: true
    })
  )
)

const gatherElements: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  fc.tuple(int(1, 4), fc.boolean()).map(([picks, less]) => {
    const taken = dims.map((dim, i) => (i === axis ? picks : less ? Math.max(1, dim - 1) : dim))
    const indices: Input = { shape: taken, kind: "index", range: [-dims[axis]!, dims[axis]!] }
    return one("GatherElements", { axis }, [dims, indices], { smooth: true })
  })
)

const topK: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  fc
    .record({ k: int(1, dims[axis]!), largest: fc.boolean() })
    .map(({ k, largest }) => one("TopK", { axis, k, largest, sorted: true }, [dims]))
)

const where: Row = broadcasting.chain(([a, b]) =>
  fc
    .boolean()
    .map((turn) => one("Where", {}, [{ shape: turn ? a : b, kind: "condition" }, a, b], { smooth: true }))
)

const blocks = (op: "DepthToSpace" | "SpaceToDepth"): Row =>
  fc
    .record({ blockSize: int(1, 2), h: int(1, 3), w: int(1, 3), c: int(1, 2), mode: pick("DCR", "CRD") })
    .map(({ blockSize: b, h, w, c, mode }) =>
      op === "DepthToSpace"
        ? one("DepthToSpace", { blockSize: b, mode }, [[2, c * b * b, h, w]], { smooth: true })
        : one("SpaceToDepth", { blockSize: b }, [[2, c, h * b, w * b]], { smooth: true })
    )

const cumSum: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  fc
    .record({ exclusive: fc.boolean(), reverse: fc.boolean() })
    .map((flags) => one("CumSum", { axis, ...flags }, [dims], { smooth: true }))
)

const trilu: Row = fc
  .record({ dims: shape(2, 4), upper: fc.boolean(), k: int(-2, 2) })
  .map(({ dims, upper, k }) => one("Trilu", { upper, k }, [dims], { smooth: true }))

/** Rows of indices into the first `depth` dimensions. */
const gatherND: Row = shape(1, 3).chain((dims) =>
  fc.record({ depth: int(1, dims.length), rows: int(1, 4) }).map(({ depth, rows }) => {
    const smallest = Math.min(...dims.slice(0, depth))
    const indices: Input = { shape: [rows, depth], kind: "index", range: [-smallest, smallest] }
    return one("GatherND", { batchDims: 0 }, [dims, indices], { smooth: true })
  })
)

/** One row where rows replace each other: which of two writes to one place stays is not said. */
const scatterND: Row = shape(1, 3).chain((dims) =>
  fc
    .record({ depth: int(1, dims.length), rows: int(1, 4), reduction: pick("none", "add") })
    .map(({ depth, rows, reduction }) => {
      const count = reduction === "none" ? 1 : rows
      const smallest = Math.min(...dims.slice(0, depth))
      const indices: Input = { shape: [count, depth], kind: "index", range: [0, smallest] }
      return one("ScatterND", { reduction }, [dims, indices, [count, ...dims.slice(depth)]], { smooth: true })
    })
)

const scatterElements: Row = withAxis(1, 3).chain(({ dims, axis }) =>
  fc.record({ count: int(1, 3), reduction: pick("none", "add") }).map(({ count, reduction }) => {
    const taken = dims.with(axis, reduction === "none" ? 1 : count)
    const indices: Input = { shape: taken, kind: "index", range: [0, dims[axis]!] }
    return one("ScatterElements", { axis, reduction }, [dims, indices, taken], { smooth: true })
  })
)

export const movement = {
  CumSum: cumSum,
  Trilu: trilu,
  GatherND: gatherND,
  ScatterND: scatterND,
  ScatterElements: scatterElements,
  Concat: concat,
  DepthToSpace: blocks("DepthToSpace"),
  SpaceToDepth: blocks("SpaceToDepth"),
  Expand: broadcasting.map(([a, b]) => one("Expand", { shape: a }, [b], { smooth: true })),
  Flatten: withAxis(1, 4).map(({ dims, axis }) => one("Flatten", { axis }, [dims], { smooth: true })),
  Gather: gather,
  GatherElements: gatherElements,
  Pad: pad,
  Reshape: shape(1, 4).map((dims) => one("Reshape", { shape: dims.toReversed() }, [dims], { smooth: true })),
  Resize: resize,
  Slice: slice,
  Split: split,
  Squeeze: withAxis(1, 4).map(({ dims, axis }) =>
    one("Squeeze", { axes: [axis] }, [dims.with(axis, 1)], { smooth: true })
  ),
  Tile: shape(1, 3, 3).chain((dims) =>
    fc
      .array(int(1, 3), { minLength: dims.length, maxLength: dims.length })
      .map((repeats) => one("Tile", { repeats }, [dims], { smooth: true }))
  ),
  TopK: topK,
  Transpose: shape(1, 4).chain((dims) =>
    fc
      .shuffledSubarray(
        dims.map((_, i) => i),
        { minLength: dims.length }
      )
      .map((perm) => one("Transpose", { perm }, [dims], { smooth: true }))
  ),
  Unsqueeze: withAxis(1, 3).map(({ dims, axis }) =>
    one("Unsqueeze", { axes: [axis] }, [dims], { smooth: true })
  ),
  Where: where
} satisfies Partial<Record<Op, Row>>

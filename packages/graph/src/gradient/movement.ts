/** Pullbacks of operators that move, repeat or select elements, and of reductions: mostly the way back. */
import type { Op, ReduceAttributes, ReduceOps } from "../ir/Op.ts"
import type { Algebra } from "./Algebra.ts"
import type { At, NonDifferentiable, Pullback } from "./Pullback.ts"
import { NotDifferentiable } from "./Pullback.ts"

type Movement =
  | "Concat"
  | "CumSum"
  | "DepthToSpace"
  | "Expand"
  | "Flatten"
  | "Gather"
  | "GatherElements"
  | "GatherND"
  | "Reshape"
  | "ScatterElements"
  | "ScatterND"
  | "Slice"
  | "SpaceToDepth"
  | "Split"
  | "Squeeze"
  | "Tile"
  | "TopK"
  | "Transpose"
  | "Trilu"
  | "Unsqueeze"
type Rows = Movement | keyof ReduceOps
type Ints = ReadonlyArray<number>

/** The adjoint of a slice with positive steps: zeros of `shape`, with g at start, start + step, … of each axis. */
export const unslice = (
  e: Algebra,
  g: string,
  shape: Ints,
  axes: Ints,
  starts: Ints,
  steps: Ints
): string => {
  let spread = g
  axes.forEach((axis, i) => {
    if (steps[i] === 1) return
    // [n] → [n,1] → [n,step] → [n·step]: each element followed by step − 1 zeros.
    const now = e.shape(spread)
    const apart = e.reshape(spread, now.toSpliced(axis + 1, 0, 1))
    const pads = Array.from({ length: 2 * (now.length + 1) }, () => 0)
    pads[now.length + 1 + axis + 1] = steps[i]! - 1
    spread = e.reshape(e.pad(apart, pads), now.with(axis, now[axis]! * steps[i]!))
  })
  const now = e.shape(spread)
  const pads = Array.from({ length: 2 * now.length }, () => 0)
  axes.forEach((axis, i) => {
    pads[axis] = starts[i]!
    pads[axis + now.length] = shape[axis]! - starts[i]! - now[axis]!
  })
  return e.pad(spread, pads)
}

/** Start and step of a slice with negative steps, read from the other end; starts resolved to 0…dim−1. */
const sliceGradient = ({ e, g, x: [x], attributes: { starts, axes, steps } }: At<"Slice">): string => {
  const shape = e.shape(x)
  const resolved = axes.map((axis, i) => {
    const dim = shape[axis]!
    const start = starts[i]! < 0 ? starts[i]! + dim : starts[i]!
    return Math.max(0, Math.min(steps[i]! > 0 ? dim : dim - 1, start))
  })
  const lengths = axes.map((axis) => e.shape(g)[axis]!)
  const backward = axes.flatMap((_, i) => (steps[i]! < 0 ? [i] : []))
  const forward =
    backward.length === 0
      ? g
      : e.apply("Slice", [g], {
          axes: backward.map((i) => axes[i]!),
          starts: backward.map((i) => lengths[i]! - 1),
          ends: backward.map(() => -(2 ** 31)),
          steps: backward.map(() => -1)
        })
  const firsts = resolved.map((start, i) => (steps[i]! < 0 ? start + steps[i]! * (lengths[i]! - 1) : start))
  return unslice(e, forward, shape, axes, firsts, steps.map(Math.abs))
}

/** A gradient with one entry a position of the reduced result, shaped to broadcast against the input. */
const kept = <K extends keyof ReduceOps>(at: At<K>, name: string): string => {
  const { axes }: ReduceAttributes = at.attributes
  return at.e.reshape(
    name,
    at.e.shape(at.x[0]).map((dim, i) => (axes.includes(i) ? 1 : dim))
  )
}

/** [x = y], shared equally among equals. */
const reduceExtreme = (at: At<"ReduceMax" | "ReduceMin">): ReadonlyArray<string> => {
  const { e, x, y, g, attributes } = at
  const mask = e.indicator(e.binary("Equal", x[0], kept(at, y)), x[0])
  return [e.mul(mask, e.div(kept(at, g), e.sum(mask, attributes.axes, true)))]
}

/** Zeros of `shape` with g's elements added at `indices` of the axis: Σ over g's axis of one-hot(indices)·g. */
const scattered = (e: Algebra, g: string, indices: string, shape: Ints, axis: number): string => {
  const from = e.shape(g)
  const depth = shape[axis]!
  const chosen = e.apply("OneHot", [indices], { axis: axis + 1, depth, values: [0, 1] })
  const sum = e.sum(e.mul(chosen, e.reshape(g, from.toSpliced(axis + 1, 0, 1))), [axis])
  return e.pad(sum, [...shape.map(() => 0), ...shape.map((size, i) => (i === axis ? 0 : size - from[i]!))])
}

const back = <K extends Op>({ e, g, x }: At<K>): ReadonlyArray<string> => [e.reshape(g, e.shape(x[0]))]

/** Depth to space as reshape, transpose, reshape; the inverse runs it the other way. */
const blocks = (e: Algebra, x: string, b: number, mode: "DCR" | "CRD", toSpace: boolean): string => {
  const [n, c, h, w] = e.shape(x) as [number, number, number, number]
  const perm = mode === "DCR" ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]
  if (toSpace) {
    const depth = c / (b * b)
    const split = mode === "DCR" ? [n, b, b, depth, h, w] : [n, depth, b, b, h, w]
    return e.reshape(e.transpose(e.reshape(x, split), perm), [n, depth, h * b, w * b])
  }
  const inverse = perm.map((_, i) => perm.indexOf(i))
  const split = e.reshape(x, [n, c, h / b, b, w / b, b])
  return e.reshape(e.transpose(split, inverse), [n, c * b * b, h / b, w / b])
}

export const movement: { readonly [K in Rows]: Pullback<K> | NonDifferentiable } = {
  Concat: ({ e, g, node, attributes: { axis } }) => {
    let start = 0
    return node.inputs.map((input) => {
      const from = start
      start += e.shape(input)[axis]!
      return e.slice(g, [axis], [from], [start])
    })
  },
  /** sums from the other end */
  CumSum: ({ e, g, attributes: { axis, exclusive, reverse } }) => [
    e.apply("CumSum", [g], { axis, exclusive, reverse: !reverse })
  ],
  DepthToSpace: ({ e, g, attributes: { blockSize, mode } }) => [blocks(e, g, blockSize, mode, false)],
  /** the driver sums */
  Expand: ({ g }) => [g],
  Flatten: back,
  /** one-hot(indices)ᵀ·g along the axis */
  Gather: ({ e, g, x: [data, indices], attributes: { axis } }) => {
    const shape = e.shape(data)
    const picks = e.shape(indices).reduce((product, dim) => product * dim, 1)
    const depth = shape[axis]!
    const flat = e.reshape(indices, [picks])
    const chosen = e.apply("OneHot", [flat], { axis: 1, depth, values: [0, 1] })
    const outer = shape.slice(0, axis).reduce((product, dim) => product * dim, 1)
    const inner = shape.slice(axis + 1).reduce((product, dim) => product * dim, 1)
    const rows = e.reshape(g, [outer, picks, inner])
    return [e.reshape(e.matmul(e.transpose(chosen, [1, 0]), rows), shape)]
  },
  /** each element back to where it came from */
  GatherElements: ({ e, g, x: [data, indices], attributes: { axis } }) => [
    scattered(e, g, indices, e.shape(data), axis)
  ],
  /** each element added where it came from */
  GatherND: ({ e, g, x: [data, indices], node, attributes: { batchDims } }) => {
    if (batchDims !== 0) throw NotDifferentiable.at(node, "there is no pullback for batch dimensions")
    return [e.apply("ScatterND", [e.zeros(e.shape(data)), indices, g], { reduction: "add" })]
  },
  Reshape: back,
  /** g where nothing was written, g where it was */
  ScatterElements: ({ e, g, x: [, indices, updates], node, attributes: { axis, reduction } }) => {
    if (reduction !== "none" && reduction !== "add")
      throw NotDifferentiable.at(node, `there is no pullback for the reduction ${reduction}`)
    const kept =
      reduction === "add"
        ? g
        : e.apply("ScatterElements", [g, indices, e.zeros(e.shape(updates))], { axis, reduction: "none" })
    return [kept, undefined, e.apply("GatherElements", [g, indices], { axis })]
  },
  ScatterND: ({ e, g, x: [, indices, updates], node, attributes: { reduction } }) => {
    if (reduction !== "none" && reduction !== "add")
      throw NotDifferentiable.at(node, `there is no pullback for the reduction ${reduction}`)
    const kept =
      reduction === "add"
        ? g
        : e.apply("ScatterND", [g, indices, e.zeros(e.shape(updates))], { reduction: "none" })
    return [kept, undefined, e.apply("GatherND", [g, indices], { batchDims: 0 })]
  },
  Slice: (at) => [sliceGradient(at)],
  SpaceToDepth: ({ e, g, attributes: { blockSize } }) => [blocks(e, g, blockSize, "DCR", true)],
  Split: ({ e, gs, node, attributes: { axis } }) => {
    const parts = node.outputs.map((output, i) => gs[i] ?? e.zeros(e.shape(output)))
    return [e.concat(parts, axis)]
  },
  Squeeze: back,
  Tile: ({ e, g, x: [x], attributes: { repeats } }) => {
    const shape = e.shape(x)
    const apart = e.reshape(
      g,
      shape.flatMap((dim, i) => [repeats[i]!, dim])
    )
    return [
      e.sum(
        apart,
        shape.map((_, i) => 2 * i)
      )
    ]
  },
  /** each value back to where it came from */
  TopK: ({ e, g, x: [x], node, attributes: { axis } }) => [
    scattered(e, g, node.outputs[1]!, e.shape(x), axis)
  ],
  Transpose: ({ e, g, attributes: { perm } }) => [
    e.transpose(
      g,
      perm.map((_, i) => perm.indexOf(i))
    )
  ],
  Trilu: ({ e, g, attributes }) => [e.apply("Trilu", [g], attributes)],
  Unsqueeze: back,

  ReduceMax: reduceExtreme,
  ReduceMin: reduceExtreme,
  /** 1/n */
  ReduceMean: (at) => {
    const shape = at.e.shape(at.x[0])
    const n = at.attributes.axes.reduce((product, axis) => product * shape[axis]!, 1)
    return [at.e.expand(at.e.scale(1 / n, kept(at, at.g)), shape)]
  },
  /** y/x, where no element is 0 */
  ReduceProd: (at) => [at.e.div(at.e.mul(kept(at, at.g), kept(at, at.y)), at.x[0])],
  ReduceSum: (at) => [at.e.expand(kept(at, at.g), at.e.shape(at.x[0]))],
  /** 2x */
  ReduceSumSquare: (at) => [at.e.mul(kept(at, at.g), at.e.scale(2, at.x[0]))],
  /** x/y */
  ReduceL2: (at) => [at.e.mul(at.x[0], kept(at, at.e.div(at.g, at.y)))]
}

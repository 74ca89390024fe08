/** Folding of operators that move, select or repeat entries: the same for numbers and for shapes with a symbol. */
import type { Dim } from "../ir/Dim.ts"
import { elements, isStatic } from "../ir/Dim.ts"
import type { Op } from "../ir/Op.ts"
import { refuse } from "../ir/Refusal.ts"
import { numbers } from "../ir/Tensor.ts"
import type { Listed, ListRule } from "./rule.ts"
import { around, broadcastStrides, pack, room, strided, strides, walk } from "./rule.ts"

const unchanged: ListRule<Op> = (_, [x]) => [x!.data]

/** Entries of an index input, counted from the end where negative and checked against the dimension. */
export const indicesOf = (input: Listed, dim: number): ReadonlyArray<number> | undefined => {
  const out: Array<number> = []
  for (let i = 0; i < input.data.length; i++) {
    const index = input.data[i]!
    if (!isStatic(index)) return undefined
    const resolved = index < 0 ? index + dim : index
    if (!(resolved >= 0 && resolved < dim)) refuse(`reads index ${index} of a dimension of ${dim}`)
    out.push(resolved)
  }
  return out
}

/** Block size b: [n, c, h, w] → the six-dimensional shape and the permutation that regroups it. */
const blocksOf = (b: number, mode: "DCR" | "CRD", [n, c, h, w]: ReadonlyArray<number>) => {
  const depth = c! / (b * b)
  return mode === "DCR"
    ? { split: [n!, b, b, depth, h!, w!], perm: [0, 3, 4, 1, 5, 2] }
    : { split: [n!, depth, b, b, h!, w!], perm: [0, 1, 4, 2, 5, 3] }
}

const permuted = (x: Listed, split: ReadonlyArray<number>, perm: ReadonlyArray<number>): ArrayLike<Dim> => {
  const own = strides(split)
  return strided(
    x.data,
    { dtype: x.dtype, shape: perm.map((axis) => split[axis]!) },
    perm.map((axis) => own[axis]!)
  )
}

/** Where a position outside the input is read from; undefined: the constant. */
const padSource = (
  mode: "constant" | "reflect" | "edge" | "wrap",
  at: number,
  dim: number
): number | undefined => {
  if (at >= 0 && at < dim) return at
  switch (mode) {
    case "constant":
      return undefined
    case "edge":
      return at < 0 ? 0 : dim - 1
    case "wrap":
      return ((at % dim) + dim) % dim
    case "reflect": {
      const period = Math.max(1, 2 * (dim - 1))
      const folded = ((at % period) + period) % period
      return folded < dim ? folded : period - folded
    }
  }
}

type Rows =
  | "Concat"
  | "DepthToSpace"
  | "Expand"
  | "Flatten"
  | "Gather"
  | "GatherElements"
  | "GatherND"
  | "Pad"
  | "Range"
  | "ReduceProd"
  | "Reshape"
  | "ScatterElements"
  | "ScatterND"
  | "Slice"
  | "SpaceToDepth"
  | "Split"
  | "Squeeze"
  | "Tile"
  | "Transpose"
  | "Trilu"
  | "Unsqueeze"

/** How an update meets what is there. */
const combine = (
  reduction: "none" | "add" | "mul" | "max" | "min",
  old: Dim,
  update: Dim
): Dim | undefined => {
  if (reduction === "none") return update
  if (!isStatic(old) || !isStatic(update)) return undefined
  const of = { add: old + update, mul: old * update, max: Math.max(old, update), min: Math.min(old, update) }
  return of[reduction]
}

export const movementRules: { readonly [K in Exclude<Rows, "ReduceProd">]: ListRule<K> } = {
  Reshape: unchanged,
  Flatten: unchanged,
  Squeeze: unchanged,
  Unsqueeze: unchanged,

  Transpose: ({ attributes: { perm } }, [x]) => [permuted(x!, x!.shape, perm)],
  Expand: (_, [x], [result]) => [strided(x!.data, result!, broadcastStrides(x!.shape, result!.shape))],
  Tile: (_, [x], [result]) => {
    const { shape } = result!
    const own = strides(x!.shape)
    const out = room([x!.data], result!.dtype, elements(shape))
    const wanted = strides(shape)
    for (let i = 0; i < out.length; i++) {
      let from = 0
      for (let d = 0; d < shape.length; d++) from += (Math.floor(i / wanted[d]!) % x!.shape[d]!) * own[d]!
      out[i] = x!.data[from]!
    }
    return [out]
  },

  Slice: ({ attributes: { starts, axes, steps } }, [x], [result]) => {
    const own = [...strides(x!.shape)]
    let offset = 0
    axes.forEach((axis, i) => {
      const dim = x!.shape[axis]!
      const start = starts[i]! < 0 ? starts[i]! + dim : starts[i]!
      offset += Math.min(Math.max(start, 0), steps[i]! > 0 ? dim : dim - 1) * own[axis]!
      own[axis]! *= steps[i]!
    })
    return [strided(x!.data, result!, own, offset)]
  },

  Split: ({ attributes: { axis } }, [x], results) => {
    const [outer, length, inner] = around(x!.shape, axis)
    let start = 0
    return results.map((result) => {
      const own = result.shape[axis]!
      const out = room([x!.data], result.dtype, elements(result.shape))
      for (let o = 0; o < outer; o++)
        for (let i = 0; i < own * inner; i++)
          out[o * own * inner + i] = x!.data[(o * length + start) * inner + i]!
      start += own
      return out
    })
  },

  Gather: ({ attributes: { axis } }, [data, indices], [result]) => {
    const [outer, dim, inner] = around(data!.shape, axis)
    const picks = indicesOf(indices!, dim)
    if (picks === undefined) return undefined
    const out = room([data!.data], result!.dtype, outer * picks.length * inner)
    let at = 0
    for (let o = 0; o < outer; o++)
      for (const pick of picks)
        for (let i = 0; i < inner; i++) out[at++] = data!.data[(o * dim + pick) * inner + i]!
    return [pack(result!.dtype, out)]
  },

  GatherElements: ({ attributes: { axis } }, [data, indices], [result]) => {
    const picks = indicesOf(indices!, data!.shape[axis]!)
    if (picks === undefined) return undefined
    const own = strides(data!.shape)
    const out = room([data!.data], result!.dtype, picks.length)
    const steps = own.map((stride, d) => (d === axis ? 0 : stride))
    walk(indices!.shape, steps, 0, (to, from) => {
      out[to] = data!.data[from + picks[to]! * own[axis]!]!
    })
    return [out]
  },

  GatherND: ({ attributes: { batchDims } }, [data, indices], [result]) => {
    const depth = indices!.shape.at(-1)!
    const own = strides(data!.shape)
    const inner = elements(data!.shape.slice(batchDims + depth))
    const rows = depth === 0 ? elements(indices!.shape.slice(0, -1)) : indices!.data.length / depth
    const perBatch = elements(indices!.shape.slice(batchDims, -1))
    const batchStride = elements(data!.shape.slice(batchDims))
    const out = room([data!.data], result!.dtype, rows * inner)
    for (let row = 0; row < rows; row++) {
      let from = Math.floor(row / perBatch) * batchStride
      for (let d = 0; d < depth; d++) {
        const dim = data!.shape[batchDims + d]!
        const index = indices!.data[row * depth + d]!
        if (!isStatic(index)) return undefined
        const resolved = index < 0 ? index + dim : index
        if (!(resolved >= 0 && resolved < dim)) refuse(`reads index ${index} of a dimension of ${dim}`)
        from += resolved * own[batchDims + d]!
      }
      for (let i = 0; i < inner; i++) out[row * inner + i] = data!.data[from + i]!
    }
    return [out]
  },

  ScatterElements: ({ attributes: { axis, reduction } }, [data, indices, updates], [result]) => {
    const picks = indicesOf(indices!, data!.shape[axis]!)
    if (picks === undefined) return undefined
    const own = strides(data!.shape)
    const out = Array.from(data!.data)
    let fits = true
    const steps = own.map((stride, d) => (d === axis ? 0 : stride))
    walk(indices!.shape, steps, 0, (at, base) => {
      const to = base + picks[at]! * own[axis]!
      const entry = combine(reduction, out[to]!, updates!.data[at]!)
      if (entry === undefined) fits = false
      else out[to] = entry
    })
    return fits ? [pack(result!.dtype, out)] : undefined
  },

  ScatterND: ({ attributes: { reduction } }, [data, indices, updates], [result]) => {
    const depth = indices!.shape.at(-1)!
    const own = strides(data!.shape)
    const inner = elements(data!.shape.slice(depth))
    const out = Array.from(data!.data)
    const rows = inner === 0 ? 0 : updates!.data.length / inner
    for (let row = 0; row < rows; row++) {
      let to = 0
      for (let d = 0; d < depth; d++) {
        const dim = data!.shape[d]!
        const index = indices!.data[row * depth + d]!
        if (!isStatic(index)) return undefined
        const resolved = index < 0 ? index + dim : index
        if (!(resolved >= 0 && resolved < dim)) refuse(`writes index ${index} of a dimension of ${dim}`)
        to += resolved * own[d]!
      }
      for (let i = 0; i < inner; i++) {
        const entry = combine(reduction, out[to + i]!, updates!.data[row * inner + i]!)
        if (entry === undefined) return undefined
        out[to + i] = entry
      }
    }
    return [pack(result!.dtype, out)]
  },

  Concat: ({ attributes: { axis } }, inputs, [result]) => {
    const outer = elements(result!.shape.slice(0, axis))
    const out = room(
      inputs.map((input) => input!.data),
      result!.dtype,
      elements(result!.shape)
    )
    let at = 0
    const lengths = inputs.map((input) => elements(input!.shape.slice(axis)))
    for (let o = 0; o < outer; o++)
      inputs.forEach((input, k) => {
        for (let i = 0; i < lengths[k]!; i++) out[at++] = input!.data[o * lengths[k]! + i]!
      })
    return [pack(result!.dtype, out)]
  },

  Pad: ({ attributes: { pads, mode, value } }, [x], [result]) => {
    const [own, wanted] = [strides(x!.shape), strides(result!.shape)]
    const out = room([x!.data], result!.dtype, elements(result!.shape))
    for (let i = 0; i < out.length; i++) {
      let from: number | undefined = 0
      for (let d = 0; d < own.length && from !== undefined; d++) {
        const at = (Math.floor(i / wanted[d]!) % result!.shape[d]!) - pads[d]!
        const source = padSource(mode, at, x!.shape[d]!)
        from = source === undefined ? undefined : from + source * own[d]!
      }
      out[i] = from === undefined ? value : x!.data[from]!
    }
    return [out]
  },

  DepthToSpace: ({ attributes: { blockSize, mode } }, [x]) => {
    const { split, perm } = blocksOf(blockSize, mode, x!.shape)
    return [permuted(x!, split, perm)]
  },
  SpaceToDepth: ({ attributes: { blockSize: b } }, [x]) => {
    const [n, c, h, w] = x!.shape as [number, number, number, number]
    return [permuted(x!, [n, c, h / b, b, w / b, b], [0, 3, 5, 1, 2, 4])]
  },

  /** Upper keeps j ≥ i + k, lower j ≤ i + k. */
  Trilu: ({ attributes: { upper, k } }, [x], [result]) => {
    const [rows, columns] = x!.shape.slice(-2) as [number, number]
    const out = room([x!.data], result!.dtype, x!.data.length)
    for (let at = 0; at < out.length; at++) {
      const [i, j] = [Math.floor(at / columns) % rows, at % columns]
      out[at] = (upper ? j >= i + k : j <= i + k) ? x!.data[at]! : 0
    }
    return [out]
  },

  Range: ({ attributes: { start, limit, delta } }, _, [result]) => {
    if (!isStatic(limit)) return undefined
    const out = numbers(result!.dtype, elements(result!.shape))
    for (let i = 0; i < out.length; i++) out[i] = start + i * delta
    return [out]
  }
}

/** Shapes of operators that pick, scatter and suppress: some of their results are as long as the data decides. */
import type { Dim, Shape } from "./Dim.ts"
import { elementsAt, mulDim, openDim, sameDim, showShape } from "./Dim.ts"
import { refuse, unsupported } from "./Refusal.ts"
import type { ShapeRule } from "./shapeRule.ts"
import { mapDim, need, needRank, staticDim } from "./shapeRule.ts"

type Selections =
  | "ArgMax"
  | "Gather"
  | "GatherElements"
  | "GatherND"
  | "GridSample"
  | "NonMaxSuppression"
  | "NonZero"
  | "OneHot"
  | "RoiAlign"
  | "ScatterElements"
  | "ScatterND"
  | "TopK"

const axisOf = (shape: Shape, axis: number): Dim =>
  shape[axis] ?? refuse(`axis ${axis} does not exist in the shape ${showShape(shape)}`)

/** Whether indices can lie in data of that shape: no longer along any other axis. */
const checkRanks = (data: Shape, indices: Shape): void => {
  if (data.length !== indices.length)
    refuse(`indices ${showShape(indices)} and data ${showShape(data)} need equal ranks`)
}

export const selectionRules: { readonly [K in Selections]: ShapeRule<K> } = {
  ArgMax: (node, inputs) => {
    const { shape } = need(inputs, 0)
    const { axis, keepDims } = node.attributes
    axisOf(shape, axis)
    return [{ dtype: "int64", shape: keepDims ? shape.with(axis, 1) : shape.toSpliced(axis, 1) }]
  },
  Gather: (node, inputs) => {
    const [data, indices] = [needRank(inputs, 0, 1), need(inputs, 1)]
    const { axis } = node.attributes
    axisOf(data.shape, axis)
    return [
      {
        dtype: data.dtype,
        shape: [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)]
      }
    ]
  },
  GatherElements: (node, inputs) => {
    const [data, indices] = [needRank(inputs, 0, 1), need(inputs, 1)]
    checkRanks(data.shape, indices.shape)
    axisOf(data.shape, node.attributes.axis)
    return [{ dtype: data.dtype, shape: indices.shape }]
  },
  /** [batch…, rows…] then what is left of the data behind the indexed dimensions. */
  GatherND: (node, inputs) => {
    const [data, indices] = [needRank(inputs, 0, 1), needRank(inputs, 1, 1)]
    const depth = staticDim(indices.shape.at(-1)!, "the depth of the indices")
    const { batchDims } = node.attributes
    if (batchDims < 0 || batchDims + depth > data.shape.length || batchDims >= indices.shape.length)
      refuse(`indices ${showShape(indices.shape)} do not fit the data ${showShape(data.shape)}`)
    return [
      {
        dtype: data.dtype,
        shape: [...indices.shape.slice(0, -1), ...data.shape.slice(batchDims + depth)]
      }
    ]
  },
  GridSample: (_, inputs) => {
    const [x, grid] = [needRank(inputs, 0, 3), needRank(inputs, 1, 3)]
    checkRanks(x.shape, grid.shape)
    if (!sameDim(grid.shape.at(-1)!, x.shape.length - 2))
      refuse(`the grid ${showShape(grid.shape)} does not fit the input ${showShape(x.shape)}`)
    return [{ dtype: x.dtype, shape: [...x.shape.slice(0, 2), ...grid.shape.slice(1, -1)] }]
  },
  /** At most every box of every class and sample. */
  NonMaxSuppression: (node, inputs) => {
    const [boxes, scores] = [needRank(inputs, 0, 3, 3), needRank(inputs, 1, 3, 3)]
    if (!sameDim(boxes.shape[2]!, 4)) refuse(`boxes ${showShape(boxes.shape)} are not four numbers each`)
    const perClass = Math.min(elementsAt([boxes.shape[1]!], 1), node.attributes.mostPerClass)
    const most = elementsAt(scores.shape.slice(0, 2), 1) * perClass
    return [{ dtype: "int64", shape: [openDim(most, "kept"), 3] }]
  },
  NonZero: (_, inputs) => {
    const { shape } = need(inputs, 0)
    return [{ dtype: "int64", shape: [Math.max(1, shape.length), openDim(elementsAt(shape, 1), "nonzero")] }]
  },
  OneHot: (node, inputs) => {
    const { shape } = need(inputs, 0)
    const { axis, depth } = node.attributes
    if (axis > shape.length) refuse(`axis ${axis} is beyond the rank ${shape.length}`)
    return [{ dtype: "float32", shape: shape.toSpliced(axis, 0, depth) }]
  },
  RoiAlign: (node, inputs) => {
    const [x, rois] = [needRank(inputs, 0, 4, 4), needRank(inputs, 1, 2, 2)]
    const { height, width } = node.attributes
    return [{ dtype: x.dtype, shape: [rois.shape[0]!, x.shape[1]!, height, width] }]
  },
  ScatterElements: (node, inputs) => {
    const [data, indices, updates] = [needRank(inputs, 0, 1), need(inputs, 1), need(inputs, 2)]
    checkRanks(data.shape, indices.shape)
    checkRanks(data.shape, updates.shape)
    axisOf(data.shape, node.attributes.axis)
    return [{ dtype: data.dtype, shape: data.shape }]
  },
  ScatterND: (_, inputs) => {
    const [data, indices, updates] = [needRank(inputs, 0, 1), needRank(inputs, 1, 1), need(inputs, 2)]
    const depth = staticDim(indices.shape.at(-1)!, "the depth of the indices")
    const expected = [...indices.shape.slice(0, -1), ...data.shape.slice(depth)]
    const fits =
      depth <= data.shape.length &&
      expected.length === updates.shape.length &&
      expected.every((dim, i) => sameDim(dim, updates.shape[i]!))
    if (!fits)
      refuse(
        `updates ${showShape(updates.shape)} do not fit the indices ${showShape(indices.shape)} of ${showShape(data.shape)}`
      )
    return [{ dtype: data.dtype, shape: data.shape }]
  },
  TopK: (node, inputs) => {
    const { dtype, shape } = need(inputs, 0)
    const { axis, k } = node.attributes
    const along = axisOf(shape, axis)
    if (k < 0 || (typeof along === "number" && k > along))
      refuse(`k = ${k} is not within ${showShape([along])}`)
    const out = shape.with(axis, k)
    return [
      { dtype, shape: out },
      { dtype: "int64", shape: out }
    ]
  }
}

type Recurrences = "LSTM" | "GRU" | "RNN"

const recurrent =
  (states: number): ShapeRule<Recurrences> =>
  (node, inputs) => {
    const [x, w, r] = [needRank(inputs, 0, 3, 3), needRank(inputs, 1, 3, 3), needRank(inputs, 2, 3, 3)]
    const { hidden, direction, batchFirst } = node.attributes
    const directions = direction === "bidirectional" ? 2 : 1
    const gates = node.op === "LSTM" ? 4 : node.op === "GRU" ? 3 : 1
    const fits =
      sameDim(w.shape[0]!, directions) &&
      sameDim(r.shape[0]!, directions) &&
      sameDim(w.shape[1]!, gates * hidden) &&
      sameDim(r.shape[1]!, gates * hidden) &&
      sameDim(r.shape[2]!, hidden) &&
      sameDim(w.shape[2]!, x.shape[2]!)
    if (!fits)
      refuse(
        `weights ${showShape(w.shape)} and ${showShape(r.shape)} do not fit the input ${showShape(x.shape)} with ${hidden} hidden units`
      )
    const [sequence, batch] = batchFirst ? [x.shape[1]!, x.shape[0]!] : [x.shape[0]!, x.shape[1]!]
    const { dtype } = x
    const state = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden]
    const all = batchFirst ? [batch, sequence, directions, hidden] : [sequence, directions, batch, hidden]
    return [{ dtype, shape: all }, ...Array.from({ length: states }, () => ({ dtype, shape: state }))]
  }

/** y [sequence, directions, batch, hidden], then the last states [directions, batch, hidden]. */
export const recurrentRules: { readonly [K in Recurrences]: ShapeRule<K> } = {
  LSTM: recurrent(2),
  GRU: recurrent(1),
  RNN: recurrent(1)
}

/** Blocks of b × b positions become channels, or channels blocks. */
export const blockShape = (shape: Shape, b: number, toSpace: boolean): Shape => {
  if (!(b >= 1)) refuse(`blocksize ${b} must be positive`)
  const [n, c, h, w] = shape as readonly [Dim, Dim, Dim, Dim]
  const divided = (dim: Dim, by: number) =>
    mapDim(dim, "a dimension", (size) =>
      size % by === 0 || Number.isNaN(size) ? size / by : refuse(`${size} is no multiple of ${by}`)
    )
  const times = (dim: Dim, by: number) => mulDim(dim, by) ?? unsupported("its size depends on the batch")
  return toSpace
    ? [n, divided(c, b * b), times(h, b), times(w, b)]
    : [n, times(c, b * b), divided(h, b), divided(w, b)]
}

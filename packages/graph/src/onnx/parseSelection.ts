/** Rows of the parse table for recurrence and for operators that pick, scatter, sample and suppress. */
import { isStatic } from "../ir/Dim.ts"
import type { Op, RecurrentAttributes, Reduction } from "../ir/Op.ts"
import { refuse } from "../ir/Refusal.ts"
import type { Parse, RawNode } from "./rawNode.ts"
import { axis, input, ints, numberOr, positive, rank, resolveAxis } from "./rawNode.ts"

const recurrent = (raw: RawNode): RecurrentAttributes => {
  const w = input(raw, 2).shape.at(-1)
  return {
    hidden:
      raw.attributes.int("hidden_size", undefined) ??
      (w !== undefined && isStatic(w) ? w : refuse("has no hidden_size")),
    direction: raw.attributes.word("direction", "forward", ["forward", "reverse", "bidirectional"]),
    batchFirst: raw.attributes.flag("layout", false),
    activations: raw.attributes.strings("activations"),
    activationAlpha: raw.attributes.floats("activation_alpha"),
    activationBeta: raw.attributes.floats("activation_beta"),
    clip: raw.attributes.float("clip", undefined)
  }
}

const reduction = (raw: RawNode): Reduction =>
  raw.attributes.word("reduction", "none", ["none", "add", "mul", "max", "min"])

type Rows =
  | "LSTM"
  | "GRU"
  | "RNN"
  | "ArgMax"
  | "Gather"
  | "GatherElements"
  | "GatherND"
  | "NonMaxSuppression"
  | "NonZero"
  | "RoiAlign"
  | "ScatterElements"
  | "ScatterND"
  | "OneHot"
  | "TopK"
  | "CumSum"
  | "GridSample"
  | "Trilu"

export const selectionParsers: { readonly [K in Rows & Op]: Parse<K> } = {
  LSTM: (raw) => ({
    inputs: raw.inputs.length,
    attributes: { ...recurrent(raw), inputForget: raw.attributes.flag("input_forget", false) }
  }),
  GRU: (raw) => ({
    inputs: raw.inputs.length,
    attributes: {
      ...recurrent(raw),
      linearBeforeReset: raw.attributes.flag("linear_before_reset", false)
    }
  }),
  RNN: (raw) => ({ inputs: raw.inputs.length, attributes: recurrent(raw) }),

  ArgMax: (raw) => ({
    inputs: 1,
    attributes: {
      axis: axis(raw, "axis", 0),
      keepDims: raw.attributes.flag("keepdims", true),
      selectLast: raw.attributes.flag("select_last_index", false)
    }
  }),
  Gather: (raw) => ({ inputs: 2, attributes: { axis: axis(raw, "axis", 0) } }),
  GatherElements: (raw) => ({ inputs: 2, attributes: { axis: axis(raw, "axis", 0) } }),
  GatherND: (raw) => ({ inputs: 2, attributes: { batchDims: raw.attributes.int("batch_dims", 0) } }),
  NonMaxSuppression: (raw) => ({
    inputs: 2,
    attributes: {
      cornerForm: !raw.attributes.flag("center_point_box", false),
      mostPerClass: numberOr(raw, 2, 0),
      iouThreshold: numberOr(raw, 3, 0),
      scoreThreshold: numberOr(raw, 4, undefined)
    }
  }),
  NonZero: () => ({ inputs: 1, attributes: {} }),
  RoiAlign: (raw) => ({
    inputs: 3,
    attributes: {
      height: positive("output_height", raw.attributes.int("output_height", 1)),
      width: positive("output_width", raw.attributes.int("output_width", 1)),
      samplingRatio: raw.attributes.int("sampling_ratio", 0),
      spatialScale: raw.attributes.float("spatial_scale", 1),
      mode: raw.attributes.word("mode", "avg", ["avg", "max"]),
      halfPixel:
        raw.opset >= 16 &&
        raw.attributes.string("coordinate_transformation_mode", "half_pixel") === "half_pixel"
    }
  }),
  ScatterElements: (raw) => ({
    inputs: 3,
    attributes: { axis: axis(raw, "axis", 0), reduction: reduction(raw) }
  }),
  ScatterND: (raw) => ({ inputs: 3, attributes: { reduction: reduction(raw) } }),
  OneHot: (raw) => {
    const [off, on] = ints(raw, 2)
    return {
      inputs: 1,
      attributes: {
        axis: resolveAxis(raw.attributes.int("axis", -1), rank(raw) + 1),
        depth: ints(raw, 1)[0] ?? refuse("depth is empty"),
        values: [off ?? refuse("values are missing"), on ?? refuse("values needs two entries")]
      }
    }
  },
  TopK: (raw) => ({
    inputs: 1,
    attributes: {
      axis: axis(raw, "axis", -1),
      k: raw.attributes.int("k", undefined) ?? ints(raw, 1)[0] ?? refuse("k is missing"),
      largest: raw.attributes.flag("largest", true),
      sorted: raw.attributes.flag("sorted", true)
    }
  }),

  CumSum: (raw) => ({
    inputs: 1,
    attributes: {
      axis: resolveAxis(ints(raw, 1)[0] ?? refuse("axis is empty"), rank(raw)),
      exclusive: raw.attributes.flag("exclusive", false),
      reverse: raw.attributes.flag("reverse", false)
    }
  }),
  GridSample: (raw) => {
    const mode = raw.attributes.word("mode", "linear", ["linear", "bilinear", "nearest", "cubic", "bicubic"])
    return {
      inputs: 2,
      attributes: {
        mode: mode === "bilinear" ? "linear" : mode === "bicubic" ? "cubic" : mode,
        padding: raw.attributes.word("padding_mode", "zeros", ["zeros", "border", "reflection"]),
        alignCorners: raw.attributes.flag("align_corners", false)
      }
    }
  },
  Trilu: (raw) => ({
    inputs: 1,
    attributes: { upper: raw.attributes.flag("upper", true), k: numberOr(raw, 1, 0) }
  })
}

/** Rows of the parse table whose arguments are computed shapes: Reshape, Resize, Split. */
import type { Dim, Shape } from "../ir/Dim.ts"
import { dimAt, divDim, elementsOf, isBatch, isOpen, isStatic, mulDim, showShape } from "../ir/Dim.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"
import type { Parse, RawNode } from "./rawNode.ts"
import { attributeOrInput, axis, dims, has, input, intsOr, sizes } from "./rawNode.ts"

/** Resolves 0 (copy) and -1 (whatever is left) of ONNX's Reshape against the input's shape. */
export const targetOf = (raw: RawNode): Shape => {
  const from = input(raw, 0).shape
  const target: ReadonlyArray<Dim> = raw.attributes.ints("shape", undefined) ?? dims(raw, 1)
  const allowZero = raw.attributes.flag("allowzero", false)
  const copied = target.map((dim, i) => {
    if (dim !== 0 || allowZero) return dim
    return (
      from[i] ?? refuse(`target shape ${showShape(target)} copies dimension ${i}, which the input has not`)
    )
  })
  const open = copied.findIndex((dim) => dim === -1)
  const shape = open < 0 ? copied : copied.with(open, rest(from, copied, open))
  if (shape.some((dim) => isStatic(dim) && dim < 0))
    refuse(`target shape ${showShape(target)} is not a shape`)
  return shape
}

export const readReshape: Parse<"Reshape"> = (raw) => {
  const from = input(raw, 0).shape
  const shape = targetOf(raw)
  if (shape.some(isOpen)) {
    const unknown = shape.filter((dim) => !isStatic(dim)).length
    return unknown === 1
      ? { inputs: 1, attributes: { shape } }
      : unsupported(`the target shape ${showShape(shape)} is only known when it runs`)
  }
  if (from.some(isOpen)) return { inputs: 1, attributes: { shape } }
  for (const batch of [1, 2]) {
    const count = (of: ReadonlyArray<Dim>) => of.reduce<number>((n, dim) => n * dimAt(dim, batch), 1)
    if (count(shape) !== count(from)) {
      refuse(`cannot reshape ${showShape(from)} to ${showShape(shape)}: the numbers of elements differ`)
    }
  }
  return { inputs: 1, attributes: { shape } }
}

const rest = (from: ReadonlyArray<Dim>, target: ReadonlyArray<Dim>, open: number): Dim => {
  const others = target
    .filter((_, i) => i !== open)
    .reduce<Dim | undefined>((n, dim) => (n === undefined ? n : mulDim(n, dim)), 1)
  const all = elementsOf(from)
  const left = all === undefined || others === undefined ? undefined : divDim(all, others)
  return (
    left ?? refuse(`cannot reshape ${showShape(from)} to ${showShape(target)}: no whole number fits for -1`)
  )
}

const resizeScales = (raw: RawNode, index: number): ReadonlyArray<number> | undefined => {
  const given = intsOr(raw, index, undefined)
  return given === undefined || given.length === 0 ? undefined : given
}

/** Upsample (opset 7: attribute, 9: input 1), Resize 10 (input 1), Resize 11+ (roi, scales, sizes). */
export const readResize: Parse<"Resize"> = (raw) => {
  const from = input(raw, 0).shape
  const modern = raw.opType === "Resize" && raw.opset >= 11
  const axes = raw.attributes.ints("axes", undefined)
  const scalesGiven = raw.attributes.floats("scales") ?? resizeScales(raw, modern ? 2 : 1)
  const sizesGiven = modern && has(raw, 3) ? sizes(raw, 3) : undefined
  if (raw.attributes.string("keep_aspect_ratio_policy", "stretch") !== "stretch") {
    unsupported("keep_aspect_ratio_policy other than stretch is not supported")
  }
  const everyAxis = <T>(given: ReadonlyArray<T>, neutral: (i: number) => T): ReadonlyArray<T> =>
    axes === undefined ? given : from.map((_, i) => (axes.includes(i) ? given[axes.indexOf(i)]! : neutral(i)))
  const wanted = sizesGiven === undefined ? undefined : everyAxis<Dim>(sizesGiven, (i) => from[i]!)
  if (wanted !== undefined && wanted.length !== from.length)
    refuse(`has ${wanted.length} sizes for a tensor of rank ${from.length}`)
  if (wanted?.some(isOpen)) unsupported("its sizes are only known when it runs")
  const scales =
    wanted !== undefined
      ? wanted.map((dim, i) => dimAt(dim, 1) / dimAt(from[i]!, 1))
      : everyAxis(scalesGiven ?? refuse("has neither scales nor sizes"), () => 1)
  if (scales.length !== from.length) refuse(`has ${scales.length} scales for a tensor of rank ${from.length}`)
  if (scales.some((scale, i) => isBatch(from[i]!) && scale !== 1)) unsupported("resizes the batch dimension")
  if (wanted === undefined && scales.some((scale) => !(scale > 0))) refuse("has scales that are not positive")
  return {
    inputs: 1,
    attributes: {
      mode: raw.attributes.word("mode", "nearest", ["nearest", "linear", "cubic"]),
      coordinates: modern
        ? raw.attributes.word("coordinate_transformation_mode", "half_pixel", [
            "half_pixel",
            "half_pixel_symmetric",
            "pytorch_half_pixel",
            "align_corners",
            "asymmetric",
            "tf_crop_and_resize"
          ])
        : "asymmetric",
      nearestMode: modern
        ? raw.attributes.word("nearest_mode", "round_prefer_floor", [
            "round_prefer_floor",
            "round_prefer_ceil",
            "floor",
            "ceil"
          ])
        : "floor",
      cubicCoefficient: raw.attributes.float("cubic_coeff_a", -0.75),
      excludeOutside: raw.attributes.flag("exclude_outside", false),
      antialias: raw.attributes.flag("antialias", false),
      scales,
      sizes: wanted
    }
  }
}

/** Sizes are given, or the dimension is divided evenly (the last part smaller from opset 18 on). */
export const readSplit: Parse<"Split"> = (raw) => {
  const along = axis(raw, "axis", 0)
  const given = attributeOrInput(raw, "split", 1, undefined)
  if (given !== undefined) {
    if (given.length !== raw.outputs.length)
      refuse(`makes ${given.length} parts for ${raw.outputs.length} outputs`)
    return { inputs: 1, attributes: { axis: along, sizes: given } }
  }
  const dim = input(raw, 0).shape[along]!
  if (!isStatic(dim)) return unsupported("splits the batch or an open dimension")
  const parts = raw.attributes.int("num_outputs", raw.outputs.length)
  if (parts !== raw.outputs.length) refuse(`makes ${parts} parts for ${raw.outputs.length} outputs`)
  const each = Math.ceil(dim / parts)
  const sizes = Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(each, dim - i * each)))
  return { inputs: 1, attributes: { axis: along, sizes } }
}

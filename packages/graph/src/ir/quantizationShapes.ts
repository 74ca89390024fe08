/** Shapes of quantizing and dequantizing: x's own, with scales that have to fit it. */
import type { Shape } from "./Dim.ts"
import { dimAt, elementsAt, sameDim, showShape } from "./Dim.ts"
import type { Value } from "./Graph.ts"
import { refuse } from "./Refusal.ts"
import { isFloat } from "./Tensor.ts"
import type { ShapeRule } from "./shapeRule.ts"
import { need } from "./shapeRule.ts"

/** One scale for all, one an index of the axis, or one a block along it; zero points likewise. */
const checkScale = (
  shape: Shape,
  inputs: ReadonlyArray<Value | undefined>,
  { axis, blockSize }: { readonly axis: number; readonly blockSize: number }
): void => {
  const scale = need(inputs, 1)
  if (!isFloat(scale.dtype)) refuse(`has scales of ${scale.dtype}`)
  const zero = inputs[2]
  if (zero !== undefined && elementsAt(zero.shape, 1) !== elementsAt(scale.shape, 1))
    refuse(`has zero points ${showShape(zero.shape)} for scales ${showShape(scale.shape)}`)
  if (blockSize > 0) {
    const fits =
      scale.shape.length === shape.length &&
      shape.every((dim, i) =>
        sameDim(scale.shape[i]!, i === axis ? Math.ceil(dimAt(dim, 1) / blockSize) : dim)
      )
    if (!fits)
      refuse(`scales ${showShape(scale.shape)} do not make blocks of ${blockSize} in ${showShape(shape)}`)
    return
  }
  if (elementsAt(scale.shape, 1) === 1) return
  const along = shape[axis]
  if (scale.shape.length !== 1 || along === undefined || !sameDim(scale.shape[0]!, along))
    refuse(`scales ${showShape(scale.shape)} do not fit axis ${axis} of ${showShape(shape)}`)
}

type Quantizations = "QuantizeLinear" | "DequantizeLinear"

export const quantizationRules: { readonly [K in Quantizations]: ShapeRule<K> } = {
  QuantizeLinear: (node, inputs) => {
    const { shape } = need(inputs, 0)
    checkScale(shape, inputs, node.attributes)
    return [{ dtype: node.attributes.to, shape }]
  },
  DequantizeLinear: (node, inputs) => {
    const { shape, dtype } = need(inputs, 0)
    if (dtype === "opaque" || dtype === "bool") refuse(`has codes of ${dtype}`)
    checkScale(shape, inputs, node.attributes)
    return [{ dtype: need(inputs, 1).dtype, shape }]
  }
}

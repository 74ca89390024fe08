/** Shapes of sliding windows: convolutions, and the window arithmetic pooling shares with them. */
import type { Shape } from "./Dim.ts"
import { divDim, isStatic, mulDim, sameDim, showShape } from "./Dim.ts"
import type { Window } from "./Op.ts"
import { refuse } from "./Refusal.ts"
import type { ShapeRule } from "./shapeRule.ts"
import { need, staticDim } from "./shapeRule.ts"

/** floor or ceil((in + pads − dilation·(kernel−1) − 1) / stride) + 1; a ceil window must start inside the input or its left pad. */
export const windowOutput = (shape: Shape, window: Window, ceilMode: boolean): Shape =>
  shape.slice(2).map((dim, i) => {
    if (!isStatic(dim)) return refuse(`spatial dimension ${i} depends on the batch size`)
    const n = window.kernel.length
    const [begin, end] = [window.pads[i]!, window.pads[i + n]!]
    const span = dim + begin + end - window.dilations[i]! * (window.kernel[i]! - 1) - 1
    if (span < 0)
      return refuse(
        `the kernel ${window.kernel.join("×")} is larger than the padded input ${showShape(shape)}`
      )
    const steps = (ceilMode ? Math.ceil : Math.floor)(span / window.strides[i]!) + 1
    return ceilMode && (steps - 1) * window.strides[i]! >= dim + begin ? steps - 1 : steps
  })

type ConvolutionOps = "Conv" | "ConvTranspose" | "ConvWeightGradient"

export const convolutionRules: { readonly [K in ConvolutionOps]: ShapeRule<K> } = {
  /** [N,C,…] * [M,C/groups,…] → [N,M,…]. */
  Conv: (node, inputs) => {
    const [x, w] = [need(inputs, 0), need(inputs, 1)]
    const channels = w.shape[1]
    const expected = channels === undefined ? undefined : mulDim(channels, node.attributes.groups)
    if (x.shape.length !== w.shape.length || expected === undefined || !sameDim(x.shape[1]!, expected)) {
      refuse(
        `weights ${showShape(w.shape)} in ${node.attributes.groups} groups do not fit the input ${showShape(x.shape)}`
      )
    }
    return [
      { dtype: x.dtype, shape: [x.shape[0]!, w.shape[0]!, ...windowOutput(x.shape, node.attributes, false)] }
    ]
  },

  /** out = stride·(in − 1) + outputPadding + dilation·(kernel − 1) + 1 − pads. */
  ConvTranspose: (node, inputs) => {
    const [x, w] = [need(inputs, 0), need(inputs, 1)]
    const { kernel, strides, dilations, pads, outputPadding, groups } = node.attributes
    if (!sameDim(x.shape[1]!, w.shape[0]!)) {
      refuse(`weights ${showShape(w.shape)} do not fit the input ${showShape(x.shape)}`)
    }
    const out = x.shape.slice(2).map((dim, i) => {
      const size = staticDim(dim, `spatial dimension ${i}`)
      const pad = pads[i]! + pads[i + kernel.length]!
      return strides[i]! * (size - 1) + outputPadding[i]! + dilations[i]! * (kernel[i]! - 1) + 1 - pad
    })
    return [{ dtype: x.dtype, shape: [x.shape[0]!, staticDim(w.shape[1]!, "the weights") * groups, ...out] }]
  },

  /** x [N,C,…], g [N,M,…] → [M,C/groups,kernel…]. */
  ConvWeightGradient: (node, inputs) => {
    const [x, g] = [need(inputs, 0), need(inputs, 1)]
    const { kernel, groups } = node.attributes
    const channels = divDim(x.shape[1]!, groups) ?? refuse(`its channels do not make ${groups} groups`)
    return [{ dtype: x.dtype, shape: [g.shape[1]!, channels, ...kernel] }]
  }
}

/** Shapes of sliding windows: convolutions, and the window arithmetic pooling shares with them. */
import type { Dim, Shape } from "./Dim.ts"
import { divDim, mulDim, sameDim, showShape } from "./Dim.ts"
import type { Value } from "./Graph.ts"
import type { Window } from "./Op.ts"
import { refuse } from "./Refusal.ts"
import type { ShapeRule } from "./shapeRule.ts"
import { mapDim, need, needRank } from "./shapeRule.ts"

/** floor or ceil((in + pads − dilation·(kernel−1) − 1) / stride) + 1; a ceil window must start inside the input or its left pad. */
export const windowOutput = (shape: Shape, window: Window, ceilMode: boolean): Shape =>
  shape.slice(2).map((dim, i) =>
    mapDim(dim, `spatial dimension ${i}`, (size) => {
      const n = window.kernel.length
      const [begin, end] = [window.pads[i]!, window.pads[i + n]!]
      const span = size + begin + end - window.dilations[i]! * (window.kernel[i]! - 1) - 1
      if (span < 0)
        return refuse(
          `the kernel ${window.kernel.join("×")} is larger than the padded input ${showShape(shape)}`
        )
      const steps = (ceilMode ? Math.ceil : Math.floor)(span / window.strides[i]!) + 1
      return ceilMode && (steps - 1) * window.strides[i]! >= size + begin ? steps - 1 : steps
    })
  )

const checkBias = (bias: Value | undefined, channels: Dim): void => {
  if (bias !== undefined && !(bias.shape.length === 1 && sameDim(bias.shape[0]!, channels)))
    refuse(`the bias ${showShape(bias.shape)} does not fit ${showShape([channels])} output channels`)
}

type ConvolutionOps = "Conv" | "ConvTranspose" | "ConvWeightGradient"

export const convolutionRules: { readonly [K in ConvolutionOps]: ShapeRule<K> } = {
  /** [N,C,…] * [M,C/groups,…] → [N,M,…]. */
  Conv: (node, inputs) => {
    const [x, w] = [needRank(inputs, 0, 3), needRank(inputs, 1, 3)]
    const expected = mulDim(w.shape[1]!, node.attributes.groups)
    const filters = divDim(w.shape[0]!, node.attributes.groups)
    const fits = expected !== undefined && filters !== undefined && sameDim(x.shape[1]!, expected)
    if (x.shape.length !== w.shape.length || !fits) {
      refuse(
        `weights ${showShape(w.shape)} in ${node.attributes.groups} groups do not fit the input ${showShape(x.shape)}`
      )
    }
    checkBias(inputs[2], w.shape[0]!)
    return [
      { dtype: x.dtype, shape: [x.shape[0]!, w.shape[0]!, ...windowOutput(x.shape, node.attributes, false)] }
    ]
  },

  /** out = stride·(in − 1) + outputPadding + dilation·(kernel − 1) + 1 − pads. */
  ConvTranspose: (node, inputs) => {
    const [x, w] = [needRank(inputs, 0, 3), needRank(inputs, 1, 3)]
    const { kernel, strides, dilations, pads, outputPadding, groups } = node.attributes
    const fits = sameDim(x.shape[1]!, w.shape[0]!) && divDim(w.shape[0]!, groups) !== undefined
    if (x.shape.length !== w.shape.length || !fits) {
      refuse(`weights ${showShape(w.shape)} do not fit the input ${showShape(x.shape)}`)
    }
    const out = x.shape.slice(2).map((dim, i) =>
      mapDim(dim, `spatial dimension ${i}`, (size) => {
        const pad = pads[i]! + pads[i + kernel.length]!
        return strides[i]! * (size - 1) + outputPadding[i]! + dilations[i]! * (kernel[i]! - 1) + 1 - pad
      })
    )
    const filters = mulDim(w.shape[1]!, groups) ?? refuse("the weights depend on the batch")
    checkBias(inputs[2], filters)
    return [{ dtype: x.dtype, shape: [x.shape[0]!, filters, ...out] }]
  },

  /** x [N,C,…], g [N,M,…] → [M,C/groups,kernel…]. */
  ConvWeightGradient: (node, inputs) => {
    const [x, g] = [need(inputs, 0), need(inputs, 1)]
    const { kernel, groups } = node.attributes
    const channels = divDim(x.shape[1]!, groups) ?? refuse(`its channels do not make ${groups} groups`)
    return [{ dtype: x.dtype, shape: [g.shape[1]!, channels, ...kernel] }]
  }
}

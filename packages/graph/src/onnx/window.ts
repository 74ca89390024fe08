/** Window geometry of convolutions and pools from ONNX attributes, with auto_pad turned into pads. */
import type { Window } from "../ir/Op.ts"
import type { Shape } from "../ir/Dim.ts"
import { isStatic } from "../ir/Dim.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"
import type { RawNode } from "./rawNode.ts"
import { input } from "./rawNode.ts"

const ones = (n: number): ReadonlyArray<number> => Array.from({ length: n }, () => 1)

const perDimension = (name: string, list: ReadonlyArray<number>, n: number): ReadonlyArray<number> =>
  list.length === n ? list : refuse(`${name} = [${list.join(",")}] should have ${n} entries`)

/**
 * Pads that make the output ceil(input / stride) wide (SAME_UPPER, SAME_LOWER); the odd one goes to the end or
 * to the beginning.
 */
const samePads = (
  size: Shape,
  kernel: ReadonlyArray<number>,
  strides: ReadonlyArray<number>,
  dilations: ReadonlyArray<number>,
  oddAtEnd: boolean
): ReadonlyArray<number> => {
  const totals = size.map((dim, i) => {
    // At stride 1 the padding is the same for every length.
    if (!isStatic(dim) && strides[i] === 1) return dilations[i]! * (kernel[i]! - 1)
    const length = isStatic(dim) ? dim : unsupported("auto_pad depends on an open dimension")
    const out = Math.ceil(length / strides[i]!)
    return Math.max(0, (out - 1) * strides[i]! + dilations[i]! * (kernel[i]! - 1) + 1 - length)
  })
  const small = totals.map((total) => Math.floor(total / 2))
  const large = totals.map((total) => Math.ceil(total / 2))
  return oddAtEnd ? [...small, ...large] : [...large, ...small]
}

export const readWindow = (raw: RawNode, kernelShape: ReadonlyArray<number>): Window => {
  const shape = input(raw, 0).shape
  if (shape.length < 3) refuse(`slides a window over a tensor of rank ${shape.length}`)
  const size = shape.slice(2)
  const n = size.length
  const kernel = perDimension("kernel_shape", kernelShape, n)
  const strides = perDimension("strides", raw.attributes.ints("strides", ones(n)), n)
  const dilations = perDimension("dilations", raw.attributes.ints("dilations", ones(n)), n)
  if (kernel.some((length) => !(length >= 1))) refuse(`kernel_shape = [${kernel.join(",")}] must be positive`)
  if (strides.some((stride) => stride < 1)) refuse(`strides = [${strides.join(",")}] must be positive`)
  if (dilations.some((dilation) => dilation < 1))
    refuse(`dilations = [${dilations.join(",")}] must be positive`)
  const none = Array.from({ length: 2 * n }, () => 0)
  const autoPad = raw.attributes.word("auto_pad", "NOTSET", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
  const pads =
    autoPad === "NOTSET"
      ? perDimension("pads", raw.attributes.ints("pads", none), 2 * n)
      : autoPad === "VALID"
        ? none
        : samePads(size, kernel, strides, dilations, autoPad === "SAME_UPPER")
  return { kernel, strides, dilations, pads }
}

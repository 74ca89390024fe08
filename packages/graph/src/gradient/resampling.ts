/**
 * Pullbacks of resizing and of padding with the input's own values: along each dimension the result is a matrix known
 * in advance times the input, y = M·x, and the gradient is Mᵀ·g.
 */
import { float32 } from "../ir/Tensor.ts"
import type { Algebra } from "./Algebra.ts"
import { interpolation } from "./interpolation.ts"
import type { At, Pullback } from "./Pullback.ts"
import { NotDifferentiable } from "./Pullback.ts"

type Rows = "Pad" | "Resize"

/** x's dimension `axis` multiplied by a matrix [in, out]. */
const alongAxis = (e: Algebra, x: string, matrix: string, axis: number): string => {
  const axes = e.shape(x).map((_, i) => i)
  const perm = [...axes.filter((i) => i !== axis), axis]
  const inverse = axes.map((i) => perm.indexOf(i))
  return e.transpose(e.matmul(e.transpose(x, perm), matrix), inverse)
}

const resize = ({ e, g, x: [x], y, attributes, node }: At<"Resize">): string => {
  const [from, to] = [e.shape(x), e.shape(y)]
  return from.reduce((gradient, size, axis) => {
    if (size === to[axis]) return gradient
    const weights = interpolation(attributes, size, to[axis]!, axis)
    if (weights === undefined)
      throw NotDifferentiable.at(
        node,
        `no pullback for ${attributes.antialias ? "antialiased" : attributes.mode} ${attributes.coordinates} resizing`
      )
    return alongAxis(e, gradient, e.constant(float32([to[axis]!, size], weights)), axis)
  }, g)
}

/** Which input element lies at a position outside 0…size−1. */
const outside: { readonly [K in "reflect" | "edge" | "wrap"]: (at: number, size: number) => number } = {
  reflect: (at, size) => {
    const period = Math.max(1, 2 * (size - 1))
    const turned = ((at % period) + period) % period
    return turned < size ? turned : period - turned
  },
  edge: (at, size) => Math.min(size - 1, Math.max(0, at)),
  wrap: (at, size) => ((at % size) + size) % size
}

const pad = ({ e, g, x: [x], y, attributes: { pads, mode } }: At<"Pad">): string => {
  const [from, to] = [e.shape(x), e.shape(y)]
  if (mode === "constant")
    return e.pad(
      g,
      pads.map((amount) => -amount)
    )
  return from.reduce((gradient, size, axis) => {
    const length = to[axis]!
    if (pads[axis] === 0 && length === size) return gradient
    const weights = new Float32Array(length * size)
    for (let at = 0; at < length; at++) weights[at * size + outside[mode](at - pads[axis]!, size)] = 1
    return alongAxis(e, gradient, e.constant(float32([length, size], weights)), axis)
  }, g)
}

export const resampling: { readonly [K in Rows]: Pullback<K> } = {
  Pad: (at) => [pad(at)],
  Resize: (at) => [resize(at)]
}

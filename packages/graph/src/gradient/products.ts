/**
 * Pullbacks of matrix products and convolutions.
 *
 * ⟨g, Conv(x, w)⟩ is linear in each of x, w and g; its three derivatives are ConvTranspose(g, w),
 * ConvWeightGradient(x, g) and Conv(x, w), so the three operators are closed under differentiation: a
 * Hessian-vector product of a convolutional network is made of convolutions again.
 */
import { elements } from "../ir/Dim.ts"
import type { ConvAttributes, ConvTransposeAttributes } from "../ir/Op.ts"
import type { Algebra } from "./Algebra.ts"
import type { Pullback } from "./Pullback.ts"

type Rows = "Conv" | "ConvTranspose" | "ConvWeightGradient" | "Gemm" | "MatMul"

/** Σ over samples and positions: [N,M,…] → [M]. */
const biasGradient = (e: Algebra, g: string): string =>
  e.sum(
    g,
    e.shape(g).flatMap((_, i) => (i === 1 ? [] : [i]))
  )

/** The window alone, without a transposed convolution's output padding. */
const windowOf = ({ kernel, strides, dilations, pads, groups }: ConvAttributes): ConvAttributes => ({
  kernel,
  strides,
  dilations,
  pads,
  groups
})

/** ∂⟨g, Conv(x,w)⟩/∂x. What the stride leaves over at the input's end is output padding. */
const inputGradient = (
  e: Algebra,
  g: string,
  w: string,
  spatial: ReadonlyArray<number>,
  attributes: ConvAttributes
): string => {
  const { kernel, strides, dilations, pads } = attributes
  const n = kernel.length
  const outputPadding = e
    .shape(g)
    .slice(2)
    .map((size, i) => {
      const reached =
        strides[i]! * (size - 1) + dilations[i]! * (kernel[i]! - 1) + 1 - pads[i]! - pads[i + n]!
      return spatial[i]! - reached
    })
  return e.apply("ConvTranspose", [g, w], { ...windowOf(attributes), outputPadding })
}

const weightGradient = (e: Algebra, x: string, g: string, attributes: ConvAttributes): string =>
  e.apply("ConvWeightGradient", [x, g], windowOf(attributes))

/** A transposed convolution is what a convolution of these attributes has for an input gradient. */
const transposedWindow = ({ outputPadding: _, ...window }: ConvTransposeAttributes): ConvAttributes => window

/** A vector operand gains the dimension the product needs: [K] → [1,K] on the left, [K,1] on the right. */
const asMatrix = (e: Algebra, name: string, side: "left" | "right"): string => {
  const shape = e.shape(name)
  return shape.length > 1 ? name : e.reshape(name, side === "left" ? [1, ...shape] : [...shape, 1])
}

/** Every dimension but the last becomes rows. */
const rows = (e: Algebra, name: string): string => {
  const shape = e.shape(name)
  return e.reshape(name, [elements(shape.slice(0, -1)), shape.at(-1)!])
}

export const products: { readonly [K in Rows]: Pullback<K> } = {
  Conv: ({ e, g, x: [x, w], attributes }) => [
    inputGradient(e, g, w, e.shape(x).slice(2), attributes),
    weightGradient(e, x, g, attributes),
    biasGradient(e, g)
  ],
  /** y = ∂⟨x, Conv(y,w)⟩/∂y, so ∂x = Conv(g, w) and ∂w = ConvWeightGradient(g, x). */
  ConvTranspose: ({ e, g, x: [x, w], attributes }) => [
    e.apply("Conv", [g, w], transposedWindow(attributes)),
    weightGradient(e, g, x, attributes),
    biasGradient(e, g)
  ],
  /** v being the gradient with respect to w: ∂x = ConvTranspose(h, v), ∂h = Conv(x, v). */
  ConvWeightGradient: ({ e, g: v, x: [x, h], attributes }) => [
    inputGradient(e, h, v, e.shape(x).slice(2), attributes),
    e.apply("Conv", [x, v], windowOf(attributes))
  ],

  /** y = α·A·B + β·C with A, B perhaps transposed:  ∂A = α·g·Bᵀ, ∂B = α·Aᵀ·g, ∂C = β·g */
  Gemm: ({ e, g, x: [a, b, c], attributes: { alpha, beta, transA, transB } }) => {
    const gemm = (left: string, right: string, transA: boolean, transB: boolean) =>
      e.apply("Gemm", [left, right], { alpha, beta: 1, transA, transB })
    return [
      transA ? gemm(b, g, transB, true) : gemm(g, b, false, !transB),
      transB ? gemm(g, a, true, transA) : gemm(a, g, !transA, false),
      c === "" ? undefined : e.scale(beta, g)
    ]
  },

  /** ∂A = g·Bᵀ, ∂B = Aᵀ·g; a B without leading dimensions takes all rows of A at once. */
  MatMul: ({ e, g, x: [a, b] }) => {
    const [left, right] = [asMatrix(e, a, "left"), asMatrix(e, b, "right")]
    const outer = e.shape(g).slice(0, e.rank(g) - (e.rank(a) > 1 ? 1 : 0) - (e.rank(b) > 1 ? 1 : 0))
    const full = e.reshape(g, [...outer, e.shape(left).at(-2)!, e.shape(right).at(-1)!])
    const da = e.matmul(full, e.transposeLast(right))
    const db =
      e.rank(right) === 2
        ? e.matmul(e.transpose(rows(e, left), [1, 0]), rows(e, full))
        : e.matmul(e.transposeLast(left), full)
    const back = (gradient: string, matrix: string, input: string) =>
      e.reshape(e.sumTo(gradient, e.shape(matrix)), e.shape(input))
    return [back(da, left, a), back(db, right, b)]
  }
}

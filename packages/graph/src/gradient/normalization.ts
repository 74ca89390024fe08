/** Pullbacks of normalisations and softmax. x̂ is the normalised input, σ = √(variance + ε), ḡ = g·γ. */
import type { Algebra } from "./Algebra.ts"
import type { Pullback } from "./Pullback.ts"

type Rows =
  | "BatchNormalization"
  | "LayerNormalization"
  | "InstanceNormalization"
  | "LRN"
  | "Softmax"
  | "LogSoftmax"

/** A vector over the channels, shaped to broadcast against [N,C,…]. */
const perChannel = (e: Algebra, vector: string, rank: number): string =>
  e.reshape(vector, [e.shape(vector)[0]!, ...Array.from({ length: rank - 2 }, () => 1)])

interface Normalised {
  /** (x − μ)/σ */
  readonly xhat: string
  /** 1/σ */
  readonly inverse: string
}

const normalised = (e: Algebra, x: string, axes: ReadonlyArray<number>, epsilon: number): Normalised => {
  const centred = e.sub(x, e.mean(x, axes, true))
  const variance = e.mean(e.square(centred), axes, true)
  const inverse = e.unary("Reciprocal", e.unary("Sqrt", e.shift(variance, epsilon)))
  return { xhat: e.mul(centred, inverse), inverse }
}

/** ∂x = (ḡ − mean ḡ − x̂·mean(ḡ·x̂))/σ */
const throughStatistics = (
  e: Algebra,
  gbar: string,
  { xhat, inverse }: Normalised,
  axes: ReadonlyArray<number>
): string => {
  const projected = e.mul(xhat, e.mean(e.mul(gbar, xhat), axes, true))
  return e.mul(inverse, e.sub(e.sub(gbar, e.mean(gbar, axes, true)), projected))
}

/** Σ over `before` channels before and `after` after each one. */
const channelWindow = (e: Algebra, x: string, before: number, after: number): string => {
  const [rank, channels] = [e.rank(x), e.shape(x)[1]!]
  const pads = Array.from({ length: 2 * rank }, (_, i) => (i === 1 ? before : i === rank + 1 ? after : 0))
  const padded = e.pad(x, pads)
  return Array.from({ length: before + after + 1 }, (_, i) =>
    e.slice(padded, [1], [i], [i + channels])
  ).reduce((sum, part) => e.add(sum, part))
}

export const normalization: { readonly [K in Rows]: Pullback<K> } = {
  /** y = γ(x − μ)/σ + β with given μ, σ²:  ∂x = ḡ/σ, ∂γ = Σ g·x̂, ∂β = Σ g, ∂μ = −Σ ḡ/σ, ∂σ² = −½ Σ ḡ·x̂/σ² */
  BatchNormalization: ({ e, g, x: [x, scale, , mean, variance], attributes: { epsilon } }) => {
    const rank = e.rank(x)
    const axes = e.shape(x).flatMap((_, i) => (i === 1 ? [] : [i]))
    const inverse = e.unary("Reciprocal", e.unary("Sqrt", e.shift(variance, epsilon)))
    const wide = perChannel(e, inverse, rank)
    const xhat = e.mul(e.sub(x, perChannel(e, mean, rank)), wide)
    const dscale = e.sum(e.mul(g, xhat), axes)
    const dbias = e.sum(g, axes)
    const factor = e.mul(scale, inverse)
    return [
      e.mul(g, perChannel(e, factor, rank)),
      dscale,
      dbias,
      e.neg(e.mul(dbias, factor)),
      e.scale(-0.5, e.mul(dscale, e.mul(factor, inverse)))
    ]
  },
  /** over axis…rank−1:  ∂γ = Σ g·x̂, ∂β = Σ g */
  LayerNormalization: ({ e, g, x: [x, scale, bias], attributes: { axis, epsilon } }) => {
    const axes = e.shape(x).flatMap((_, i) => (i >= axis ? [i] : []))
    const norm = normalised(e, x, axes, epsilon)
    return [
      throughStatistics(e, e.mul(g, scale), norm, axes),
      e.mul(g, norm.xhat),
      bias === "" ? undefined : g
    ]
  },
  /** over the spatial dimensions of each sample and channel */
  InstanceNormalization: ({ e, g, x: [x, scale], attributes: { epsilon } }) => {
    const rank = e.rank(x)
    const axes = e.shape(x).flatMap((_, i) => (i >= 2 ? [i] : []))
    const norm = normalised(e, x, axes, epsilon)
    return [
      throughStatistics(e, e.mul(g, perChannel(e, scale, rank)), norm, axes),
      e.sum(e.mul(g, norm.xhat), [0, ...axes]),
      e.sum(g, [0, ...axes])
    ]
  },
  /** y = x·dᵝ⁻, d = bias + α/n·Σ x² over a window:  g·d⁻ᵝ − (2αβ/n)·x·Σ′ g·x·d⁻ᵝ⁻¹, Σ′ the mirrored window */
  LRN: ({ e, g, x: [x], attributes: { size, alpha, beta, bias } }) => {
    const [before, after] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)]
    const d = e.shift(e.scale(alpha / size, channelWindow(e, e.square(x), before, after)), bias)
    const power = e.binary("Pow", d, e.number(-beta, d))
    const spread = channelWindow(e, e.mul(g, e.mul(x, e.div(power, d))), after, before)
    return [e.sub(e.mul(g, power), e.scale((2 * alpha * beta) / size, e.mul(x, spread)))]
  },
  /** y·(g − Σ g·y) */
  Softmax: ({ e, g, y, attributes: { axis } }) => {
    const gy = e.mul(g, y)
    return [e.sub(gy, e.mul(y, e.sum(gy, [axis], true)))]
  },
  /** g − exp(y)·Σ g */
  LogSoftmax: ({ e, g, y, attributes: { axis } }) => [e.sub(g, e.mul(e.exp(y), e.sum(g, [axis], true)))]
}

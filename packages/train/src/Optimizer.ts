/**
 * Optimizers as graph operators: from parameters p, their gradient g and the optimizer's memory to the next ones, all of
 * them one vector each.
 *
 *   sgd    m ← μm + g + λp;  p ← p − ηm
 *   adam   g ← g + λp;  m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²;  p ← p − η·(m·c₁)/(√(v·c₂) + ε)
 *   adamw  as adam, but the decay is apart from the gradient:  p ← p − ηλp first
 *
 * as PyTorch computes them; c₁ = 1/(1 − β₁ᵗ), c₂ = 1/(1 − β₂ᵗ) at step t from 1 on. (Kingma & Ba 2015; Loshchilov & Hutter,
 * "Decoupled Weight Decay Regularization", 2019.) η and λ may differ from entry to entry.
 */
import type { Gradient } from "@bitbudget/graph"

export const optimizers = ["sgd", "adam", "adamw"] as const
export type OptimizerName = (typeof optimizers)[number]

export interface Settings {
  readonly optimizer: OptimizerName
  readonly momentum: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
}

export const usual: Omit<Settings, "optimizer"> = { momentum: 0.9, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }

/** Vectors of the optimizer's memory; all start at 0. */
export const memoryOf = (optimizer: OptimizerName): ReadonlyArray<"mean" | "square"> =>
  optimizer === "sgd" ? ["mean"] : ["mean", "square"]

/** c₁ and c₂ at a step counted from 1; 1 where there are none. */
export const corrections = ({ optimizer, beta1, beta2 }: Settings, step: number): readonly [number, number] =>
  optimizer === "sgd" ? [1, 1] : [1 / (1 - beta1 ** step), 1 / (1 - beta2 ** step)]

export interface State {
  readonly parameters: string
  readonly memory: ReadonlyArray<string>
}

export interface Given {
  readonly gradient: string
  /** η, a scalar or of the parameters' shape. */
  readonly rate: string
  /** λ, a scalar or of the parameters' shape; undefined: no decay. */
  readonly decay: string | undefined
  readonly corrections: readonly [string, string]
}

/** p − η·d. */
const moved = (e: Gradient.Algebra, p: string, rate: string, d: string): string => e.sub(p, e.mul(rate, d))

export const update = (
  e: Gradient.Algebra,
  { optimizer, momentum, beta1, beta2, epsilon }: Settings,
  { parameters: p, memory: [m = "", v = ""] }: State,
  { gradient, rate, decay, corrections: [first, second] }: Given
): State => {
  const isApart = optimizer === "adamw"
  const g = decay === undefined || isApart ? gradient : e.add(gradient, e.mul(decay, p))
  if (optimizer === "sgd") {
    const mean = e.add(e.scale(momentum, m), g)
    return { parameters: moved(e, p, rate, mean), memory: [mean] }
  }
  const mean = e.add(e.scale(beta1, m), e.scale(1 - beta1, g))
  const square = e.add(e.scale(beta2, v), e.scale(1 - beta2, e.square(g)))
  const root = e.unary("Sqrt", e.mul(square, second))
  const direction = e.div(e.mul(mean, first), e.shift(root, epsilon))
  const start = isApart && decay !== undefined ? moved(e, p, rate, e.mul(decay, p)) : p
  return { parameters: moved(e, start, rate, direction), memory: [mean, square] }
}

/** ‖g‖ and the gradient with its norm at most `limit`: g·min(1, limit/(‖g‖ + 10⁻⁶)). */
export const clipped = (
  e: Gradient.Algebra,
  gradient: string,
  limit: number | undefined
): { readonly norm: string; readonly gradient: string } => {
  const norm = e.unary("Sqrt", e.total(e.square(gradient)))
  if (limit === undefined) return { norm, gradient }
  const factor = e.binary("Min", e.div(e.number(limit), e.shift(norm, 1e-6)), e.number(1))
  return { norm, gradient: e.mul(gradient, factor) }
}

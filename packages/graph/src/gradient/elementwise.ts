/** Pullbacks of operators applied element by element. Rows open with the derivative; [c] is 1 where c holds, else 0. */
import { size, values } from "../ir/Tensor.ts"
import type { BinaryOps, UnaryOps } from "../ir/Op.ts"
import type { Algebra } from "./Algebra.ts"
import type { NonDifferentiable, Pullback } from "./Pullback.ts"

type AttributedOps = "Cast" | "Clip" | "Elu" | "Gelu" | "HardSigmoid" | "LeakyRelu" | "Where"
type Rows = keyof UnaryOps | keyof BinaryOps | AttributedOps

/** [low < x < high]; an infinite bound always holds. */
const inside = (e: Algebra, x: string, low: number, high: number): string | undefined => {
  const above = low === -Infinity ? undefined : e.greater(x, e.number(low, x))
  const below = high === Infinity ? undefined : e.greater(e.number(high, x), x)
  return above !== undefined && below !== undefined ? e.mul(above, below) : (above ?? below)
}

/** The one number a constant holds. */
const scalarOf = (e: Algebra, name: string): number | undefined => {
  const constant = e.constantOf(name)
  return constant !== undefined && size(constant) === 1 ? values(constant)[0] : undefined
}

/** φ(x), the normal density. */
const density = (e: Algebra, x: string): string =>
  e.scale(1 / Math.sqrt(2 * Math.PI), e.exp(e.scale(-0.5, e.square(x))))

/** d/dx of x·Φ(x) = Φ(x) + x·φ(x). */
const geluDerivative = (e: Algebra, x: string): string => {
  const half = e.scale(0.5, e.shift(e.unary("Erf", e.scale(Math.SQRT1_2, x)), 1))
  return e.add(half, e.mul(x, density(e, x)))
}

/** d/dx of ½x(1 + t), t = tanh u, u = √(2/π)(x + c·x³):  ½(1 + t) + ½x(1 − t²)·√(2/π)(1 + 3c·x²). */
const tanhGeluDerivative = (e: Algebra, x: string): string => {
  const [root, c] = [Math.sqrt(2 / Math.PI), 0.044715]
  const squared = e.square(x)
  const t = e.unary("Tanh", e.scale(root, e.mul(x, e.shift(e.scale(c, squared), 1))))
  const slope = e.scale(root, e.shift(e.scale(3 * c, squared), 1))
  const bend = e.mul(e.mul(x, e.sub(e.number(1, x), e.square(t))), slope)
  return e.scale(0.5, e.add(e.shift(t, 1), bend))
}

export const elementwise: { readonly [K in Rows]: Pullback<K> | NonDifferentiable } = {
  /** sign x */
  Abs: ({ e, g, x: [x] }) => [e.mul(g, e.unary("Sign", x))],
  Ceil: "zero",
  /** −sin x */
  Cos: ({ e, g, x: [x] }) => [e.neg(e.mul(g, e.unary("Sin", x)))],
  /** 2/√π · exp(−x²) */
  Erf: ({ e, g, x: [x] }) => [e.mul(g, e.scale(2 / Math.sqrt(Math.PI), e.exp(e.neg(e.square(x)))))],
  /** y */
  Exp: ({ e, g, y }) => [e.mul(g, y)],
  Floor: "zero",
  /** y = x·h, h = clip(x/6 + ½, 0, 1):  h + x/6·[−3 < x < 3] */
  HardSwish: ({ e, g, x: [x] }) => {
    const h = e.apply("HardSigmoid", [x], { alpha: 1 / 6, beta: 0.5 })
    return [e.mul(g, e.add(h, e.mul(e.scale(1 / 6, x), inside(e, x, -3, 3)!)))]
  },
  Identity: ({ g }) => [g],
  /** 1/x */
  Log: ({ e, g, x: [x] }) => [e.div(g, x)],
  /** −1 */
  Neg: ({ e, g }) => [e.neg(g)],
  Not: "zero",
  /** −y² */
  Reciprocal: ({ e, g, y }) => [e.neg(e.mul(g, e.square(y)))],
  /** [y > 0] */
  Relu: ({ e, g, y }) => [e.mul(g, e.greater(y, e.number(0, y)))],
  Round: "zero",
  /** y − y² */
  Sigmoid: ({ e, g, y }) => [e.mul(g, e.sub(y, e.square(y)))],
  Sign: "zero",
  /** cos x */
  Sin: ({ e, g, x: [x] }) => [e.mul(g, e.unary("Cos", x))],
  /** σ(x) */
  Softplus: ({ e, g, x: [x] }) => [e.mul(g, e.unary("Sigmoid", x))],
  /** 1/(2y) */
  Sqrt: ({ e, g, y }) => [e.div(e.scale(0.5, g), y)],
  /** 1 − y² */
  Tanh: ({ e, g, y }) => [e.mul(g, e.sub(e.number(1, y), e.square(y)))],

  /** 1, 1 */
  Add: ({ g }) => [g, g],
  /** 1, −1 */
  Sub: ({ e, g }) => [g, e.neg(g)],
  /** b, a */
  Mul: ({ e, g, x: [a, b] }) => [e.mul(g, b), e.mul(g, a)],
  /** 1/b, −y/b */
  Div: ({ e, g, x: [, b], y }) => {
    const over = e.div(g, b)
    return [over, e.neg(e.mul(over, y))]
  },
  /** b·aᵇ⁻¹, y·ln a. Small constant powers stay products: 0·0⁻¹ is not a number. */
  Pow: ({ e, g, x: [a, b], y }) => {
    const power = scalarOf(e, b)
    if (power === 1) return [g]
    if (power === 2) return [e.mul(g, e.scale(2, a))]
    if (power === 3) return [e.mul(g, e.scale(3, e.square(a)))]
    const less = e.binary("Pow", a, e.sub(b, e.number(1, b)))
    return [e.mul(g, e.mul(b, less)), e.mul(g, e.mul(y, e.unary("Log", a)))]
  },
  /** [a > b], [a ≤ b] */
  Max: ({ e, g, x: [a, b] }) => {
    const first = e.mul(g, e.greater(a, b))
    return [first, e.sub(g, first)]
  },
  /** [a < b], [a ≥ b] */
  Min: ({ e, g, x: [a, b] }) => {
    const first = e.mul(g, e.greater(b, a))
    return [first, e.sub(g, first)]
  },
  /** y = a − b·trunc(a/b):  1, −(a − y)/b */
  Mod: ({ e, g, x: [a, b], y }) => [g, e.neg(e.mul(g, e.div(e.sub(a, y), b)))],
  And: "zero",
  Or: "zero",
  Equal: "zero",
  Greater: "zero",
  GreaterOrEqual: "zero",
  Less: "zero",
  LessOrEqual: "zero",
  /** slope + (1 − slope)·[x > 0], min(x, 0) */
  PRelu: ({ e, g, x: [x, slope] }) => {
    const zero = e.number(0, x)
    const derivative = e.where(e.binary("Greater", x, zero), e.number(1, x), slope)
    return [e.mul(g, derivative), e.mul(g, e.binary("Min", x, zero))]
  },

  Cast: ({ e, g, x: [x] }) => [e.apply("Cast", [g], { to: e.dtype(x) })],
  /** [min < x < max] */
  Clip: ({ e, g, x: [x], attributes: { min, max } }) => {
    const mask = inside(e, x, min, max)
    return [mask === undefined ? g : e.mul(g, mask)]
  },
  /** 1 where x > 0, else α·exp x = y + α */
  Elu: ({ e, g, x: [x], y, attributes: { alpha } }) => {
    const positive = e.binary("Greater", x, e.number(0, x))
    return [e.mul(g, e.where(positive, e.number(1, x), e.shift(y, alpha)))]
  },
  Gelu: ({ e, g, x: [x], attributes: { approximate } }) => [
    e.mul(g, approximate === "tanh" ? tanhGeluDerivative(e, x) : geluDerivative(e, x))
  ],
  /** α·[0 < αx + β < 1] */
  HardSigmoid: ({ e, g, x: [x], attributes: { alpha, beta } }) => {
    const mask = inside(e, e.shift(e.scale(alpha, x), beta), 0, 1)!
    return [e.scale(alpha, e.mul(g, mask))]
  },
  /** 1 where x > 0, else α */
  LeakyRelu: ({ e, g, x: [x], attributes: { alpha } }) => {
    const positive = e.binary("Greater", x, e.number(0, x))
    return [e.mul(g, e.where(positive, e.number(1, x), e.number(alpha, x)))]
  },
  /** –, c, ¬c */
  Where: ({ e, g, x: [condition] }) => {
    const zero = e.number(0, g)
    return [undefined, e.where(condition, g, zero), e.where(condition, zero, g)]
  }
}

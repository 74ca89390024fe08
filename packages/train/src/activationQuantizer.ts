/**
 * Activations through their codes, scale (and zero point) learned where the estimator says so.
 *
 * What a ReLU feeds is rounded before it: clip(⌊relu(u)/s⌉, 0, L) = ⌊clip(u/s, 0, L)⌉, which saves an operator forward
 * and three backward on every such activation. Scales of 8 bits and more hold nearly everything and stay as the recipe
 * chose them: learning them costs four operators more and gained nothing.
 */
import { type Gradient, type GraphBuilder, Tensor } from "@bitbudget/graph"
import type { Activation } from "@bitbudget/quant"
import { type ActivationEstimator, gradientScale, learnsScale, pullback } from "./Estimator.ts"
import type { Parameter } from "./Parameter.ts"

/** From so many bits on scales stay. */
const WIDE_BITS = 8

/** A quantizer's scale and zero point after training. */
export interface Learned {
  readonly scale: number
  readonly zeroPoint: number
}

export interface Written {
  readonly rounded: string
  readonly parameters: ReadonlyArray<Parameter>
  readonly override: readonly [string, Gradient.Override]
  readonly learned: (of: (name: string) => Float32Array | undefined) => Learned
}

/** What goes into the ReLU that a value is, where rounding after it is rounding before it. */
const beforeRelu = (builder: GraphBuilder, { value, zeroPoint }: Activation): string => {
  if (zeroPoint !== 0) return value
  const maker = builder.finish([value]).nodes.at(-1)
  return maker?.op === "Relu" && maker.outputs[0] === value ? maker.inputs[0]! : value
}

/** Features of a sample that share the scale. */
const featuresOf = (e: Gradient.Algebra, value: string): number =>
  e
    .shape(value)
    .slice(1)
    .reduce((a, b) => a * b, 1)

export const write = (
  e: Gradient.Algebra,
  activation: Activation,
  wanted: ActivationEstimator,
  frozen: boolean
): Written => {
  const { value, bits, scale, zeroPoint } = activation
  const name = `${value}/a${bits}`
  const top = 2 ** bits - 1
  const estimator = learnsScale(wanted) && (frozen || bits >= WIDE_BITS) ? "clipped" : wanted
  const movesZero = estimator === "lsq+" && zeroPoint !== 0
  const x = movesZero ? value : beforeRelu(e.builder, activation)
  const s = e.builder.constant(Tensor.scalar("float32", scale), `${name}/scale`)
  const v = e.div(x, s)
  const factor = gradientScale(featuresOf(e, value), top - zeroPoint)
  const parameters: ReadonlyArray<Parameter> = learnsScale(estimator)
    ? [{ name: s, role: "activationScale" }]
    : []
  const learnedScale = (of: (name: string) => Float32Array | undefined) => of(s)?.[0] ?? scale
  if (!movesZero) {
    const clipped = e.apply("Clip", [v], { min: -zeroPoint, max: top - zeroPoint })
    const q = e.unary("Round", clipped)
    const y = e.mul(q, s)
    return {
      rounded: y,
      parameters,
      override: [y, pullback(estimator, { x, v, clipped, q, scale: s }, factor)],
      learned: (of) => ({ scale: learnedScale(of), zeroPoint })
    }
  }
  const z = e.builder.constant(Tensor.scalar("float32", zeroPoint), `${name}/zero_point`)
  const whole = e.apply("Clip", [e.unary("Round", z)], { min: 0, max: top })
  const low = e.neg(whole)
  const clipped = e.binary("Min", e.binary("Max", v, low), e.sub(e.number(top), whole))
  const q = e.unary("Round", clipped)
  const y = e.mul(q, s)
  return {
    rounded: y,
    parameters: [...parameters, { name: z, role: "zeroPoint" }],
    override: [y, pullback(estimator, { x, v, clipped, q, scale: s, zeroPoint: z }, factor)],
    learned: (of) => {
      const moved = of(z)?.[0]
      return {
        scale: learnedScale(of),
        zeroPoint: moved === undefined ? zeroPoint : Math.min(top, Math.max(0, Math.round(moved)))
      }
    }
  }
}

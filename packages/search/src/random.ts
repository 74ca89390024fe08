/** Seeded random numbers as searchers and resampling need them, from the streams of `numerics`. */
import { Random as Bits } from "@bitbudget/numerics"

export interface Random {
  /** Uniform in [0, 1). */
  readonly uniform: () => number
  /** Uniform among 0 … n − 1. */
  readonly below: (n: number) => number
  /** Standard normal (Box and Muller 1958). */
  readonly normal: () => number
  /** An index with probability in proportion to its weight. */
  readonly weighted: (weights: ArrayLike<number>) => number
}

/** The stream of a searcher's choices, or of whatever the purpose is. */
export const seeded = (seed: number, purpose: string): Random => {
  const draw = Bits.bits(seed, purpose)
  const uniform = (): number => draw() / 2 ** 32
  return {
    uniform,
    below: (n) => Math.floor(uniform() * n),
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    weighted: (weights) => {
      let total = 0
      for (let i = 0; i < weights.length; i++) total += weights[i]!
      let rest = uniform() * total
      for (let i = 0; i < weights.length; i++) {
        rest -= weights[i]!
        if (rest < 0) return i
      }
      return weights.length - 1
    }
  }
}

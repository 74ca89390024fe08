/** Seeded random numbers: the same on every machine. */
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

/** mulberry32. */
export const seeded = (seed: number): Random => {
  let state = seed | 0
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
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

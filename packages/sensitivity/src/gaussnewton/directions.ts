/**
 * The directions ε the output's curvature is probed with, E εεᵀ = 1: every unit vector in turn, which is exact, or
 * random signs, of which any number gives an unbiased trace (Hutchinson 1989, in the output's space instead of the
 * weights'). A sample's signs depend on seed, sample and direction only, not on how samples are batched.
 */
import { Random } from "@bitbudget/numerics"

/** What one run takes: float32 [samples, directions, size], zeros where `first + d` is past the last direction. */
export interface Block {
  readonly fromSample: number
  readonly samples: number
  readonly first: number
  readonly directions: number
}

/** Unit vectors along the free positions of an output of `size` numbers; the same ones for every sample. */
export const units = (block: Block, size: number, free: Int32Array): Float32Array => {
  const { samples, first, directions } = block
  const data = new Float32Array(samples * directions * size)
  for (let n = 0; n < samples; n++)
    for (let d = 0; d < directions; d++) {
      const position = free[first + d]
      if (position !== undefined) data[(n * directions + d) * size + position] = 1
    }
  return data
}

/** Random signs at the free positions; directions from `total` on are zeros. */
export const signs = (
  block: Block,
  size: number,
  free: Int32Array,
  total: number,
  seed: number
): Float32Array => {
  const { fromSample, samples, first, directions } = block
  const data = new Float32Array(samples * directions * size)
  for (let n = 0; n < samples; n++)
    for (let d = 0; d < Math.min(directions, total - first); d++) {
      const start = (n * directions + d) * size
      const own = Random.rademacher(
        seed,
        `sample ${fromSample + n} output direction ${first + d}`,
        free.length
      )
      own.forEach((sign, i) => {
        data[start + free[i]!] = sign
      })
    }
  return data
}

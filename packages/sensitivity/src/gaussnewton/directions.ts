/**
 * The directions ε the output's curvature is probed with, E εεᵀ = 1: every unit vector in turn, which is exact, or
 * random signs, of which any number gives an unbiased trace (Hutchinson 1989, in the output's space instead of the
 * weights'). A sample's signs depend on seed, sample and direction only, not on how samples are batched.
 */

/** What one run takes: float32 [samples, directions, size], zeros where `first + d` is past the last direction. */
export interface Block {
  readonly fromSample: number
  readonly samples: number
  readonly first: number
  readonly directions: number
}

/** A well-mixed 32-bit hash of the integers (murmur3's finalizer, chained). */
const mixed = (...keys: ReadonlyArray<number>): number => {
  let hash = 0x9e3779b9
  for (const key of keys) {
    hash = Math.imul(hash ^ key, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    hash ^= hash >>> 16
  }
  return hash
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
      for (let i = 0; i < free.length; i += 32) {
        let bits = mixed(seed, fromSample + n, first + d, i)
        const end = Math.min(free.length, i + 32)
        for (let j = i; j < end; j++) {
          data[start + free[j]!] = bits & 1 ? 1 : -1
          bits >>>= 1
        }
      }
    }
  return data
}

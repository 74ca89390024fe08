/**
 * Seeded random numbers: one stream for each purpose, so that neither the order of the work nor the number of threads
 * changes what is drawn. (mulberry32; the stream's start is an FNV-1a hash of the seed and the purpose's name.)
 */

const hash = (text: string): number => {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}

/** 32 random bits a call. */
export const bits = (seed: number, purpose: string): (() => number) => {
  let state = hash(`${seed}/${purpose}`)
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
}

/** ±1 with equal probability, 32 signs from one draw. */
export const rademacher = (seed: number, purpose: string, length: number): Float32Array => {
  const draw = bits(seed, purpose)
  const signs = new Float32Array(length)
  let word = 0
  for (let i = 0; i < length; i++) {
    if (i % 32 === 0) word = draw()
    signs[i] = (word >>> (i % 32)) & 1 ? 1 : -1
  }
  return signs
}

/** Standard normal numbers (Box & Muller 1958). */
export const normal = (seed: number, purpose: string, length: number): Float32Array => {
  const draw = bits(seed, purpose)
  const uniform = () => (draw() + 0.5) / 2 ** 32
  const numbers = new Float32Array(length)
  for (let i = 0; i < length; i++)
    numbers[i] = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
  return numbers
}

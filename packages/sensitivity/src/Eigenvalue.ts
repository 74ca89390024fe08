/**
 * The largest eigenvalue of a symmetric operator known by its products: LOBPCG with one vector and no preconditioner
 * (Knyazev, SIAM J. Sci. Comput. 23, 2001).
 *
 * Each step finds the best vector in the span of the current one, its residual and the last step's direction. That
 * converges like Lanczos' method but keeps three vectors instead of all: a network's weights are long. The search is a
 * generator, so that the searches of many layers can share one run of the network.
 */

export interface Eigenpair {
  readonly value: number
  /** ‖Hv − λv‖ for the unit vector found: an eigenvalue lies within this distance. */
  readonly residual: number
  /** Products taken. */
  readonly products: number
}

type Vector = Float64Array

const dot = (a: Vector, b: Vector): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** Σ s_k·v_k. */
const combine = (vectors: ReadonlyArray<Vector>, s: ReadonlyArray<number>): Vector => {
  const sum = new Float64Array(vectors[0]!.length)
  vectors.forEach((v, k) => {
    for (let i = 0; i < v.length; i++) sum[i]! += s[k]! * v[i]!
  })
  return sum
}

/** Unit eigenvector of the largest eigenvalue of a small symmetric matrix, by Jacobi's rotations. */
export const topEigenvector = (matrix: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<number> => {
  const n = matrix.length
  const a = matrix.map((row) => [...row])
  const v = a.map((_, i) => a.map((_, j): number => (i === j ? 1 : 0)))
  for (let sweep = 0; sweep < 30; sweep++)
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        if (a[p]![q] === 0) continue
        const theta = (a[q]![q]! - a[p]![p]!) / (2 * a[p]![q]!)
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1))
        const c = 1 / Math.hypot(t, 1)
        const s = t * c
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[k]![p]!, a[k]![q]!]
          a[k]![p] = c * x - s * y
          a[k]![q] = s * x + c * y
        }
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[p]![k]!, a[q]![k]!]
          a[p]![k] = c * x - s * y
          a[q]![k] = s * x + c * y
          const [u, w] = [v[k]![p]!, v[k]![q]!]
          v[k]![p] = c * u - s * w
          v[k]![q] = s * u + c * w
        }
      }
  const diagonal = a.map((row, i) => row[i]!)
  const best = diagonal.indexOf(Math.max(...diagonal))
  return v.map((row) => row[best]!)
}

/** A vector with its product, both scaled by the same factor. */
interface Pair {
  readonly v: Vector
  readonly hv: Vector
}

const scaled = (pairs: ReadonlyArray<Pair>, s: ReadonlyArray<number>): Pair => ({
  v: combine(
    pairs.map(({ v }) => v),
    s
  ),
  hv: combine(
    pairs.map(({ hv }) => hv),
    s
  )
})

/** What is left of a pair off the given orthonormal ones, at unit length; undefined where that is nothing. */
const orthonormal = (pair: Pair, to: ReadonlyArray<Pair>): Pair | undefined => {
  const before = Math.sqrt(dot(pair.v, pair.v))
  const off = scaled([pair, ...to], [1, ...to.map(({ v }) => -dot(pair.v, v))])
  const length = Math.sqrt(dot(off.v, off.v))
  return length > 1e-6 * before ? scaled([off], [1 / length]) : undefined
}

/**
 * Yields vectors whose products it is then told, and returns the pair found when the residual is at most `tolerance`
 * times the eigenvalue, or after `most` products.
 */
export function* largest(
  start: Vector,
  tolerance: number,
  most: number
): Generator<Vector, Eigenpair, Vector> {
  const unit = combine([start], [1 / Math.sqrt(dot(start, start))])
  let x: Pair = { v: unit, hv: yield unit }
  let last: Pair | undefined
  for (let products = 1; ; products++) {
    const value = dot(x.v, x.hv)
    const r = combine([x.hv, x.v], [1, -value])
    const residual = Math.sqrt(dot(r, r))
    if (residual <= tolerance * Math.abs(value) || products >= most) return { value, residual, products }
    const basis = last === undefined ? [x] : [x, last]
    // Twice is enough: once leaves rounding errors along x when the residual is small.
    const nothing = new Float64Array(r.length)
    const once = orthonormal({ v: r, hv: nothing }, basis)
    const w = once === undefined ? undefined : orthonormal({ v: once.v, hv: nothing }, basis)
    if (w === undefined) return { value, residual, products }
    const all = [...basis, { v: w.v, hv: yield w.v }]
    const s = topEigenvector(all.map((a) => all.map((b) => (dot(a.v, b.hv) + dot(b.v, a.hv)) / 2)))
    const next = scaled(all, s)
    const length = Math.sqrt(dot(next.v, next.v))
    const moved = scaled(
      all,
      s.map((weight, k) => (k === 0 ? 0 : weight))
    )
    x = scaled([next], [1 / length])
    last = orthonormal(moved, [x])
  }
}

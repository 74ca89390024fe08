/**
 * Robust non-linear least squares: Levenberg-Marquardt on Huber-weighted residuals, with a numeric Jacobian unless
 * the caller knows a cheaper one. Deterministic; small enough to need no library.
 */
export interface Solution {
  readonly parameters: Float64Array
  readonly cost: number
}

export type Residuals = (parameters: Float64Array) => Float64Array

/** ∂residual/∂parameter, residuals × parameters, row-major. */
export type Jacobian = (parameters: Float64Array, values: Float64Array) => Float64Array

const numeric =
  (residuals: Residuals): Jacobian =>
  (parameters, values) => {
    const n = parameters.length
    const jacobian = new Float64Array(values.length * n)
    for (let j = 0; j < n; j++) {
      const step = 1e-4
      const moved = parameters.slice()
      moved[j]! += step
      residuals(moved).forEach((value, i) => {
        jacobian[i * n + j] = (value - values[i]!) / step
      })
    }
    return jacobian
  }

/** Solves A·x = b in place by Gaussian elimination with pivoting; A is n×n, row-major. */
const solve = (A: Float64Array, b: Float64Array): Float64Array => {
  const n = b.length
  for (let column = 0; column < n; column++) {
    let pivot = column
    for (let row = column + 1; row < n; row++)
      if (Math.abs(A[row * n + column]!) > Math.abs(A[pivot * n + column]!)) pivot = row
    if (pivot !== column) {
      for (let k = 0; k < n; k++)
        [A[pivot * n + k], A[column * n + k]] = [A[column * n + k]!, A[pivot * n + k]!]
      ;[b[pivot], b[column]] = [b[column]!, b[pivot]!]
    }
    for (let row = column + 1; row < n; row++) {
      const factor = A[row * n + column]! / A[column * n + column]!
      for (let k = column; k < n; k++) A[row * n + k]! -= factor * A[column * n + k]!
      b[row]! -= factor * b[column]!
    }
  }
  for (let row = n - 1; row >= 0; row--) {
    for (let k = row + 1; k < n; k++) b[row]! -= A[row * n + k]! * b[k]!
    b[row]! /= A[row * n + row]!
  }
  return b
}

const huber = (residual: number, delta: number): number => {
  const size = Math.abs(residual)
  return size <= delta ? residual * residual : delta * (2 * size - delta)
}

/** Minimises Σ huber(residual) from `start`; residuals beyond `delta` count linearly, the last `plain` ones never. */
export const minimise = (
  residuals: Residuals,
  start: Float64Array,
  plain: number,
  delta = 1.5,
  iterations = 60,
  jacobianAt: Jacobian = numeric(residuals)
): Solution => {
  const n = start.length
  const costOf = (values: Float64Array): number =>
    values.reduce(
      (sum, value, i) => sum + (i < values.length - plain ? huber(value, delta) : value * value),
      0
    )
  let parameters = start.slice()
  let values = residuals(parameters)
  let cost = costOf(values)
  let damping = 1e-2
  for (let iteration = 0; iteration < iterations; iteration++) {
    const m = values.length
    const weights = values.map((value, i) =>
      i < m - plain && Math.abs(value) > delta ? delta / Math.abs(value) : 1
    )
    const jacobian = jacobianAt(parameters, values)
    const normal = new Float64Array(n * n)
    const gradient = new Float64Array(n)
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        const weighted = weights[i]! * jacobian[i * n + j]!
        if (weighted === 0) continue
        gradient[j]! -= weighted * values[i]!
        for (let k = 0; k < n; k++) normal[j * n + k]! += weighted * jacobian[i * n + k]!
      }
    let improved = false
    for (let attempt = 0; attempt < 8 && !improved; attempt++) {
      const damped = normal.slice()
      for (let j = 0; j < n; j++) damped[j * n + j]! += damping * (normal[j * n + j]! + 1e-9)
      const delta_ = solve(damped, gradient.slice())
      const next = parameters.map((value, j) => value + Math.max(-1, Math.min(1, delta_[j]!)))
      const nextValues = residuals(next)
      const nextCost = costOf(nextValues)
      if (nextCost < cost) {
        improved = cost - nextCost > 1e-9 * cost
        ;[parameters, values, cost] = [next, nextValues, nextCost]
        damping = Math.max(1e-6, damping / 3)
        if (!improved) return { parameters, cost }
      } else damping *= 4
    }
    if (!improved) break
  }
  return { parameters, cost }
}

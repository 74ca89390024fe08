/**
 * Losses of pairs of choices (how two layers' rounding errors add up) and linear functions that never exceed
 * their sum, so that a program with interactions is searched like one without.
 *
 * With x ∈ {0,1} one for each choice taken, the pairs are ½·xᵀQx. Rows and columns of a block are centred
 * first (exactly one x of a decision is 1, so means are linear terms); then ½·Σ δᵢ(xᵢ² − xᵢ) is added, which is 0
 * on assignments and makes Q + diag(δ) positive semi-definite: the sum is convex, and its tangent at any
 * point bounds it from below everywhere. δ is the least multiple of the rows' absolute sums that a Cholesky
 * factorisation accepts; the sums themselves always do (diagonal dominance).
 */
import type { Dense } from "./Dense.ts"

export interface Tangent {
  /** Of each choice; the pairs' loss of an assignment is at least constant + Σ slopes of its choices. */
  readonly slopes: Float64Array
  readonly constant: number
}

export interface Interactions {
  /** Pairs' loss of one choice per decision. */
  readonly valueOf: (picks: ArrayLike<number>) => number
  /** The tangent at shares x of the choices. */
  readonly tangentAt: (x: Float64Array) => Tangent
  /** Second derivative along a direction. */
  readonly curvature: (direction: Float64Array) => number
}

/** Above so many choices the shift is that of diagonal dominance. */
const mostFactored = 600

/** Whether a symmetric row-major matrix is positive definite, changed in place. */
const isPositive = (a: Float64Array, n: number): boolean => {
  for (let j = 0; j < n; j++) {
    let pivot = a[j * n + j]!
    for (let k = 0; k < j; k++) pivot -= a[j * n + k]! ** 2
    if (!(pivot > 0)) return false
    const root = Math.sqrt(pivot)
    a[j * n + j] = root
    for (let i = j + 1; i < n; i++) {
      let sum = a[i * n + j]!
      for (let k = 0; k < j; k++) sum -= a[i * n + k]! * a[j * n + k]!
      a[i * n + j] = sum / root
    }
  }
  return true
}

interface Block {
  readonly a: number
  readonly b: number
  /** Centred, row-major over a's and b's choices. */
  readonly values: Float64Array
}

/** Row and column means become linear terms. */
const centre = (dense: Dense, linear: Float64Array): ReadonlyArray<Block> =>
  dense.pairs.map(({ a, b, losses }) => {
    const [fromA, fromB] = [dense.starts[a]!, dense.starts[b]!]
    const [rows, columns] = [dense.starts[a + 1]! - fromA, dense.starts[b + 1]! - fromB]
    const values = losses.slice()
    let mean = 0
    const rowMean = new Float64Array(rows)
    const columnMean = new Float64Array(columns)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        const value = losses[i * columns + j]!
        rowMean[i]! += value / columns
        columnMean[j]! += value / rows
        mean += value / (rows * columns)
      }
    for (let i = 0; i < rows; i++) linear[fromA + i]! += rowMean[i]! - mean
    for (let j = 0; j < columns; j++) linear[fromB + j]! += columnMean[j]!
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) values[i * columns + j]! -= rowMean[i]! + columnMean[j]! - mean
    return { a, b, values }
  })

/** The shift δ of each choice. */
const shiftOf = (starts: Int32Array, blocks: ReadonlyArray<Block>, choices: number): Float64Array => {
  const sums = new Float64Array(choices)
  const each = (visit: (i: number, j: number, value: number) => void): void => {
    for (const { a, b, values } of blocks) {
      let at = 0
      for (let i = starts[a]!; i < starts[a + 1]!; i++)
        for (let j = starts[b]!; j < starts[b + 1]!; j++) visit(i, j, values[at++]!)
    }
  }
  each((i, j, value) => {
    sums[i]! += Math.abs(value)
    sums[j]! += Math.abs(value)
  })
  if (choices > mostFactored) return sums
  const largest = sums.reduce((a, b) => Math.max(a, b), 0)
  const holds = (factor: number): boolean => {
    const matrix = new Float64Array(choices * choices)
    each((i, j, value) => (matrix[i * choices + j] = matrix[j * choices + i] = value))
    for (let i = 0; i < choices; i++) matrix[i * choices + i] = factor * sums[i]! + 1e-13 * largest
    return isPositive(matrix, choices)
  }
  let [low, high] = [0, 1]
  for (let step = 0; step < 8; step++) {
    const middle = (low + high) / 2
    if (holds(middle)) high = middle
    else low = middle
  }
  // What the factorisation was given, and a hair more for its rounding.
  return sums.map((sum) => (sum === 0 ? 0 : high * sum * (1 + 1e-9) + 1e-12 * largest))
}

/** null where the problem has no pairs. */
export const interactionsOf = (dense: Dense): Interactions | null => {
  if (dense.pairs.length === 0) return null
  const { starts } = dense
  const choices = dense.objective.length
  const linear = new Float64Array(choices)
  const blocks = centre(dense, linear)
  const shift = shiftOf(starts, blocks, choices)
  const magnitude = dense.pairs.reduce(
    (sum, { losses }) => losses.reduce((a, b) => Math.max(a, Math.abs(b)), 0) + sum,
    0
  )

  /** Q·x of the centred blocks. */
  const times = (x: Float64Array): Float64Array => {
    const product = new Float64Array(choices)
    for (const { a, b, values } of blocks) {
      let at = 0
      for (let i = starts[a]!; i < starts[a + 1]!; i++)
        for (let j = starts[b]!; j < starts[b + 1]!; j++, at++) {
          product[i]! += values[at]! * x[j]!
          product[j]! += values[at]! * x[i]!
        }
    }
    return product
  }
  return {
    valueOf: (picks) => {
      let sum = 0
      for (const { a, b, losses } of dense.pairs) {
        const columns = starts[b + 1]! - starts[b]!
        sum += losses[(picks[a]! - starts[a]!) * columns + picks[b]! - starts[b]!]!
      }
      return sum
    },
    tangentAt: (x) => {
      const product = times(x)
      const slopes = new Float64Array(choices)
      // Rounding of these sums, against the largest pairs.
      let constant = -1e-13 * magnitude
      for (let i = 0; i < choices; i++) {
        slopes[i] = linear[i]! + product[i]! + shift[i]! * (x[i]! - 0.5)
        // f(x) − slopes·x
        constant -= 0.5 * x[i]! * (product[i]! + shift[i]! * x[i]!)
      }
      return { slopes, constant }
    },
    curvature: (direction) => {
      const product = times(direction)
      return direction.reduce((sum, d, i) => sum + d * (product[i]! + shift[i]! * d), 0)
    }
  }
}

/** Layers in float64 by plain loops, and second derivatives by differences: nothing shared with the product. */
import type { Data } from "@bitbudget/runtime"
import { Value } from "@bitbudget/runtime"
import { Effect } from "effect"

type Ints = ReadonlyArray<number>

export interface Array64 {
  readonly shape: Ints
  readonly data: Float64Array
}

export const size = (shape: Ints): number => shape.reduce((product, dim) => product * dim, 1)

/** Numbers in (−1, 1), the same for the same seed. */
export const random = (seed: number) => {
  let state = seed
  return () => ((state = (state * 48271) % 2147483647) / 2147483647) * 2 - 1
}

export const draw = (shape: Ints, next: () => number): Array64 => ({
  shape,
  data: Float64Array.from({ length: size(shape) }, () => Math.fround(next()))
})

export const relu = ({ shape, data }: Array64): Array64 => ({ shape, data: data.map((x) => Math.max(0, x)) })

export const reshaped = ({ data }: Array64, shape: Ints): Array64 => ({ shape, data })

export interface Window2 {
  readonly stride: number
  readonly pad: number
  readonly dilation: number
  readonly groups: number
}

/** x [N,C,H,W], w [M,C/groups,R,S]. */
export const conv = (x: Array64, w: Array64, { stride, pad, dilation, groups }: Window2): Array64 => {
  const [n, c, h, width] = x.shape as [number, number, number, number]
  const [m, perGroup, r, s] = w.shape as [number, number, number, number]
  const out = (length: number, kernel: number) =>
    Math.floor((length + 2 * pad - dilation * (kernel - 1) - 1) / stride) + 1
  const [p, q] = [out(h, r), out(width, s)]
  const y = new Float64Array(n * m * p * q)
  for (let b = 0; b < n; b++)
    for (let o = 0; o < m; o++)
      for (let i = 0; i < p; i++)
        for (let j = 0; j < q; j++) {
          let sum = 0
          for (let k = 0; k < perGroup; k++)
            for (let u = 0; u < r; u++)
              for (let v = 0; v < s; v++) {
                const [row, column] = [i * stride + u * dilation - pad, j * stride + v * dilation - pad]
                if (row < 0 || row >= h || column < 0 || column >= width) continue
                const channel = Math.floor(o / (m / groups)) * perGroup + k
                sum +=
                  x.data[((b * c + channel) * h + row) * width + column]! *
                  w.data[((o * perGroup + k) * r + u) * s + v]!
              }
          y[((b * m + o) * p + i) * q + j] = sum
        }
  return { shape: [n, m, p, q], data: y }
}

/** x [N,C,H,W], w [C,M,R,S], no padding: every input element spreads its kernel. */
export const convTranspose = (x: Array64, w: Array64, stride: number): Array64 => {
  const [n, c, h, width] = x.shape as [number, number, number, number]
  const [, m, r, s] = w.shape as [number, number, number, number]
  const [p, q] = [(h - 1) * stride + r, (width - 1) * stride + s]
  const y = new Float64Array(n * m * p * q)
  for (let b = 0; b < n; b++)
    for (let k = 0; k < c; k++)
      for (let i = 0; i < h; i++)
        for (let j = 0; j < width; j++)
          for (let o = 0; o < m; o++)
            for (let u = 0; u < r; u++)
              for (let v = 0; v < s; v++)
                y[((b * m + o) * p + i * stride + u) * q + j * stride + v]! +=
                  x.data[((b * c + k) * h + i) * width + j]! * w.data[((k * m + o) * r + u) * s + v]!
  return { shape: [n, m, p, q], data: y }
}

/** a [B,R,K] times b [K,C], or [H,K,C] with B a multiple of H. */
export const matmul = (a: Array64, b: Array64): Array64 => {
  const [batch, rows, inner] = a.shape as [number, number, number]
  const [matrices, columns] = [b.shape.length === 3 ? b.shape[0]! : 1, b.shape.at(-1)!]
  const y = new Float64Array(batch * rows * columns)
  for (let n = 0; n < batch; n++)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        let sum = 0
        for (let k = 0; k < inner; k++)
          sum += a.data[(n * rows + i) * inner + k]! * b.data[((n % matrices) * inner + k) * columns + j]!
        y[(n * rows + i) * columns + j] = sum
      }
  return { shape: [batch, rows, columns], data: y }
}

/** Mean of −log softmax over rows of `classes` numbers. */
export const crossEntropy = ({ data }: Array64, labels: Ints, classes: number): number => {
  let total = 0
  labels.forEach((label, row) => {
    const scores = data.subarray(row * classes, (row + 1) * classes)
    const highest = Math.max(...scores)
    total += highest + Math.log(scores.reduce((sum, z) => sum + Math.exp(z - highest), 0)) - scores[label]!
  })
  return total / labels.length
}

export const meanSquare = ({ data }: Array64, wanted: Array64): number =>
  data.reduce((sum, value, i) => sum + (value - wanted.data[i]!) ** 2, 0) / data.length

/** Σ_i ∂²f/∂w_i² by second differences, element by element. */
export const hessianTrace = (f: (w: Array64) => number, w: Array64, step = 2e-4): number => {
  const here = f(w)
  let trace = 0
  for (let i = 0; i < w.data.length; i++) {
    const at = (t: number) => f({ shape: w.shape, data: w.data.with(i, w.data[i]! + t) })
    trace += (at(step) - 2 * here + at(-step)) / step ** 2
  }
  return trace
}

/** A split holding the given samples. */
export const splitOf = (
  x: Array64,
  labels: { readonly kind: "classes"; readonly data: Ints; readonly shape: Ints } | Array64
): Data.Split => {
  const [count, ...inputShape] = x.shape
  const isClasses = "kind" in labels
  const labelShape = isClasses ? labels.shape : labels.shape.slice(1)
  const rows = (data: ArrayLike<number>, shape: Ints, positions: Ints) =>
    positions.flatMap((at) => Array.from(data).slice(at * size(shape), (at + 1) * size(shape)))
  const batchOf = (positions: Ints, from: number): Data.Batch => {
    const own = rows(labels.data, labelShape, positions)
    return {
      from,
      to: from + positions.length,
      inputs: Value.float32(
        [positions.length, ...inputShape],
        Float32Array.from(rows(x.data, inputShape, positions))
      ),
      named: new Map(),
      labels: isClasses
        ? { kind: "classes", shape: labelShape, data: Int32Array.from(own) }
        : { kind: "values", shape: labelShape, data: Float32Array.from(own) }
    }
  }
  return {
    name: "whole",
    file: "made",
    size: count!,
    dtype: "float32",
    inputShape,
    named: [],
    hasLabels: true,
    labels: { kind: isClasses ? "classes" : "values", shape: labelShape },
    sampleAt: (position) => position,
    batch: (from, to) => {
      const end = Math.min(to, count!)
      const positions = Array.from({ length: end - from }, (_, i) => from + i)
      return Effect.succeed(batchOf(positions, from))
    },
    pick: (positions) => Effect.succeed(batchOf(positions, 0))
  }
}

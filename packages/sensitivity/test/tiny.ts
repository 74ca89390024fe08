/**
 * A multilayer perceptron with tanh, small enough for its whole Hessian: the gradient is written out by hand in
 * float64, the Hessian is its central differences. Nothing is shared with the product.
 */
import { Dim, GraphBuilder, Tensor } from "@bitbudget/graph"
import * as Reference from "./reference.ts"

const widths = [4, 6, 5, 5, 3]
export const samples = 12
const next = Reference.random(77)

/** W_l [out, in]. */
export const weights: ReadonlyArray<Float64Array> = widths
  .slice(1)
  .map((out, l) => Reference.draw([out, widths[l]!], next).data.map((x) => Math.fround(1.4 * x)))

export const inputs = Reference.draw([samples, widths[0]!], next)

/** What layers `from`… make of an input of layer `from`. */
const outputFrom = (w: ReadonlyArray<Float64Array>, from: number, input: Float64Array): Float64Array => {
  let x = input
  for (let l = from; l < w.length; l++) {
    const [matrix, previous] = [w[l]!, x]
    const y = Float64Array.from({ length: widths[l + 1]! }, (_, o) =>
      previous.reduce((sum, value, i) => sum + matrix[o * previous.length + i]! * value, 0)
    )
    x = l + 1 < w.length ? y.map(Math.tanh) : y
  }
  return x
}

const inputOf = (n: number): Float64Array => inputs.data.slice(n * widths[0]!, (n + 1) * widths[0]!)

/** The network's own predictions, so that it is at its best as a trained one is. */
const labels = Array.from({ length: samples }, (_, n) => {
  const z = outputFrom(weights, 0, inputOf(n))
  return z.indexOf(Math.max(...z))
})

export const split = Reference.splitOf(inputs, { kind: "classes", data: labels, shape: [] })

export const graph = (() => {
  const builder = new GraphBuilder("tiny")
  let x = builder.input("x", "float32", [Dim.batchDim(), widths[0]!])
  weights.forEach((data, l) => {
    const w = builder.constant(Tensor.float32([widths[l + 1]!, widths[l]!], data), `w${l}`)
    x = builder.add("Gemm", [x, w], { alpha: 1, beta: 1, transA: false, transB: true }, { name: `layer${l}` })
    if (l + 2 < widths.length) x = builder.add("Tanh", [x], {})
  })
  return builder.finish([x])
})()

/** Per-sample losses and gradients ∂loss/∂W_l, by the chain rule. */
const backward = (w: ReadonlyArray<Float64Array>) =>
  labels.map((label, n) => {
    const activations = [inputOf(n)]
    w.forEach((matrix, l) => {
      const x = activations[l]!
      const y = Float64Array.from({ length: widths[l + 1]! }, (_, o) =>
        x.reduce((sum, value, i) => sum + matrix[o * x.length + i]! * value, 0)
      )
      activations.push(l + 1 < w.length ? y.map(Math.tanh) : y)
    })
    const z = activations.at(-1)!
    const total = z.reduce((sum, value) => sum + Math.exp(value), 0)
    let g = z.map((value, k) => Math.exp(value) / total - (k === label ? 1 : 0))
    const gradients: Array<Float64Array> = []
    for (let l = w.length - 1; l >= 0; l--) {
      const x = activations[l]!
      gradients.unshift(
        Float64Array.from({ length: w[l]!.length }, (_, i) => g[Math.floor(i / x.length)]! * x[i % x.length]!)
      )
      const previous = g
      g = x.map(
        (value, i) =>
          (1 - value ** 2) * previous.reduce((sum, back, o) => sum + back * w[l]![o * x.length + i]!, 0)
      )
    }
    return { loss: Math.log(total) - z[label]!, gradients, output: z, activations }
  })

/** Mean gradient with respect to W_l. */
const gradient = (w: ReadonlyArray<Float64Array>, l: number): Float64Array => {
  const each = backward(w)
  return w[l]!.map((_, i) => each.reduce((sum, { gradients }) => sum + gradients[l]![i]!, 0) / samples)
}

export const sampleGradients = (l: number): ReadonlyArray<Float64Array> =>
  backward(weights).map(({ gradients }) => gradients[l]!)

/** Block of layers l, m of the mean loss's Hessian, [W_l, W_m] row-major: central differences of the gradient. */
export const hessianBlock = (l: number, m: number): ReadonlyArray<Float64Array> => {
  const step = 1e-5
  const moved = (i: number, t: number) => weights.with(l, weights[l]!.with(i, weights[l]![i]! + t))
  return Array.from(weights[l]!, (_, i) => {
    const [high, low] = [gradient(moved(i, step), m), gradient(moved(i, -step), m)]
    return high.map((value, j) => (value - low[j]!) / (2 * step))
  })
}

export const traceOf = (block: ReadonlyArray<Float64Array>): number =>
  block.reduce((sum, row, i) => sum + row[i]!, 0)

/** uᵀ·block·v. */
export const form = (
  block: ReadonlyArray<Float64Array>,
  u: ArrayLike<number>,
  v: ArrayLike<number>
): number =>
  block.reduce((sum, row, i) => sum + u[i]! * row.reduce((inner, value, j) => inner + value * v[j]!, 0), 0)

/** Gauss–Newton block of layers l, m: differences of the outputs give J, H_z = diag(p) − ppᵀ. */
export const gaussNewtonBlock = (l: number, m: number): ReadonlyArray<Float64Array> => {
  const step = 1e-5
  const jacobian = (layer: number) =>
    Array.from(weights[layer]!, (_, i) => {
      const at = (t: number) =>
        backward(weights.with(layer, weights[layer]!.with(i, weights[layer]![i]! + t)))
      const [high, low] = [at(step), at(-step)]
      return high.map(({ output }, n) => output.map((z, k) => (z - low[n]!.output[k]!) / (2 * step)))
    })
  const [a, b] = [jacobian(l), jacobian(m)]
  const probabilities = backward(weights).map(({ output }) => {
    const total = output.reduce((sum, z) => sum + Math.exp(z), 0)
    return output.map((z) => Math.exp(z) / total)
  })
  const along = (p: Float64Array, u: Float64Array, v: Float64Array) => {
    const mean = (x: Float64Array) => p.reduce((sum, q, k) => sum + q * x[k]!, 0)
    return p.reduce((sum, q, k) => sum + q * u[k]! * v[k]!, 0) - mean(u) * mean(v)
  }
  return a.map((u) =>
    Float64Array.from(
      b,
      (v) => probabilities.reduce((sum, p, n) => sum + along(p, u[n]!, v[n]!), 0) / samples
    )
  )
}

/** Mean over samples of the trace of JᵀH_zJ, J the outputs' derivative with respect to layer l's input. */
export const inputTrace = (l: number): number => {
  const step = 1e-5
  const traces = backward(weights).map(({ output, activations }) => {
    const x = activations[l]!
    const total = output.reduce((sum, z) => sum + Math.exp(z), 0)
    const p = output.map((z) => Math.exp(z) / total)
    const columns = Array.from(x, (value, i) => {
      const at = (t: number) => outputFrom(weights, l, x.with(i, value + t))
      const [high, low] = [at(step), at(-step)]
      return high.map((z, k) => (z - low[k]!) / (2 * step))
    })
    return columns.reduce((sum, u) => {
      const mean = p.reduce((inner, q, k) => inner + q * u[k]!, 0)
      return sum + p.reduce((inner, q, k) => inner + q * u[k]! ** 2, 0) - mean ** 2
    }, 0)
  })
  return traces.reduce((sum, trace) => sum + trace, 0) / samples
}

/** Mean loss with other inputs. */
export const lossOf = (x: Float64Array): number =>
  labels.reduce((sum, label, n) => {
    const z = outputFrom(weights, 0, x.slice(n * widths[0]!, (n + 1) * widths[0]!))
    return sum + Math.log(z.reduce((total, value) => total + Math.exp(value), 0)) - z[label]!
  }, 0) / samples

/**
 * What it costs, to second and to first order, that layer l computes Ŵ·round(x) instead of W·x: [½·E ΔyᵀJᵀH_zJΔy, E gᵀΔy],
 * J the outputs' derivative with respect to the layer's result, by differences along Δy.
 */
export const displacementCost = (
  l: number,
  rounded: Float64Array,
  round: (x: number) => number
): readonly [number, number] => {
  const step = 1e-5
  const [out, wide] = [widths[l + 1]!, widths[l]!]
  const product = (w: Float64Array, x: Float64Array) =>
    Float64Array.from({ length: out }, (_, o) => x.reduce((sum, v, i) => sum + w[o * wide + i]! * v, 0))
  const costs = backward(weights).map(({ output, activations }, n) => {
    const x = activations[l]!
    const y = product(weights[l]!, x)
    const moved = product(rounded, x.map(round)).map((value, o) => value - y[o]!)
    const at = (t: number) => {
      const z = y.map((value, o) => value + t * moved[o]!)
      return l + 1 < weights.length ? outputFrom(weights, l + 1, z.map(Math.tanh)) : z
    }
    const [high, low] = [at(step), at(-step)]
    const u = high.map((z, k) => (z - low[k]!) / (2 * step))
    const total = output.reduce((sum, z) => sum + Math.exp(z), 0)
    const p = output.map((z) => Math.exp(z) / total)
    const mean = p.reduce((sum, q, k) => sum + q * u[k]!, 0)
    return [
      (p.reduce((sum, q, k) => sum + q * u[k]! ** 2, 0) - mean ** 2) / 2,
      mean - u[labels[n]!]!
    ] as const
  })
  return [0, 1].map((i) => costs.reduce((sum, cost) => sum + cost[i]!, 0) / samples) as [number, number]
}

/** Folding of reductions, products, normalisations and conversions: what only makes sense on numbers. */
import type { Dim } from "../ir/Dim.ts"
import { elements, mulDim } from "../ir/Dim.ts"
import type { Node } from "../ir/Graph.ts"
import type { Op, ReduceOps } from "../ir/Op.ts"
import type { DType } from "../ir/Tensor.ts"
import { bitsOf } from "../ir/Tensor.ts"
import type { ListRule, Numeric, NumberRule, StaticResult } from "./rule.ts"
import { around, broadcastStrides, isNumbers, strides, walk } from "./rule.ts"

type Ints = ReadonlyArray<number>

/** For each entry of x, the index of the group it falls into when `axes` are reduced. */
const groupSteps = (shape: Ints, axes: Ints): Ints => {
  const kept = shape.map((dim, i) => (axes.includes(i) ? 1 : dim))
  return broadcastStrides(kept, shape)
}

const reduced =
  (
    initial: number,
    step: (sum: number, x: number) => number,
    last: (sum: number, count: number) => number
  ): NumberRule<keyof ReduceOps> =>
  ({ attributes: { axes } }, [x], [result]) => {
    const count = elements(result!.shape)
    const out = new Float64Array(count).fill(initial)
    walk(x!.shape, groupSteps(x!.shape, axes), 0, (from, to) => {
      out[to] = step(out[to]!, x!.data[from]!)
    })
    const each = count === 0 ? 0 : x!.data.length / count
    return [out.map((sum) => last(sum, each))]
  }

const sumOnly = (sum: number): number => sum

/** Rows of the last axes from `axis` on: mean and variance of each. */
const normalised = (x: Numeric, inner: number, epsilon: number): Float64Array => {
  const out = new Float64Array(x.data.length)
  for (let row = 0; row < x.data.length; row += inner) {
    let [sum, squares] = [0, 0]
    for (let i = 0; i < inner; i++) sum += x.data[row + i]!
    const mean = sum / inner
    for (let i = 0; i < inner; i++) squares += (x.data[row + i]! - mean) ** 2
    const scale = 1 / Math.sqrt(squares / inner + epsilon)
    for (let i = 0; i < inner; i++) out[row + i] = (x.data[row + i]! - mean) * scale
  }
  return out
}

const channelOf = (shape: Ints) => {
  const inner = elements(shape.slice(2))
  const channels = shape[1] ?? 1
  return (at: number) => Math.floor(at / inner) % channels
}

const softmax =
  (log: boolean): NumberRule<"Softmax" | "LogSoftmax"> =>
  ({ attributes: { axis } }, [x]) => {
    const [outer, length, inner] = around(x!.shape, axis)
    const out = new Float64Array(x!.data.length)
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        const at = (k: number) => (o * length + k) * inner + i
        let [most, sum] = [-Infinity, 0]
        for (let k = 0; k < length; k++) most = Math.max(most, x!.data[at(k)]!)
        for (let k = 0; k < length; k++) sum += Math.exp(x!.data[at(k)]! - most)
        for (let k = 0; k < length; k++) {
          const z = x!.data[at(k)]! - most
          out[at(k)] = log ? z - Math.log(sum) : Math.exp(z) / sum
        }
      }
    return [out]
  }

/** C[m,n] of one pair of matrices, their elements addressed by offset and strides. */
const product = (
  a: Numeric,
  b: Numeric,
  [m, k, n]: readonly [number, number, number],
  [aAt, aRow, aColumn]: readonly [number, number, number],
  [bAt, bRow, bColumn]: readonly [number, number, number],
  put: (row: number, column: number, sum: number) => void
): void => {
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0
      for (let l = 0; l < k; l++)
        sum += a.data[aAt + i * aRow + l * aColumn]! * b.data[bAt + l * bRow + j * bColumn]!
      put(i, j, sum)
    }
}

const matmul: NumberRule<"MatMul"> = (_, [a, b], [result]) => {
  const left = a!.shape.length === 1 ? [1, ...a!.shape] : a!.shape
  const right = b!.shape.length === 1 ? [...b!.shape, 1] : b!.shape
  const [m, k, n] = [left.at(-2)!, left.at(-1)!, right.at(-1)!]
  const out = new Float64Array(elements(result!.shape))
  const outer = out.length === 0 ? 0 : out.length / (m * n)
  const batch = result!.shape.slice(
    0,
    result!.shape.length - (a!.shape.length > 1 ? 1 : 0) - (b!.shape.length > 1 ? 1 : 0)
  )
  const starts = (shape: Ints, size: number) => {
    const list = new Float64Array(Math.max(1, outer))
    walk(batch, broadcastStrides(shape.slice(0, -2), batch), 0, (to, from) => {
      list[to] = from * size
    })
    return list
  }
  const [aStarts, bStarts] = [starts(left, m * k), starts(right, k * n)]
  for (let o = 0; o < outer; o++)
    product(a!, b!, [m, k, n], [aStarts[o]!, k, 1], [bStarts[o]!, n, 1], (i, j, sum) => {
      out[(o * m + i) * n + j] = sum
    })
  return [out]
}

const gemm: NumberRule<"Gemm"> = ({ attributes }, [a, b, c], [result]) => {
  const { alpha, beta, transA, transB } = attributes
  const [m, n] = result!.shape as [number, number]
  const k = a!.shape[transA ? 0 : 1]!
  const out = new Float64Array(m * n)
  if (c !== undefined)
    walk([m, n], broadcastStrides(c.shape, [m, n]), 0, (to, from) => {
      out[to] = beta * c.data[from]!
    })
  product(a!, b!, [m, k, n], transA ? [0, 1, m] : [0, k, 1], transB ? [0, 1, k] : [0, n, 1], (i, j, sum) => {
    out[i * n + j]! += alpha * sum
  })
  return [out]
}

/** The index of the parameter of each element: per tensor, per axis, or per block along the axis. */
const parameterOf = (x: StaticResult, parameters: StaticResult, axis: number, blockSize: number) => {
  if (elements(parameters.shape) === 1 && blockSize === 0) return () => 0
  const [, length, inner] = around(x.shape, axis)
  if (blockSize === 0) return (at: number) => Math.floor(at / inner) % length
  const blocks = parameters.shape[axis]!
  return (at: number) => {
    const [outer, along, rest] = [
      Math.floor(at / (length * inner)),
      Math.floor(at / inner) % length,
      at % inner
    ]
    return (outer * blocks + Math.floor(along / blockSize)) * inner + rest
  }
}

const rangeOf = (dtype: DType): readonly [number, number] => {
  const bits = bitsOf[dtype]
  return dtype.startsWith("u") ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
}

const evenRound = (x: number): number => {
  const floor = Math.floor(x)
  return x - floor === 0.5 ? floor + (floor % 2 === 0 ? 0 : 1) : Math.round(x)
}

const argMax: NumberRule<"ArgMax"> = ({ attributes: { axis, selectLast } }, [x], [result]) => {
  const [outer, length, inner] = around(x!.shape, axis)
  const out = new Float64Array(elements(result!.shape))
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      let best = 0
      for (let k = 1; k < length; k++) {
        const difference = x!.data[(o * length + k) * inner + i]! - x!.data[(o * length + best) * inner + i]!
        if (difference > 0 || (selectLast && difference === 0)) best = k
      }
      out[o * inner + i] = best
    }
  return [out]
}

const cumSum: NumberRule<"CumSum"> = ({ attributes: { axis, exclusive, reverse } }, [x]) => {
  const [outer, length, inner] = around(x!.shape, axis)
  const out = new Float64Array(x!.data.length)
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      let sum = 0
      for (let k = 0; k < length; k++) {
        const at = (o * length + (reverse ? length - 1 - k : k)) * inner + i
        if (exclusive) out[at] = sum
        sum += x!.data[at]!
        if (!exclusive) out[at] = sum
      }
    }
  return [out]
}

const conv: NumberRule<"Conv"> = ({ attributes }, [x, w, b], [result]) => {
  const { kernel, strides: step, dilations, pads, groups } = attributes
  const [samples, filters, ...out] = result!.shape as [number, number, ...Array<number>]
  const [, channels, ...spatial] = x!.shape as [number, number, ...Array<number>]
  const [c, perGroup] = [channels / groups, filters / groups]
  const [taps, positions] = [elements(kernel), elements(out)]
  const [own, outSteps, kernelSteps] = [strides(spatial), strides(out), strides(kernel)]
  const data = new Float64Array(samples * filters * positions)
  for (let p = 0; p < positions; p++)
    for (let t = 0; t < taps; t++) {
      let from = 0
      for (let d = 0; d < kernel.length; d++) {
        const at =
          (Math.floor(p / outSteps[d]!) % out[d]!) * step[d]! -
          pads[d]! +
          (Math.floor(t / kernelSteps[d]!) % kernel[d]!) * dilations[d]!
        from = at < 0 || at >= spatial[d]! ? Number.NaN : from + at * own[d]!
      }
      if (Number.isNaN(from)) continue
      for (let n = 0; n < samples; n++)
        for (let f = 0; f < filters; f++) {
          const group = Math.floor(f / perGroup)
          let sum = 0
          for (let i = 0; i < c; i++)
            sum +=
              x!.data[(n * channels + group * c + i) * elements(spatial) + from]! *
              w!.data[(f * c + i) * taps + t]!
          data[(n * filters + f) * positions + p]! += sum
        }
    }
  if (b !== undefined)
    for (let i = 0; i < data.length; i++) data[i]! += b.data[Math.floor(i / positions) % filters]!
  return [data]
}

/** Scalar multiplications and additions of a fold, where they are more than the elements it reads and makes. */
export const foldWork = (
  node: Node,
  inputs: ReadonlyArray<StaticResult | undefined>,
  out: number
): number => {
  if (node.op === "MatMul" || node.op === "Gemm") return out * (inputs[0]?.shape.at(-1) ?? 1)
  if (node.op === "Conv") return out * elements((inputs[1]?.shape ?? []).slice(1))
  return 0
}

type Reductions = keyof ReduceOps
const reductions: { readonly [K in Reductions]: NumberRule<K> } = {
  ReduceMax: reduced(-Infinity, Math.max, sumOnly),
  ReduceMean: reduced(
    0,
    (sum, x) => sum + x,
    (sum, count) => sum / count
  ),
  ReduceMin: reduced(Infinity, Math.min, sumOnly),
  ReduceProd: reduced(1, (sum, x) => sum * x, sumOnly),
  ReduceSum: reduced(0, (sum, x) => sum + x, sumOnly),
  ReduceSumSquare: reduced(0, (sum, x) => sum + x * x, sumOnly),
  ReduceL2: reduced(0, (sum, x) => sum + x * x, Math.sqrt)
}

/** Product of dimensions, the batch among them. */
export const productOfDims: ListRule<"ReduceProd"> = (_, [x], [result]) => {
  if (elements(result!.shape) !== 1 || isNumbers(x!.data)) return undefined
  const product = Array.from(x!.data).reduce<Dim | undefined>(
    (n, dim) => (n === undefined ? n : mulDim(n, dim)),
    1
  )
  return product === undefined ? undefined : [[product]]
}

export const numberRules = {
  ...reductions,
  ArgMax: argMax,
  CumSum: cumSum,
  Conv: conv,
  MatMul: matmul,
  Gemm: gemm,
  Softmax: softmax(false),
  LogSoftmax: softmax(true),

  BatchNormalization: (({ attributes: { epsilon } }, [x, scale, bias, mean, variance]) => {
    const channel = channelOf(x!.shape)
    return [
      Float64Array.from(x!.data, (value, at) => {
        const c = channel(at)
        return (
          ((value - mean!.data[c]!) / Math.sqrt(variance!.data[c]! + epsilon)) * scale!.data[c]! +
          bias!.data[c]!
        )
      })
    ]
  }) satisfies NumberRule<"BatchNormalization">,

  LayerNormalization: (({ attributes: { axis, epsilon } }, [x, scale, bias]) => {
    const inner = elements(x!.shape.slice(axis))
    const norm = normalised(x!, inner, epsilon)
    const part = (parameter: Numeric) => {
      const list = new Float64Array(inner)
      walk(x!.shape.slice(axis), broadcastStrides(parameter.shape, x!.shape.slice(axis)), 0, (to, from) => {
        list[to] = parameter.data[from]!
      })
      return list
    }
    const [gamma, beta] = [part(scale!), bias === undefined ? undefined : part(bias)]
    return [norm.map((value, at) => value * gamma[at % inner]! + (beta?.[at % inner] ?? 0))]
  }) satisfies NumberRule<"LayerNormalization">,

  InstanceNormalization: (({ attributes: { epsilon } }, [x, scale, bias]) => {
    const channel = channelOf(x!.shape)
    const norm = normalised(x!, elements(x!.shape.slice(2)), epsilon)
    return [norm.map((value, at) => value * scale!.data[channel(at)]! + bias!.data[channel(at)]!)]
  }) satisfies NumberRule<"InstanceNormalization">,

  OneHot: (({ attributes: { axis, depth, values } }, [indices], [result]) => {
    const [off, on] = values
    const [outer, , inner] = around(result!.shape, axis)
    const out = new Float64Array(elements(result!.shape)).fill(off)
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        const index = indices!.data[o * inner + i]!
        const resolved = index < 0 ? index + depth : index
        if (resolved >= 0 && resolved < depth) out[(o * depth + resolved) * inner + i] = on
      }
    return [out]
  }) satisfies NumberRule<"OneHot">,

  /** (q − zero point) · scale. */
  DequantizeLinear: (({ attributes: { axis, blockSize } }, [q, scale, zero]) => {
    const at = parameterOf(q!, scale!, axis, blockSize)
    const values = new Float64Array(q!.data.length)
    for (let i = 0; i < values.length; i++)
      values[i] = (q!.data[i]! - (zero?.data[at(i)] ?? 0)) * scale!.data[at(i)]!
    return [values]
  }) satisfies NumberRule<"DequantizeLinear">,

  /** x / scale to the nearest integer, ties to even, plus the zero point, within the type's range. */
  QuantizeLinear: (({ attributes: { axis, blockSize, to } }, [x, scale, zero]) => {
    const at = parameterOf(x!, scale!, axis, blockSize)
    const [low, high] = rangeOf(to)
    return [
      Float64Array.from(x!.data, (value, i) => {
        const code = evenRound(Math.fround(value / scale!.data[at(i)]!)) + (zero?.data[at(i)] ?? 0)
        return Math.min(high, Math.max(low, code))
      })
    ]
  }) satisfies NumberRule<"QuantizeLinear">
} satisfies { readonly [K in Op]?: NumberRule<K> }

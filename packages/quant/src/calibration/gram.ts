/**
 * XᵀX of every layer: what its products see of the calibration samples, summed over samples and output positions. The
 * squared change of a layer's output is δᵀ(XᵀX)δ for a change δ of one output channel's weights.
 *
 * The runtime computes it: windows of a convolution side by side, then one matrix product a group. It holds K² numbers a
 * group, K the weights of an output channel.
 */
import { Dim, Gradient, type Graph, GraphBuilder, type Layer, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import type { Calibration } from "./Calibration.ts"
import { sums } from "./passes.ts"

export interface Gram {
  /** Weights of an output channel: the side of the matrix. */
  readonly size: number
  /** One matrix a group of the convolution, one after the other, row-major. */
  readonly values: Float64Array
  readonly groups: number
}

/** Whether XᵀX of the layer can be had: convolutions, and products with a matrix of weights on the right. */
export const hasGram = ({ op, weightInput, weightShape }: Layer.Layer): boolean =>
  op === "Conv" || ((op === "Gemm" || op === "MatMul") && weightInput === 1 && weightShape.length === 2)

const gramOutput = (e: Gradient.Algebra, layer: Layer.Layer): string => {
  const { node, input } = layer
  if (node.op === "Conv") {
    const [, , ...out] = e.shape(layer.output)
    const columns = Gradient.windowColumns(e, input, out, node.attributes)
    const [samples, groups, size, positions] = e.shape(columns)
    const rows = e.reshape(e.transpose(columns, [1, 2, 0, 3]), [groups!, size!, samples! * positions!])
    return e.matmul(rows, e.transposeLast(rows))
  }
  const shape = e.shape(input)
  const transposed = node.op === "Gemm" && node.attributes.transA
  const size = transposed ? shape[0]! : shape.at(-1)!
  const rows = transposed
    ? e.transposeLast(input)
    : e.reshape(input, [Dim.elements(shape) / Math.max(1, size), size])
  return e.reshape(e.matmul(e.transposeLast(rows), rows), [1, size, size])
}

/** Most numbers of one layer's XᵀX and the windows it is made of, at a batch: above it a layer is left out. */
const LARGEST_ELEMENTS = 2 ** 28

/** XᵀX by layer id, of those layers that have one. */
export const grams = <E>(
  graph: Graph.Graph,
  layers: ReadonlyArray<Layer.Layer>,
  calibration: Calibration<E>
): Effect.Effect<ReadonlyMap<string, Gram>, E> =>
  Effect.gen(function* () {
    const bound = Gradient.bindBatch(graph, calibration.batchSize)
    const e = new Gradient.Algebra(GraphBuilder.from(bound), "gram/")
    const outputs = new Map<string, string>()
    for (const layer of layers) {
      if (!hasGram(layer)) continue
      const [size, positions] = [layer.weightElements / layer.weightShape[layer.channelAxis]!, 1]
      if (size * size * layer.groups * positions > LARGEST_ELEMENTS) continue
      outputs.set(layer.id, gramOutput(e, layer))
    }
    if (outputs.size === 0) return new Map()
    const totals = yield* sums(calibration, e.builder.finish([...new Set(outputs.values())]))
    return new Map(
      [...outputs].map(([id, output]): [string, Gram] => {
        const [groups, size] = e.shape(output)
        return [id, { size: size!, groups: groups!, values: totals.get(output)! }]
      })
    )
  })

/** The diagonal, as one importance a weight in row-major order. */
export const importanceOf = (layer: Layer.Layer, { size, groups, values }: Gram): Float64Array => {
  const importance = new Float64Array(layer.weightElements)
  const channels = layer.weightShape[layer.channelAxis]!
  for (let channel = 0; channel < channels; channel++) {
    const group = Math.floor((channel * groups) / channels)
    for (let k = 0; k < size; k++)
      importance[position(layer, channel, k)] = values[(group * size + k) * size + k]!
  }
  return importance
}

/** Where weight `k` of an output channel stands in row-major order. */
export const position = (layer: Layer.Layer, channel: number, k: number): number => {
  const { weightShape, channelAxis } = layer
  return channelAxis === 0
    ? channel * (layer.weightElements / weightShape[0]!) + k
    : k * weightShape[channelAxis]! + channel
}

/** Weights in rows of output channels, float64. */
export const rowsOf = (layer: Layer.Layer, weights: Tensor.Tensor): Float64Array => {
  const [data, channels] = [Tensor.values(weights), layer.weightShape[layer.channelAxis]!]
  const size = layer.weightElements / channels
  const rows = new Float64Array(data.length)
  for (let channel = 0; channel < channels; channel++)
    for (let k = 0; k < size; k++) rows[channel * size + k] = data[position(layer, channel, k)]!
  return rows
}

/** The inverse of `rowsOf`. */
export const fromRows = (layer: Layer.Layer, rows: ArrayLike<number>): Tensor.Tensor => {
  const channels = layer.weightShape[layer.channelAxis]!
  const size = layer.weightElements / channels
  const data = new Float32Array(rows.length)
  for (let channel = 0; channel < channels; channel++)
    for (let k = 0; k < size; k++) data[position(layer, channel, k)] = rows[channel * size + k]!
  return Tensor.float32(layer.weightShape, data)
}

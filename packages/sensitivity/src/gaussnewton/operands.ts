/**
 * Every layer as one matrix product a sample: y = W·a over positions, so that the gradient of its weights is
 * Σ over positions of g aᵀ, whether it is a convolution, a transposed one, or a product of any rank.
 *
 * Both sides are brought to [N, groups, channels, positions]: positions are all a weight is shared over (pixels,
 * tokens), groups all it is not (convolution groups, attention heads with weights of their own).
 */
import type { Graph, Layer } from "@bitbudget/graph"
import { Dim, Gradient } from "@bitbudget/graph"

type Ints = ReadonlyArray<number>

export interface Operands {
  /** What the weights multiply: [N, groups, inputs, positions]. Not set where only the gradient's side has it. */
  readonly activation: string
  /** The output's gradient: [N, groups, outputs, positions]. */
  readonly gradient: (g: string) => string
  /** Number the weight gradient is multiplied by. */
  readonly scale: number
}

/** Where the samples lie in a value of the network: the axis that follows the batch, the first when it is fixed. */
export const sampleAxis = (graph: Graph.Graph, name: string): number => {
  const shape = graph.values.get(name)!.shape
  const symbolic = shape.findIndex((dim) => !Dim.isStatic(dim))
  return symbolic === -1 ? 0 : symbolic
}

/**
 * Brings a value to [N, groups, channels, positions]. The sample axis may hold several rows a sample (N·c); they
 * become positions, as does every axis that is neither channel nor group.
 */
const arranged = (
  e: Gradient.Algebra,
  name: string,
  axes: { readonly sample: number; readonly channel: number; readonly groups: Ints },
  samples: number
): string | undefined => {
  const shape = e.shape(name)
  const rows = shape[axes.sample]! / samples
  if (!Number.isInteger(rows)) return undefined
  const split = [...shape.slice(0, axes.sample), samples, rows, ...shape.slice(axes.sample + 1)]
  const moved = (axis: number) => (axis > axes.sample ? axis + 1 : axis)
  const [channel, groups] = [moved(axes.channel), axes.groups.map(moved)]
  const taken = new Set([axes.sample, channel, ...groups])
  const positions = split.flatMap((_, axis) => (taken.has(axis) ? [] : [axis]))
  const size = (list: Ints) => list.reduce((product, axis) => product * split[axis]!, 1)
  const turned = e.transpose(e.reshape(name, split), [axes.sample, ...groups, channel, ...positions])
  return e.reshape(turned, [samples, size(groups), split[channel]!, size(positions)])
}

const refuse = (layer: Layer.Layer, why: string) => Gradient.NotDifferentiable.at(layer.node, why)

const noSamples = (layer: Layer.Layer, name: string) =>
  refuse(layer, `its per-sample gradients are unknown: ${name} does not keep the samples apart`)

/** Columns and gradients of a convolution with N·c images: the c images of a sample are more positions. */
const convolution = (e: Gradient.Algebra, layer: Layer.Layer, samples: number): Operands => {
  const { node } = layer
  if (node.op !== "Conv" && node.op !== "ConvTranspose") throw new Error(`${node.op} is no convolution`)
  const { kernel, strides, dilations, pads, groups } = node.attributes
  const window = { kernel, strides, dilations, pads, groups }
  const bySample = (name: string): string => {
    const [images, , channels, positions] = e.shape(name) as [number, number, number, number]
    if (images % samples !== 0) throw noSamples(layer, name)
    if (images === samples) return name
    const apart = e.reshape(name, [samples, images / samples, groups, channels, positions])
    return e.reshape(e.transpose(apart, [0, 2, 3, 1, 4]), [
      samples,
      groups,
      channels,
      (images / samples) * positions
    ])
  }
  const asRows = (name: string): string => {
    const [images, channels, ...spatial] = e.shape(name)
    return bySample(e.reshape(name, [images!, groups, channels! / groups, Dim.elements(spatial)]))
  }
  const columns = (name: string, out: Ints): string => bySample(Gradient.windowColumns(e, name, out, window))
  // A transposed convolution reads its output's gradient through windows, and its input as it is.
  return node.op === "Conv"
    ? { activation: columns(layer.input, e.shape(layer.output).slice(2)), gradient: asRows, scale: 1 }
    : {
        activation: asRows(layer.input),
        gradient: (g) => columns(g, e.shape(layer.input).slice(2)),
        scale: 1
      }
}

/** A product with weights [K,M] or [groups…,K,M], either operand of it, perhaps transposed in place. */
const product = (e: Gradient.Algebra, graph: Graph.Graph, layer: Layer.Layer, samples: number): Operands => {
  const { node, weightInput, weightShape } = layer
  const isGemm = node.op === "Gemm"
  const transposed = isGemm && (weightInput === 1 ? node.attributes.transA : node.attributes.transB)
  const rank = e.rank(layer.output)
  const inner = e.rank(layer.input)
  if (rank < 2 || inner < 2)
    throw refuse(layer, "exact traces need products of matrices, and this is one of vectors")
  // Channels of the input are the axis that is summed over; of the output, the one the weights bring.
  const [inputChannel, outputChannel] =
    weightInput === 1
      ? [transposed ? inner - 2 : inner - 1, rank - 1]
      : [transposed ? inner - 1 : inner - 2, rank - 2]
  // A leading axis of the weights that is longer than 1 has weights of its own for each index.
  const groups = weightShape
    .slice(0, -2)
    .flatMap((size, i) => (size > 1 ? [rank - weightShape.length + i] : []))
  const lead = e.shape(layer.output).slice(0, -2)
  const input = isGemm ? layer.input : e.expand(layer.input, [...lead, ...e.shape(layer.input).slice(-2)])
  const offset = isGemm ? 0 : rank - inner
  const sample = sampleAxis(graph, layer.output)
  const inputSample = isGemm ? sampleAxis(graph, layer.input) : sample
  if (sample === outputChannel || inputSample === inputChannel + offset || groups.includes(sample))
    throw noSamples(layer, layer.output)
  const activation = arranged(
    e,
    input,
    { sample: inputSample, channel: inputChannel + offset, groups },
    samples
  )
  if (activation === undefined) throw noSamples(layer, layer.input)
  return {
    activation,
    gradient: (g) => {
      const rows = arranged(e, g, { sample, channel: outputChannel, groups }, samples)
      if (rows === undefined) throw noSamples(layer, layer.output)
      return rows
    },
    scale: isGemm ? node.attributes.alpha : 1
  }
}

/** The layer's operands in a graph bound to `samples` samples; `graph` is the one before, with its batch symbol. */
export const operandsOf = (
  e: Gradient.Algebra,
  graph: Graph.Graph,
  layer: Layer.Layer,
  samples: number
): Operands =>
  layer.op === "Conv" || layer.op === "ConvTranspose"
    ? convolution(e, layer, samples)
    : product(e, graph, layer, samples)

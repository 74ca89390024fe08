/**
 * Folds a BatchNormalization with running statistics into the convolution or matrix product before it:
 * y = γ (W·x + b − μ) / √(σ² + ε) + β  =  (sW)·x + (s(b − μ) + β),  s = γ / √(σ² + ε), one s an output channel.
 *
 * Only where the product's result goes nowhere else and its weights are used nowhere else; the node stays where it
 * cannot be folded.
 */
import { elements } from "../ir/Dim.ts"
import type { AnyNode, Graph, Node } from "../ir/Graph.ts"
import { consumers, producers } from "../ir/Graph.ts"
import { GraphBuilder } from "../ir/GraphBuilder.ts"
import type { Tensor } from "../ir/Tensor.ts"
import { filled, float32, isFill, values } from "../ir/Tensor.ts"

/** Output channels of the weights: their axis, and how often the channel index repeats per weight channel (groups). */
const channelAxis = (node: AnyNode): number | undefined => {
  switch (node.op) {
    case "Conv":
      return 0
    case "ConvTranspose":
      return node.attributes.groups === 1 ? 1 : undefined
    case "Gemm":
      return node.attributes.alpha === 1 && node.attributes.beta === 1
        ? node.attributes.transB
          ? 0
          : 1
        : undefined
    default:
      return undefined
  }
}

/** Multiplies each slice along `axis` by its factor. */
const scaleAlong = (weights: Tensor, axis: number, factors: ArrayLike<number>): Tensor => {
  const from = values(weights)
  const inner = elements(weights.shape.slice(axis + 1))
  const channels = weights.shape[axis]!
  return float32(
    weights.shape,
    Float32Array.from(from, (w, i) => w * factors[Math.floor(i / inner) % channels]!)
  )
}

interface Folded {
  readonly weights: Tensor
  readonly bias: Tensor
}

const fold = (
  weights: Tensor,
  bias: Tensor | undefined,
  axis: number,
  norm: ReadonlyArray<Tensor>,
  epsilon: number
): Folded => {
  const channels = weights.shape[axis]!
  const all = [weights, ...norm, ...(bias === undefined ? [] : [bias])]
  const first = (tensor: Tensor | undefined) =>
    tensor === undefined ? 0 : (values({ ...tensor, shape: [1] })[0] ?? 0)
  // Architectures without weights stay so: equal values in, equal values out.
  if (all.every((tensor) => isFill(tensor.data))) {
    const [gamma, beta, mean, variance] = norm.map(first)
    const s = gamma! / Math.sqrt(variance! + epsilon)
    return {
      weights: filled("float32", weights.shape, first(weights) * s),
      bias: filled("float32", [channels], s * (first(bias) - mean!) + beta!)
    }
  }
  const [gamma, beta, mean, variance] = norm.map(values)
  const scale = Float64Array.from(gamma!, (g, c) => g / Math.sqrt(variance![c]! + epsilon))
  const offset = bias === undefined ? new Float32Array(channels) : values(bias)
  return {
    weights: scaleAlong(weights, axis, scale),
    bias: float32(
      [channels],
      Float32Array.from(scale, (s, c) => s * (offset[c]! - mean![c]!) + beta![c]!)
    )
  }
}

export const foldBatchNorm = (graph: Graph): Graph => {
  const readers = consumers(graph)
  const makers = producers(graph)
  /** Products to replace, by node name, with the normalisation they swallow. */
  const swallowed = new Map<string, Node<"BatchNormalization">>()
  const gone = new Set<string>()
  for (const norm of graph.nodes) {
    if (norm.op !== "BatchNormalization") continue
    const product = makers.get(norm.inputs[0]!)
    if (product === undefined || channelAxis(product) === undefined) continue
    const isPrivate =
      readers.get(product.outputs[0]!)?.length === 1 &&
      readers.get(product.inputs[1]!)?.length === 1 &&
      !graph.outputs.includes(product.outputs[0]!)
    const parameters = [...product.inputs.slice(1), ...norm.inputs.slice(1)].filter((name) => name !== "")
    if (!isPrivate || !parameters.every((name) => graph.constants.has(name))) continue
    swallowed.set(product.name, norm)
    gone.add(norm.name)
  }
  if (swallowed.size === 0) return graph

  const builder = GraphBuilder.over(graph)
  for (const node of graph.nodes) {
    if (gone.has(node.name)) continue
    const norm = swallowed.get(node.name)
    if (norm === undefined) {
      builder.push(node)
      continue
    }
    const [x, w, b] = node.inputs
    const constant = (name: string) => graph.constants.get(name)!
    const bias = b === undefined || b === "" ? undefined : constant(b)
    const folded = fold(
      constant(w!),
      bias,
      channelAxis(node)!,
      norm.inputs.slice(1).map(constant),
      norm.attributes.epsilon
    )
    const inputs = [
      x!,
      builder.constant(folded.weights, `${w}/folded`),
      builder.constant(folded.bias, `${node.name}/bias`)
    ]
    builder.push({ ...node, inputs, outputs: [norm.outputs[0]!] })
  }
  return builder.finish(graph.outputs)
}

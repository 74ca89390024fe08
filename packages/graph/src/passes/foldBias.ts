/**
 * Conv → Add(constant, one value a channel) becomes a Conv with bias, as accelerators compute it.
 *
 * Only where the convolution's result goes nowhere else and it has no bias yet.
 */
import { isStatic } from "../ir/Dim.ts"
import type { AnyNode, Graph } from "../ir/Graph.ts"
import { consumers, producers, shapeOf } from "../ir/Graph.ts"
import { GraphBuilder } from "../ir/GraphBuilder.ts"
import type { Tensor } from "../ir/Tensor.ts"
import { size } from "../ir/Tensor.ts"

/** Whether a constant added to [N,M,…] has one value a channel: shape […,M,1,…]. */
const isPerChannel = (constant: Tensor, rank: number, channels: number): boolean => {
  const fromEnd = rank - 2
  const at = constant.shape.length - 1 - fromEnd
  return size(constant) === channels && at >= 0 && constant.shape[at] === channels
}

export const foldBias = (graph: Graph): Graph => {
  const readers = consumers(graph)
  const makers = producers(graph)
  const biases = new Map<string, { readonly add: AnyNode; readonly constant: string }>()
  for (const add of graph.nodes) {
    if (add.op !== "Add") continue
    const constant = add.inputs.find((name) => graph.constants.has(name))
    const product = makers.get(add.inputs.find((name) => name !== constant) ?? "")
    if (constant === undefined || product === undefined) continue
    if (product.op !== "Conv" && product.op !== "ConvTranspose") continue
    const shape = shapeOf(graph, product.outputs[0]!)
    const channels = shape[1]!
    const fits = isStatic(channels) && isPerChannel(graph.constants.get(constant)!, shape.length, channels)
    const isPrivate =
      readers.get(product.outputs[0]!)?.length === 1 && !graph.outputs.includes(product.outputs[0]!)
    if (fits && isPrivate && (product.inputs[2] ?? "") === "") biases.set(product.name, { add, constant })
  }
  if (biases.size === 0) return graph

  const gone = new Set([...biases.values()].map(({ add }) => add.name))
  const builder = GraphBuilder.over(graph)
  for (const node of graph.nodes) {
    if (gone.has(node.name)) continue
    const found = biases.get(node.name)
    if (found === undefined) {
      builder.push(node)
      continue
    }
    const constant = graph.constants.get(found.constant)!
    const bias = builder.constant({ ...constant, shape: [size(constant)] }, `${node.name}/bias`)
    builder.push({ ...node, inputs: [node.inputs[0]!, node.inputs[1]!, bias], outputs: found.add.outputs })
  }
  return builder.finish(graph.outputs)
}

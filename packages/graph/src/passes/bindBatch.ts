/**
 * Fixes the batch size, so that every dimension is a number: what gradients need, whose shapes are sums over
 * samples and reshapes of them.
 */
import type { Shape } from "../ir/Dim.ts"
import { dimAt, shapeAt } from "../ir/Dim.ts"
import type { AnyNode, Graph } from "../ir/Graph.ts"
import { GraphBuilder } from "../ir/GraphBuilder.ts"

const bindNode = (node: AnyNode, batch: number): AnyNode => {
  const fixed = (shape: Shape) => shapeAt(shape, batch)
  switch (node.op) {
    case "Expand":
    case "Reshape":
      return { ...node, attributes: { shape: fixed(node.attributes.shape) } }
    case "ConstantOfShape":
      return { ...node, attributes: { ...node.attributes, shape: fixed(node.attributes.shape) } }
    case "Range":
      return { ...node, attributes: { ...node.attributes, limit: dimAt(node.attributes.limit, batch) } }
    case "Resize": {
      const { sizes } = node.attributes
      return { ...node, attributes: { ...node.attributes, sizes: sizes && fixed(sizes) } }
    }
    case "Opaque": {
      const results = node.attributes.results.map(({ dtype, shape }) => ({ dtype, shape: fixed(shape) }))
      return { ...node, attributes: { ...node.attributes, results } }
    }
    default:
      return node
  }
}

export const bindBatch = (graph: Graph, batch: number): Graph => {
  const builder = new GraphBuilder(graph.name)
  for (const { name, dtype, shape } of graph.inputs) builder.input(name, dtype, shapeAt(shape, batch))
  for (const [name, constant] of graph.constants) builder.constant(constant, name)
  for (const node of graph.nodes) builder.push(bindNode(node, batch))
  return builder.finish(graph.outputs)
}

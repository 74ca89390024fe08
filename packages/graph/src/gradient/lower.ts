/**
 * Replaces ConvWeightGradient by operators of ONNX: the input's windows as columns times the output's gradient, a
 * matrix product a sample and group, then the sum over samples.
 */
import { elements } from "../ir/Dim.ts"
import type { Graph, Node } from "../ir/Graph.ts"
import { GraphBuilder } from "../ir/GraphBuilder.ts"
import { Algebra } from "./Algebra.ts"
import { offsets } from "./windows.ts"

/** Per-sample weight gradients of a convolution: [N, groups, M/groups, C/groups, kernel elements]. */
export const sampleWeightGradients = (
  e: Algebra,
  x: string,
  g: string,
  { kernel, strides, dilations, pads, groups }: Node<"ConvWeightGradient">["attributes"]
): string => {
  const [samples, channels] = e.shape(x)
  const [, filters, ...out] = e.shape(g)
  const [c, m, positions, rank] = [channels! / groups, filters! / groups, elements(out), kernel.length]
  const padded = e.pad(x, [0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)])
  const axes = kernel.map((_, i) => i + 2)
  const columns = offsets(kernel).map((offset) => {
    const starts = offset.map((o, i) => o * dilations[i]!)
    const ends = starts.map((start, i) => start + strides[i]! * (out[i]! - 1) + 1)
    return e.reshape(e.slice(padded, axes, starts, ends, strides), [samples!, groups, c, 1, positions])
  })
  const taps = columns.length
  const unfolded = e.reshape(e.concat(columns, 3), [samples!, groups, c * taps, positions])
  const product = e.matmul(e.reshape(g, [samples!, groups, m, positions]), e.transposeLast(unfolded))
  return e.reshape(product, [samples!, groups, m, c, taps])
}

export const lower = (graph: Graph): Graph => {
  const builder = GraphBuilder.over(graph)
  // Names of nodes still to come must stay free.
  let prefix = "lowered/"
  while ([...graph.values.keys()].some((name) => name.startsWith(prefix))) prefix = `again/${prefix}`
  const e = new Algebra(builder, prefix)
  for (const node of graph.nodes) {
    if (node.op !== "ConvWeightGradient") {
      builder.push(node)
      continue
    }
    const [x, g] = node.inputs
    const sum = e.sum(sampleWeightGradients(e, x!, g!, node.attributes), [0])
    const shape = graph.values.get(node.outputs[0]!)!.shape
    builder.add("Reshape", [sum], { shape }, { outputs: node.outputs })
  }
  return builder.finish(graph.outputs)
}

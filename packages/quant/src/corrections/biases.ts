/** The biases of layers: where they are, and networks with something added to them. */
import { type Graph, Graph as Graphs, Layer, Tensor } from "@bitbudget/graph"

/** The constant added to a layer's output channels, and what it is multiplied by; undefined where there is none. */
const biasOf = (
  graph: Graph.Graph,
  { node, op, output, weightShape, channelAxis }: Layer.Layer
): { readonly constant: string; readonly factor: number } | undefined => {
  const channels = weightShape[channelAxis]!
  const isVector = (name: string): boolean => {
    const constant = graph.constants.get(name)
    return (
      constant?.dtype === "float32" &&
      Tensor.size(constant) === channels &&
      constant.shape.at(-1) === channels
    )
  }
  if (op === "MatMul") {
    const readers = graph.nodes.filter(({ inputs }) => inputs.includes(output))
    const add = readers.length === 1 && readers[0]!.op === "Add" ? readers[0]! : undefined
    const constant = add?.inputs.find(isVector)
    return constant === undefined ? undefined : { constant, factor: 1 }
  }
  const constant = node.inputs[2] ?? ""
  if (constant === "" || !isVector(constant)) return undefined
  const factor = node.op === "Gemm" ? node.attributes.beta : 1
  return factor === 0 ? undefined : { constant, factor }
}

/** Layers with a bias of their own, which no other node reads: ids. */
export const correctable = (graph: Graph.Graph): ReadonlySet<string> => {
  const readers = Graphs.consumers(graph)
  return new Set(
    Layer.productsOf(graph).flatMap((layer) => {
      const bias = biasOf(graph, layer)
      return bias !== undefined && readers.get(bias.constant)!.length === 1 ? [layer.id] : []
    })
  )
}

/** The network with a number added to every output channel of some layers, which must be `correctable`. */
export const addToBiases = (
  graph: Graph.Graph,
  added: ReadonlyMap<string, ArrayLike<number>>
): Graph.Graph => {
  const constants = new Map(graph.constants)
  for (const layer of Layer.productsOf(graph)) {
    const own = added.get(layer.id)
    if (own === undefined) continue
    const { constant, factor } = biasOf(graph, layer)!
    const bias = constants.get(constant)!
    const moved = Float32Array.from(Tensor.values(bias), (b, i) => b + own[i]! / factor)
    constants.set(constant, Tensor.float32(bias.shape, moved))
  }
  return { ...graph, constants }
}

/**
 * The layers of a network: the products with trained weights, for which bit widths are chosen.
 *
 * The id is the node's name in the file, so that plans, tables and the file speak of the same thing.
 */
import { elements } from "../ir/Dim.ts"
import type { AnyNode, Graph } from "../ir/Graph.ts"
import { producers } from "../ir/Graph.ts"
import type { Tensor } from "../ir/Tensor.ts"

export type LayerOp = "Conv" | "ConvTranspose" | "Gemm" | "MatMul"

export interface Layer {
  readonly id: string
  /** The id without what all ids share: `/layer1/conv1/Conv` → `layer1/conv1`. */
  readonly name: string
  readonly op: LayerOp
  readonly node: AnyNode
  /** Name of the constant that holds the weights (behind a DequantizeLinear in a packed file). */
  readonly weight: string
  /** Which of the node's inputs the weights are. */
  readonly weightInput: 0 | 1
  readonly weightShape: ReadonlyArray<number>
  /** Axis of the output channels in the weights: per-channel scales run along it. */
  readonly channelAxis: number
  /** Name of the activation it multiplies. */
  readonly input: string
  readonly output: string
  readonly groups: number
  readonly weightElements: number
  readonly biasElements: number
}

const shortName = (id: string): string =>
  id.replace(/^\//, "").replace(/\/(?:Conv|ConvTranspose|Gemm|MatMul)$/, "") || id

/** The constant a value is, or is dequantized from (DequantizeLinear, possibly scaled by another constant). */
const constantBehind = (
  graph: Graph,
  makers: ReadonlyMap<string, AnyNode>,
  name: string
): string | undefined => {
  if (graph.constants.has(name)) return name
  const maker = makers.get(name)
  if (maker?.op === "DequantizeLinear")
    return graph.constants.has(maker.inputs[0]!) ? maker.inputs[0] : undefined
  const isScaling = maker?.op === "Mul" && graph.constants.has(maker.inputs[1]!)
  const source = isScaling ? makers.get(maker.inputs[0]!) : undefined
  return source?.op === "DequantizeLinear" ? constantBehind(graph, makers, maker!.inputs[0]!) : undefined
}

const channelAxis = (node: AnyNode, weightInput: 0 | 1, rank: number): number | undefined => {
  switch (node.op) {
    case "Conv":
      return weightInput === 1 ? 0 : undefined
    case "ConvTranspose":
      return weightInput === 1 ? 1 : undefined
    case "Gemm":
      return weightInput === 1 ? (node.attributes.transB ? 0 : 1) : node.attributes.transA ? 1 : 0
    case "MatMul":
      return rank < 2 ? undefined : weightInput === 1 ? rank - 1 : rank - 2
    default:
      return undefined
  }
}

const isLayerNode = (node: AnyNode): node is AnyNode & { readonly op: LayerOp } =>
  node.op === "Conv" || node.op === "ConvTranspose" || node.op === "Gemm" || node.op === "MatMul"

const layerOf = (graph: Graph, makers: ReadonlyMap<string, AnyNode>, node: AnyNode): Layer | undefined => {
  if (!isLayerNode(node)) return undefined
  const behind = ([1, 0] as const).map((i) => ({
    i,
    constant: constantBehind(graph, makers, node.inputs[i]!)
  }))
  const found = behind.find(({ constant }) => constant !== undefined)
  if (found?.constant === undefined || behind.every(({ constant }) => constant !== undefined))
    return undefined
  const weights: Tensor = graph.constants.get(found.constant)!
  const axis = channelAxis(node, found.i, weights.shape.length)
  if (axis === undefined) return undefined
  const bias = node.inputs[2] ?? ""
  return {
    id: node.name,
    name: shortName(node.name),
    op: node.op,
    node,
    weight: found.constant,
    weightInput: found.i,
    weightShape: weights.shape,
    channelAxis: axis,
    input: node.inputs[1 - found.i]!,
    output: node.outputs[0]!,
    groups: "groups" in node.attributes ? node.attributes.groups : 1,
    weightElements: elements(weights.shape),
    biasElements: graph.constants.has(bias) ? elements(graph.constants.get(bias)!.shape) : 0
  }
}

/** In execution order. */
export const layersOf = (graph: Graph): ReadonlyArray<Layer> => {
  const makers = producers(graph)
  return graph.nodes.flatMap((node) => layerOf(graph, makers, node) ?? [])
}

/** Products that look trained but have no constant weights: a sentence for each, or none in attention networks. */
export const unweighted = (graph: Graph): ReadonlyArray<string> => {
  const layers = new Set(layersOf(graph).map(({ id }) => id))
  const makers = producers(graph)
  const inputs = new Set(graph.inputs.map(({ name }) => name))
  /** Whether the value depends on no input of the network: a weight that is computed, though not while reading. */
  const isComputed = (name: string, seen: Set<string>): boolean => {
    if (inputs.has(name)) return false
    if (seen.has(name)) return true
    seen.add(name)
    const maker = makers.get(name)
    return maker === undefined || maker.inputs.every((input) => input === "" || isComputed(input, seen))
  }
  return graph.nodes.flatMap((node) => {
    if (!isLayerNode(node) || layers.has(node.name)) return []
    const weight = node.inputs[1]!
    const isProduct = node.op === "MatMul"
    const isOdd = isProduct
      ? graph.constants.get(weight) === undefined && isComputed(weight, new Set())
      : !graph.constants.has(weight)
    return isOdd
      ? [`node ${node.name} (${node.op}) has no constant weights, so no format is chosen for it`]
      : []
  })
}

/**
 * The layers of a network: what has trained weights for which bit widths are chosen. Products multiply an activation that has
 * a format of its own; gates of recurrent cells and embedding tables have weights only.
 *
 * The id is the node's name in the file, so that plans, tables and the file speak of the same thing. A recurrent cell is two
 * layers, `NAME/W` (of its input) and `NAME/R` (of its state).
 */
import { elements } from "../ir/Dim.ts"
import type { AnyNode, Graph } from "../ir/Graph.ts"
import { producers } from "../ir/Graph.ts"
import { isFill, isFloat, type Tensor } from "../ir/Tensor.ts"
import { tokenTables } from "./tokenTables.ts"

export type ProductOp = "Conv" | "ConvTranspose" | "Gemm" | "MatMul"
export type RecurrentOp = "LSTM" | "GRU" | "RNN"
export type LayerOp = ProductOp | RecurrentOp | "Gather"

export interface Layer {
  readonly id: string
  /** The id without what all ids share: `/layer1/conv1/Conv` → `layer1/conv1`. */
  readonly name: string
  readonly op: LayerOp
  readonly node: AnyNode
  /** Name of the constant that holds the weights (behind a DequantizeLinear in a packed file). */
  readonly weight: string
  /** Which of the node's inputs the weights are. */
  readonly weightInput: number
  readonly weightShape: ReadonlyArray<number>
  /** Axis of the output channels in the weights: per-channel scales run along it. */
  readonly channelAxis: number
  /** Name of the activation it multiplies; of a table the indices; "" where it stands in a carried node's body. */
  readonly input: string
  readonly output: string
  readonly groups: number
  readonly weightElements: number
  readonly biasElements: number
}

/** A layer that multiplies an activation, for which a format is chosen too. */
export interface Product extends Layer {
  readonly op: ProductOp
  readonly weightInput: 0 | 1
}

const shortName = (id: string): string =>
  id
    .replace(/^\//, "")
    .replace(/\/(?:Conv|ConvTranspose|Gemm|MatMul|LSTM|GRU|RNN|Gather)(?=$|\/[WR]$)/, "") || id

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

type NodeOf<K extends LayerOp> = AnyNode & { readonly op: K }

const isProductNode = (node: AnyNode): node is NodeOf<ProductOp> =>
  node.op === "Conv" || node.op === "ConvTranspose" || node.op === "Gemm" || node.op === "MatMul"

const isRecurrentNode = (node: AnyNode): node is NodeOf<RecurrentOp> =>
  node.op === "LSTM" || node.op === "GRU" || node.op === "RNN"

const sizeOf = (graph: Graph, name: string | undefined): number =>
  graph.constants.has(name ?? "") ? elements(graph.constants.get(name!)!.shape) : 0

const productOf = (
  graph: Graph,
  makers: ReadonlyMap<string, AnyNode>,
  node: NodeOf<ProductOp>
): Product | undefined => {
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
    biasElements: sizeOf(graph, node.inputs[2])
  }
}

/** What gates and tables have in common: weights and nothing else. */
const weightsOnly = (
  graph: Graph,
  node: NodeOf<RecurrentOp | "Gather">,
  weight: string,
  own: Pick<Layer, "id" | "weightInput" | "channelAxis" | "input" | "biasElements">
): Layer => {
  const { shape } = graph.constants.get(weight)!
  return {
    ...own,
    name: shortName(own.id),
    op: node.op,
    node,
    weight,
    weightShape: shape,
    output: node.outputs.find((name) => name !== "")!,
    groups: 1,
    weightElements: elements(shape)
  }
}

/** Layers in the bodies of a carried node, of whose values only the weights are known. */
const innerLayers = (
  graph: Graph,
  makers: ReadonlyMap<string, AnyNode>,
  node: AnyNode & { readonly op: "Opaque" }
): ReadonlyArray<Layer> =>
  (node.attributes.layers ?? []).flatMap(({ id, op, weight: read, channelAxis }) => {
    const weightInput = node.attributes.reads.indexOf(read)
    const weight = constantBehind(graph, makers, node.inputs[weightInput] ?? "")
    if (weight === undefined) return []
    const { shape } = graph.constants.get(weight)!
    return [
      {
        id,
        name: shortName(id),
        op,
        node,
        weight,
        weightInput,
        weightShape: shape,
        channelAxis,
        input: "",
        output: node.outputs.find((name) => name !== "")!,
        groups: 1,
        weightElements: elements(shape),
        biasElements: 0
      }
    ]
  })

/** The weights of a cell's gates, W [directions, gates · hidden, C] and R [directions, gates · hidden, hidden]. */
const gatesOf = (
  graph: Graph,
  makers: ReadonlyMap<string, AnyNode>,
  node: NodeOf<RecurrentOp>
): ReadonlyArray<Layer> => {
  const [w, r] = [1, 2].map((i) => constantBehind(graph, makers, node.inputs[i] ?? ""))
  if (w === undefined || r === undefined) return []
  const common = { input: node.inputs[0]!, channelAxis: 1 }
  return [
    weightsOnly(graph, node, w, {
      ...common,
      id: `${node.name}/W`,
      weightInput: 1,
      biasElements: sizeOf(graph, node.inputs[3])
    }),
    weightsOnly(graph, node, r, { ...common, id: `${node.name}/R`, weightInput: 2, biasElements: 0 })
  ]
}

/** A table [rows, …] of which indices choose rows: a row is a channel, so that every token has a scale of its own. */
const tableOf = (
  graph: Graph,
  makers: ReadonlyMap<string, AnyNode>,
  node: NodeOf<"Gather">
): Layer | undefined => {
  const [data = "", indices = ""] = node.inputs
  const weight = constantBehind(graph, makers, data)
  if (weight === undefined || graph.constants.has(indices) || node.attributes.axis !== 0) return undefined
  const { dtype, shape, data: numbers } = graph.constants.get(weight)!
  const isTable = shape.length === 2 && !isFill(numbers) && (isFloat(dtype) || weight !== data)
  return isTable
    ? weightsOnly(graph, node, weight, {
        id: node.name,
        weightInput: 0,
        channelAxis: 0,
        input: indices,
        biasElements: 0
      })
    : undefined
}

/** The layers, and the tables of tokens that are none. */
const trainedOf = (graph: Graph) => {
  const makers = producers(graph)
  const found = graph.nodes.flatMap((node): ReadonlyArray<Layer> => {
    if (isRecurrentNode(node)) return gatesOf(graph, makers, node)
    if (node.op === "Opaque") return innerLayers(graph, makers, node)
    const layer =
      node.op === "Gather"
        ? tableOf(graph, makers, node)
        : isProductNode(node)
          ? productOf(graph, makers, node)
          : undefined
    return layer === undefined ? [] : [layer]
  })
  const tables = tokenTables(graph, makers, found)
  return {
    layers: tables.size === 0 ? found : found.filter(({ id }) => !tables.has(id)),
    tables: found.filter(({ id }) => tables.has(id))
  }
}

/** In execution order. */
export const layersOf = (graph: Graph): ReadonlyArray<Layer> => trainedOf(graph).layers

/** Tables of tokens, which stay float: see `tokenTables.ts`. */
export const tokenTablesOf = (graph: Graph): ReadonlyArray<Layer> => trainedOf(graph).tables

export const isProduct = (layer: Layer): layer is Product => isProductNode(layer.node)

/** Those that multiply an activation, in execution order. */
export const productsOf = (graph: Graph): ReadonlyArray<Product> => layersOf(graph).filter(isProduct)

/** By the name of the node that reads the weights: a recurrent cell has two layers, a carried node any number. */
export const layersByNode = (graph: Graph): ReadonlyMap<string, ReadonlyArray<Layer>> =>
  Map.groupBy(layersOf(graph), ({ node }) => node.name)

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
    if (!isProductNode(node) || layers.has(node.name)) return []
    const weight = node.inputs[1]!
    const isMatMul = node.op === "MatMul"
    const isOdd = isMatMul
      ? graph.constants.get(weight) === undefined && isComputed(weight, new Set())
      : !graph.constants.has(weight)
    return isOdd
      ? [`node ${node.name} (${node.op}) has no constant weights, so no format is chosen for it`]
      : []
  })
}

/**
 * Size of the packed file before it is written.
 *
 * A whole plan is counted to the byte: the file's graph is made with weights that lack their numbers, and measured. For a
 * search, whose size is a sum over layers, every layer has a least size in every format: what it brings alone, and its
 * share of what others may bring too (the quantization of a value that several layers read, shared weights). No mixed plan's
 * file is smaller than the sum.
 */
import { Layer, type Tensor } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import type { ActivationFormat } from "./format/ActivationFormat.ts"
import * as Choice from "./format/Choice.ts"
import { constantBytes, fileBytes, textBytes } from "./onnxBytes.ts"
import { deploy } from "./Pack.ts"
import { encodeLayers, type QuantizedNetwork } from "./QuantizedNetwork.ts"
import { observedValues, type Ranges } from "./Ranges.ts"
import { weightKey } from "./Weights.ts"
import { blank, type Encoded, storedBytes } from "./weights/kinds.ts"

/** Bytes of a layer's weights with their scales and zero points. */
export const weightBytes = (layer: Layer.Layer, { weights }: Choice.Choice): number =>
  storedBytes({ shape: layer.weightShape, axis: layer.channelAxis }, weights)

/** A network as sizes are asked of it. */
export interface Structure {
  /** Bytes of the file without any layer's weights, at the least. */
  readonly otherBytes: number
  /** Whether these hold what activations take at the least. */
  readonly hasActivations: boolean
  readonly graph: Graph.Graph
  readonly ranges: Ranges
  readonly blanks: Map<string, Encoded>
  readonly lower: Map<string, number>
}

/** The float network with the sizes of its weights' constants. */
const floatWeights = (graph: Graph.Graph): ReadonlyMap<string, Tensor.Tensor> =>
  new Map(Layer.layersOf(graph).map(({ weight }) => [weight, graph.constants.get(weight)!]))

/** A length that grows by its own length field is shorter in a smaller file. */
const LENGTH_SLACK = 3

/**
 * `activations`: by layer id, formats of the layers' inputs that take no more bytes than those of any plan that will be asked
 * for. What they need in the file, all of it, is then counted once for every plan.
 */
export const structureOf = (
  graph: Graph.Graph,
  activations?: ReadonlyMap<string, ActivationFormat>
): Structure => {
  const weights = [...floatWeights(graph)].reduce((sum, [name, w]) => sum + constantBytes(name, w), 0)
  const structure: Structure = {
    otherBytes: fileBytes(graph) - weights - LENGTH_SLACK,
    hasActivations: false,
    graph,
    // Any range will do: scales take four bytes whatever they are.
    ranges: new Map(observedValues(graph).map((value) => [value, { low: -1, high: 1 }])),
    blanks: new Map(),
    lower: new Map()
  }
  if (activations === undefined) return structure
  const read = new Map([...activations].map(([id, format]) => [id, Choice.make(Choice.f32.weights, format)]))
  // Products on integers read their activations in the shortest form.
  const shortest = (network: QuantizedNetwork) => deploy(network, () => "integer")
  const otherBytes = predict(structure, [], read, shortest) - weights - LENGTH_SLACK
  return { ...structure, otherBytes, hasActivations: true }
}

const blankNetwork = (structure: Structure, choices: Choice.Choices): QuantizedNetwork => {
  const { graph, ranges, blanks } = structure
  const encoded = encodeLayers(graph, choices, (layer, { weights }) => {
    const key = weightKey(layer, weights)
    const made = blanks.get(key) ?? blank({ shape: layer.weightShape, axis: layer.channelAxis }, weights)
    blanks.set(key, made)
    return made
  })
  return { graph, choices, ranges, encoded }
}

/** Bytes of the packed file in the form that `form` gives it; layers without an entry in `choices` stay float. */
export const predict = (
  structure: Structure,
  _layers: ReadonlyArray<Layer.Layer>,
  choices: Choice.Choices,
  form: (network: QuantizedNetwork) => Graph.Graph = deploy
): number => fileBytes(form(blankNetwork(structure, choices)))

/** What the writer may share between layers: constants for shapes, axes and bounds, and their names. */
const shareable: { readonly [op: string]: number } = { Reshape: 120, Transpose: 0, Slice: 240 }

/** Bytes of the nodes and constants whose names start with `prefix`, without what others may share. */
const exclusiveBytes = (graph: Graph.Graph, prefix: string): number => {
  const nodes = graph.nodes.filter(({ outputs }) => outputs[0]!.startsWith(prefix))
  const own = { ...graph, inputs: [], outputs: [], nodes }
  const empty = { ...own, nodes: [], constants: new Map<string, Tensor.Tensor>() }
  const bytes = fileBytes({ ...own, constants: new Map() }) - fileBytes(empty)
  const shared = nodes.reduce((sum, { op }) => sum + (shareable[op] ?? 0), 0)
  const constants = [...graph.constants].filter(([name]) => name.startsWith(prefix))
  return Math.max(
    0,
    bytes - shared - LENGTH_SLACK + constants.reduce((sum, [name, c]) => sum + constantBytes(name, c), 0)
  )
}

const leastBytes = (structure: Structure, layer: Layer.Layer, choice: Choice.Choice): number => {
  const { graph } = structure
  const layers = Layer.layersOf(graph)
  const sharers = (of: (other: Layer.Layer) => string) =>
    layers.filter((other) => of(other) === of(layer)).length
  const alone = deploy(blankNetwork(structure, new Map([[layer.id, choice]])))
  const node = alone.nodes.find(({ name }) => name === layer.node.name)!
  const weight = node.inputs[layer.weightInput]!
  const input = Layer.isProduct(layer) ? node.inputs[1 - layer.weightInput]! : layer.input
  const ownWeights =
    weight === layer.weight
      ? constantBytes(weight, graph.constants.get(weight)!)
      : exclusiveBytes(alone, `${layer.weight}/`)
  const weights = ownWeights / sharers(({ weight }) => weight)
  const renamed = textBytes(weight) - textBytes(layer.weight)
  if (structure.hasActivations) return weights + Math.max(0, renamed)
  const ownInput = input === layer.input ? 0 : exclusiveBytes(alone, `${layer.input}/`)
  return (
    weights +
    ownInput / sharers(({ input }) => input) +
    Math.max(0, renamed + textBytes(input) - textBytes(layer.input))
  )
}

/**
 * Least bytes that a layer adds to the file in a format. Their sum over all layers, with `otherBytes`, never exceeds the
 * file of any plan.
 */
export const layerBytes = (structure: Structure, layer: Layer.Layer, choice: Choice.Choice): number => {
  const key = `${layer.id}|${Choice.show(choice)}`
  const known = structure.lower.get(key)
  if (known !== undefined) return known
  const bytes = leastBytes(structure, layer, choice)
  structure.lower.set(key, bytes)
  return bytes
}

/**
 * The packed file of a network too large to be held: its structure first, of weights without numbers, then the numbers of one
 * layer at a time, made when the writer asks for them and held until it asks for another layer's.
 *
 * Rounding is plain, which looks at nothing but the layer's own weights. The numbers of a layer are those that packing it
 * alone gives, so every form of file is written this way without knowing of it.
 */
import { Graph, Layer, Tensor } from "@bitbudget/graph"
import type { Choices } from "./format/Choice.ts"
import { encodeLayers, plain, type QuantizedNetwork } from "./QuantizedNetwork.ts"
import { blank, type Encoded } from "./weights/kinds.ts"

/** A packed form of a network. */
export type Form = (network: QuantizedNetwork) => Graph.Graph

/** The network with weights that lack their numbers. */
export const structure = (graph: Graph.Graph, choices: Choices): QuantizedNetwork => ({
  graph,
  choices,
  ranges: new Map(),
  encoded: encodeLayers(graph, choices, (layer, { weights }) =>
    blank({ shape: layer.weightShape, axis: layer.channelAxis }, weights)
  )
})

/** One layer as a network of its own. */
const alone = (graph: Graph.Graph, { node, input, output }: Layer.Layer): Graph.Graph => ({
  name: graph.name,
  inputs: [Graph.valueOf(graph, input)],
  outputs: [output],
  nodes: [node],
  values: new Map([...node.inputs, ...node.outputs].map((name) => [name, Graph.valueOf(graph, name)])),
  constants: new Map(
    node.inputs.flatMap((name) => {
      const constant = graph.constants.get(name)
      return constant === undefined ? [] : [[name, constant] as const]
    })
  )
})

const lacksNumbers = ({ shape, data }: Tensor.Tensor): boolean =>
  ArrayBuffer.isView(data) && data.length === 0 && !shape.includes(0)

/**
 * The packed graph in a form, whose constants of rounded weights are made when they are read. `made` is told of every layer's
 * encoding once, when it is first made.
 */
export const deploy = (
  graph: Graph.Graph,
  choices: Choices,
  form: Form,
  made: (layer: Layer.Layer, weights: Tensor.Tensor, encoded: Encoded) => void = () => undefined
): Graph.Graph => {
  const packed = form(structure(graph, choices))
  const layers = Layer.layersOf(graph)
  const told = new Set<string>()
  let last: { readonly layer: string; readonly constants: ReadonlyMap<string, Tensor.Tensor> } | undefined
  const constantsOf = (layer: Layer.Layer): ReadonlyMap<string, Tensor.Tensor> => {
    if (last?.layer === layer.id) return last.constants
    last = undefined
    const own = alone(graph, layer)
    const weights = Tensor.values(own.constants.get(layer.weight)!)
    const held = { dtype: "float32" as const, shape: layer.weightShape, data: weights }
    const network = plain(
      { ...own, constants: new Map([...own.constants, [layer.weight, held]]) },
      new Map([[layer.id, choices.get(layer.id)!]]),
      new Map()
    )
    if (!told.has(layer.id)) made(layer, held, network.encoded.get(layer.id)!)
    told.add(layer.id)
    const { constants } = form(network)
    last = { layer: layer.id, constants }
    return constants
  }
  const constants = new Map(packed.constants)
  const readers = readersOf(packed, layers)
  for (const [name, { dtype, shape, data }] of packed.constants) {
    if (!lacksNumbers({ dtype, shape, data })) continue
    const layer = readers.get(name)
    if (layer === undefined) throw new Error(`constant ${name} belongs to no layer`)
    constants.set(
      name,
      Tensor.kept(dtype, shape, () => {
        const found = constantsOf(layer).get(name)
        if (found === undefined) throw new Error(`layer ${layer.id} packed alone has no constant ${name}`)
        return Tensor.values(found)
      })
    )
  }
  return { ...packed, constants }
}

/** The first layer that each constant of the packed graph is read for, through whatever unpacks it. */
const readersOf = (
  packed: Graph.Graph,
  layers: ReadonlyArray<Layer.Layer>
): ReadonlyMap<string, Layer.Layer> => {
  const makers = Graph.producers(packed)
  const nodes = new Map(packed.nodes.map((node) => [node.name, node]))
  const found = new Map<string, Layer.Layer>()
  for (const layer of layers) {
    const seen = new Set<string>([layer.input])
    const visit = (name: string): void => {
      if (name === "" || seen.has(name)) return
      seen.add(name)
      if (packed.constants.has(name)) {
        if (!found.has(name)) found.set(name, layer)
        return
      }
      makers.get(name)?.inputs.forEach(visit)
    }
    nodes.get(layer.node.name)?.inputs.forEach(visit)
  }
  return found
}

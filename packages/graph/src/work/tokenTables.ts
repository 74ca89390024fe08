/**
 * The table of tokens of a network that foretells tokens. Whoever says "4 bits" of a language model means its matrices, and
 * published figures are of these; the table multiplies nothing. So it is no layer, and stays float.
 */
import type { AnyNode, Graph } from "../ir/Graph.ts"

/** What of a layer is looked at. */
interface Weights {
  readonly id: string
  readonly op: string
  readonly node: AnyNode
  readonly input: string
  readonly weight: string
  readonly weightShape: ReadonlyArray<number>
  readonly channelAxis: number
}

/** Operators that scores go through behind the product that makes them, one for each class as before. */
const passing: ReadonlySet<string> = new Set([
  "Identity",
  "Cast",
  "Reshape",
  "Squeeze",
  "Unsqueeze",
  "Slice",
  "Add",
  "Mul",
  "Div",
  "Tanh",
  "Softmax",
  "LogSoftmax"
])

/** The value before all that only passes it on. */
const source = (graph: Graph, makers: ReadonlyMap<string, AnyNode>, value: string): string => {
  const node = makers.get(value)
  const next = node?.inputs.find((input) => input !== "" && !graph.constants.has(input))
  return node === undefined || !passing.has(node.op) || next === undefined
    ? value
    : source(graph, makers, next)
}

/**
 * Ids of the tables among `layers` whose rows the network's inputs choose, where an output has a score for every row. A table
 * whose weights a product reads as well goes with that product.
 */
export const tokenTables = (
  graph: Graph,
  makers: ReadonlyMap<string, AnyNode>,
  layers: ReadonlyArray<Weights>
): ReadonlySet<string> => {
  const tables = layers.filter(({ op }) => op === "Gather")
  if (tables.length === 0) return new Set()
  const inputs = new Set(graph.inputs.map(({ name }) => name))
  const products = new Map(layers.map((layer) => [layer.node, layer]))
  const scored = new Set(
    graph.outputs.flatMap((output) => {
      const head = products.get(makers.get(source(graph, makers, output))!)
      const classes = head?.weightShape[head.channelAxis]
      return head?.op === "Gather" || classes !== graph.values.get(output)!.shape.at(-1) ? [] : [classes]
    })
  )
  const multiplied = new Set(layers.flatMap(({ op, weight }) => (op === "Gather" ? [] : [weight])))
  const isOfTokens = ({ input, weight, weightShape }: Weights): boolean =>
    inputs.has(source(graph, makers, input)) && scored.has(weightShape[0]) && !multiplied.has(weight)
  return new Set(tables.filter(isOfTokens).map(({ id }) => id))
}

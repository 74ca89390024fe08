/**
 * The values between integer layers that stay integers: what an addition, concatenation or average takes together when a
 * layer reads the result as codes of at most 8 bits. A device, and ONNX Runtime, computes these on 8-bit codes too (QLinearAdd,
 * QLinearConcat); left in float, every layer around a residual addition would leave its integer kernel.
 */
import type { Graph, Op } from "@bitbudget/graph"
import { Graph as Graphs, Layer } from "@bitbudget/graph"
import type { Choices } from "./format/Choice.ts"

/** Width of sums' operands. */
export const STREAM_BITS = 8

/** Operators that codes pass through as they are. */
export const passing: ReadonlySet<string> = new Set<Op>([
  "Relu",
  "Clip",
  "Identity",
  "Flatten",
  "Reshape",
  "Squeeze",
  "Unsqueeze",
  "MaxPool",
  "GlobalMaxPool"
])

/** Operators that make new codes of codes. */
export const combining: ReadonlySet<string> = new Set<Op>([
  "Add",
  "Concat",
  "AveragePool",
  "GlobalAveragePool"
])

/** Operands of the sum or mean that a value is, with those of sums that they are; none where it is no sum. */
const operandsBehind = (
  graph: Graph.Graph,
  makers: ReadonlyMap<string, Graph.AnyNode>,
  value: string,
  found: Set<string>
): void => {
  const maker = makers.get(value)
  if (maker === undefined || maker.inputs.some((input) => graph.constants.has(input))) return
  if (passing.has(maker.op)) return operandsBehind(graph, makers, maker.inputs[0]!, found)
  if (!combining.has(maker.op)) return
  for (const operand of maker.inputs) {
    if (found.has(operand)) continue
    found.add(operand)
    operandsBehind(graph, makers, operand, found)
  }
}

/** Operands of sums that the given values are. */
export const operandsOf = (graph: Graph.Graph, values: Iterable<string>): ReadonlySet<string> => {
  const makers = Graphs.producers(graph)
  const found = new Set<string>()
  for (const value of values) operandsBehind(graph, makers, value, found)
  return found
}

/**
 * Values whose every reader but float layers reads 8-bit codes, under some choices: operands of integer sums, and what a
 * layer reads with 8 bits.
 */
export const streamed = (graph: Graph.Graph, choices: Choices): ReadonlySet<string> => {
  const read = Layer.productsOf(graph).flatMap(({ id, input }) => {
    const activations = choices.get(id)?.activations
    return activations?.kind === "int" && activations.bits <= STREAM_BITS
      ? [{ input, bits: activations.bits }]
      : []
  })
  const atFullWidth = read.filter(({ bits }) => bits === STREAM_BITS).map(({ input }) => input)
  return new Set([
    ...atFullWidth,
    ...operandsOf(
      graph,
      read.map(({ input }) => input)
    )
  ])
}

/** Values that all their readers take as codes, passed on or not: what makes them can requantize its sums itself. */
export const requantized = (graph: Graph.Graph, choices: Choices): ReadonlySet<string> => {
  const readers = Graphs.consumers(graph)
  const layers = new Map(Layer.productsOf(graph).map((layer) => [layer.id, layer]))
  const stream = streamed(graph, choices)
  const isRead = (value: string): boolean => {
    if (graph.outputs.includes(value)) return false
    return (readers.get(value) ?? []).every((node) => {
      const layer = layers.get(node.name)
      if (layer !== undefined)
        return layer.input === value && choices.get(layer.id)?.activations.kind === "int"
      return stream.has(value) || (passing.has(node.op) && isRead(node.outputs[0]!))
    })
  }
  return new Set([...layers.values()].map(({ output }) => output).filter(isRead))
}

/**
 * The network as bitbudget sees it: nodes in topological order over named values.
 *
 * Everything is known here: every value has a dtype and a shape, every node is one of `Op` with parsed
 * attributes. What cannot be known is refused when the file is read (`onnx/read.ts`), so passes do not
 * re-check. Passes return new graphs.
 */
import type { Attributes, Op } from "./Op.ts"
import type { Shape } from "./Dim.ts"
import type { DType, FloatType, Tensor } from "./Tensor.ts"

export interface Value {
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
}

export interface Node<K extends Op = Op> {
  /** Unique in the graph; the file's own name where it has one. */
  readonly name: string
  readonly op: K
  /** Names of values; "" = absent optional input. */
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
  readonly attributes: Attributes[K]
}

/** A node whose `op` tells the type of its attributes. */
export type AnyNode = { [K in Op]: Node<K> }[Op]

export interface Graph {
  readonly name: string
  /** What the caller feeds, in order. */
  readonly inputs: ReadonlyArray<Value>
  /** Names of the results, in order. */
  readonly outputs: ReadonlyArray<string>
  readonly nodes: ReadonlyArray<AnyNode>
  /** Every value: inputs, constants, results of nodes. */
  readonly values: ReadonlyMap<string, Value>
  readonly constants: ReadonlyMap<string, Tensor>
  /**
   * Values that the file keeps in another float type than float32, in which they are computed here. Absent: none.
   * Values that a rewrite adds have no entry and follow their neighbours when the file's types are written.
   */
  readonly stored?: ReadonlyMap<string, FloatType>
}

export const valueOf = (graph: Graph, name: string): Value => {
  const value = graph.values.get(name)
  if (value === undefined) throw new Error(`graph ${graph.name} has no value ${name}`)
  return value
}

export const shapeOf = (graph: Graph, name: string): Shape => valueOf(graph, name).shape

/** The node that makes each value; inputs and constants have none. */
export const producers = (graph: Graph): ReadonlyMap<string, AnyNode> => {
  const map = new Map<string, AnyNode>()
  for (const node of graph.nodes) for (const output of node.outputs) map.set(output, node)
  return map
}

/** The nodes that read each value, in order; a node reading it twice is listed twice. */
export const consumers = (graph: Graph): ReadonlyMap<string, ReadonlyArray<AnyNode>> => {
  const map = new Map<string, Array<AnyNode>>()
  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      if (input === "") continue
      const list = map.get(input)
      if (list === undefined) map.set(input, [node])
      else list.push(node)
    }
  }
  return map
}

/** `op` with its attributes as one member of the union. The one place where the correlation is asserted. */
export const node = <K extends Op>(
  op: K,
  name: string,
  inputs: ReadonlyArray<string>,
  outputs: ReadonlyArray<string>,
  attributes: Attributes[K]
): AnyNode => ({ op, name, inputs, outputs, attributes }) as Node<K> as AnyNode

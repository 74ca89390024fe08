/**
 * Makes a graph node by node: every node added is shaped at once, and names stay unique.
 *
 * Rewrites (fake quantization, gradients, packing) walk an existing graph in order, pass on what they keep with
 * `push` and add what they need with `add`. `finish` drops what no output needs.
 */
import type { Shape } from "./Dim.ts"
import type { AnyNode, Graph, Value } from "./Graph.ts"
import { node } from "./Graph.ts"
import type { Attributes, Op } from "./Op.ts"
import { Refusal } from "./Refusal.ts"
import { inferNode } from "./shapes.ts"
import type { DType, FloatType, Tensor } from "./Tensor.ts"

export interface AddOptions {
  /** Name of the node and, where it has one result, of the result. Made unique. */
  readonly name?: string
  /** Exact names of the results, one each. */
  readonly outputs?: ReadonlyArray<string>
}

/** The first of `wanted`, `wanted_1`, … that is not taken; `counts` remembers where the last search ended. */
const firstFree = (wanted: string, taken: (name: string) => boolean, counts: Map<string, number>): string => {
  if (!taken(wanted)) return wanted
  let i = counts.get(wanted) ?? 1
  while (taken(`${wanted}_${i}`)) i++
  counts.set(wanted, i)
  return `${wanted}_${i}`
}

export class GraphBuilder {
  readonly #name: string
  readonly #inputs: Array<Value> = []
  readonly #nodes: Array<AnyNode> = []
  readonly #values = new Map<string, Value>()
  readonly #constants = new Map<string, Tensor>()
  readonly #stored = new Map<string, FloatType>()
  readonly #nodeNames = new Set<string>()
  /** Names of a graph that is being rewritten: its own values come later under them. */
  readonly #reserved = new Set<string>()
  readonly #valueCounts = new Map<string, number>()
  readonly #nodeCounts = new Map<string, number>()

  constructor(name: string) {
    this.#name = name
  }

  /** A builder holding the graph's inputs and constants, but none of its nodes, whose names are kept for them. */
  static over(graph: Graph): GraphBuilder {
    const builder = new GraphBuilder(graph.name)
    for (const { name, dtype, shape } of graph.inputs) builder.input(name, dtype, shape)
    for (const [name, constant] of graph.constants) builder.#setConstant(name, constant)
    for (const name of graph.values.keys()) builder.#reserved.add(name)
    for (const [name, type] of graph.stored ?? []) builder.#stored.set(name, type)
    return builder
  }

  /** A builder holding everything of the graph, to be added to. */
  static from(graph: Graph): GraphBuilder {
    const builder = GraphBuilder.over(graph)
    for (const node of graph.nodes) builder.push(node)
    return builder
  }

  value(name: string): Value {
    const value = this.#values.get(name)
    if (value === undefined) throw new Error(`builder of ${this.#name}: no value ${name}`)
    return value
  }

  shape(name: string): Shape {
    return this.value(name).shape
  }

  constantOf(name: string): Tensor | undefined {
    return this.#constants.get(name)
  }

  /** `wanted`, or `wanted_1`, … where a value of that name exists. */
  fresh(wanted: string): string {
    return firstFree(wanted, (name) => this.#values.has(name) || this.#reserved.has(name), this.#valueCounts)
  }

  input(name: string, dtype: DType, shape: Shape): string {
    if (this.#values.has(name)) throw new Error(`builder of ${this.#name}: a value ${name} exists`)
    const value = { name, dtype, shape }
    this.#inputs.push(value)
    this.#values.set(name, value)
    return name
  }

  #setConstant(name: string, constant: Tensor): void {
    this.#constants.set(name, constant)
    this.#values.set(name, { name, dtype: constant.dtype, shape: constant.shape })
  }

  /** A new constant; its name is `wanted`, made unique. */
  constant(constant: Tensor, wanted = "constant"): string {
    const name = this.fresh(wanted)
    this.#setConstant(name, constant)
    return name
  }

  /** Adds a node as it is (its inputs must exist) and infers its results. */
  push(added: AnyNode): ReadonlyArray<string> {
    const results = this.#infer(added)
    const name = firstFree(added.name, (taken) => this.#nodeNames.has(taken), this.#nodeCounts)
    this.#nodeNames.add(name)
    this.#nodes.push(name === added.name ? added : { ...added, name })
    added.outputs.forEach((output, i) => {
      if (output === "") return
      if (this.#values.has(output)) throw new Error(`builder of ${this.#name}: a value ${output} exists`)
      this.#values.set(output, { ...results[i]!, name: output })
    })
    return added.outputs
  }

  #infer(added: AnyNode) {
    try {
      return inferNode(
        added,
        added.inputs.map((input) => (input === "" ? undefined : this.value(input)))
      )
    } catch (cause) {
      // A rewrite that makes an ill-shaped node is a fault of this tool, not of the model.
      if (cause instanceof Refusal)
        throw new Error(`node ${added.name} (${added.op}): ${cause.message}`, { cause })
      throw cause
    }
  }

  /** Adds a node and returns the name of its first result. */
  add<K extends Op>(
    op: K,
    inputs: ReadonlyArray<string>,
    attributes: Attributes[K],
    options: AddOptions = {}
  ): string {
    const outputs = options.outputs ?? [this.fresh(options.name ?? op.toLowerCase())]
    return this.push(node(op, options.name ?? outputs[0]!, inputs, outputs, attributes))[0]!
  }

  /** The graph with these outputs, without nodes, constants and values that none of them needs. */
  finish(outputs: ReadonlyArray<string>): Graph {
    const needed = new Set(outputs)
    const nodes: Array<AnyNode> = []
    for (const node of this.#nodes.toReversed()) {
      if (!node.outputs.some((output) => needed.has(output))) continue
      nodes.push(node)
      for (const input of node.inputs) needed.add(input)
    }
    nodes.reverse()
    const kept = new Set([
      ...needed,
      ...nodes.flatMap((node) => node.outputs),
      ...this.#inputs.map(({ name }) => name)
    ])
    const only = <T>(map: ReadonlyMap<string, T>) => new Map([...map].filter(([name]) => kept.has(name)))
    return {
      name: this.#name,
      inputs: this.#inputs,
      outputs,
      nodes,
      values: only(this.#values),
      constants: only(this.#constants),
      ...(this.#stored.size === 0 ? {} : { stored: only(this.#stored) })
    }
  }
}

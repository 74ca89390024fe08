/**
 * Functions of a model (ModelProto.functions) written out where they are called: their nodes, with the caller's
 * values and attributes in the place of the formal ones.
 */
import { clone, create } from "@bufbuild/protobuf"
import type { AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto } from "onnx-buf"
import { AttributeProtoSchema, NodeProtoSchema } from "onnx-buf"
import { refuse } from "../ir/Refusal.ts"
import { renameValues, subgraphsOf } from "./scope.ts"

/** A call inside a call inside … deeper than this is a function that calls itself. */
const DEEPEST_CALL = 32

/** Nodes all calls together may become: doubling functions make 2^32 of nothing. */
const MOST_NODES = 1 << 20

const keyOf = (domain: string, name: string, overload: string): string => `${domain}\n${name}\n${overload}`

/** Attributes that refer to the caller's get its value, the default, or go away. */
const bindAttributes = (node: NodeProto, given: ReadonlyMap<string, AttributeProto>): void => {
  node.attribute = node.attribute.flatMap((attribute) => {
    if (attribute.refAttrName === "") return [attribute]
    const value = given.get(attribute.refAttrName)
    if (value === undefined) return []
    const bound = clone(AttributeProtoSchema, value)
    bound.name = attribute.name
    return [bound]
  })
  for (const graph of subgraphsOf(node)) for (const inner of graph.node) bindAttributes(inner, given)
}

class Inliner {
  readonly #functions: ReadonlyMap<string, FunctionProto>
  readonly #taken: Set<string>
  #calls = 0
  #made = 0

  constructor(functions: ReadonlyArray<FunctionProto>, graph: GraphProto) {
    this.#functions = new Map(functions.map((f) => [keyOf(f.domain, f.name, f.overload), f]))
    this.#taken = new Set([
      ...graph.input.map(({ name }) => name),
      ...graph.initializer.map(({ name }) => name),
      ...graph.node.flatMap(({ output }) => output)
    ])
  }

  #fresh(wanted: string): string {
    let name = wanted
    for (let i = 1; this.#taken.has(name); i++) name = `${wanted}_${i}`
    this.#taken.add(name)
    return name
  }

  nodes(list: ReadonlyArray<NodeProto>, depth: number): Array<NodeProto> {
    return list.flatMap((node) => this.#node(node, depth))
  }

  #node(node: NodeProto, depth: number): ReadonlyArray<NodeProto> {
    if (++this.#made > MOST_NODES) refuse("calls functions that make too many nodes")
    const called = this.#functions.get(keyOf(node.domain, node.opType, node.overload))
    if (called !== undefined) {
      if (depth > DEEPEST_CALL) refuse(`calls the function ${node.opType} in itself`)
      return this.#call(node, called, depth)
    }
    for (const graph of subgraphsOf(node)) graph.node = this.nodes(graph.node, depth)
    return [node]
  }

  #call(node: NodeProto, called: FunctionProto, depth: number): ReadonlyArray<NodeProto> {
    const prefix = node.name === "" ? `${node.opType}_${this.#calls++}` : node.name
    const renamed = new Map<string, string>()
    for (const inner of called.node)
      for (const name of inner.output) if (name !== "") renamed.set(name, this.#fresh(`${prefix}/${name}`))
    // An absent optional input is "" inside too.
    called.input.forEach((name, i) => renamed.set(name, node.input[i] ?? ""))
    const passed: Array<NodeProto> = []
    const bound = new Set<string>()
    called.output.forEach((name, i) => {
      const wanted = node.output[i] ?? ""
      if (wanted === "") return
      if (!called.input.includes(name) && !bound.has(name)) renamed.set(name, wanted)
      // An output that is an input, or is asked for twice, is passed on.
      else
        passed.push(
          create(NodeProtoSchema, {
            opType: "Identity",
            input: [renamed.get(name) ?? name],
            output: [wanted]
          })
        )
      bound.add(name)
    })
    const given = new Map([...called.attributeProto, ...node.attribute].map((a) => [a.name, a]))
    const body = called.node.map((inner) => {
      const copy = renameValues(inner, renamed)
      bindAttributes(copy, given)
      copy.name = `${prefix}/${inner.name === "" ? (inner.output[0] ?? inner.opType) : inner.name}`
      return copy
    })
    return [...this.nodes(body, depth + 1), ...passed]
  }
}

/** Nodes of the model's graph without calls of its functions. */
export const inlineFunctions = (model: ModelProto, graph: GraphProto): ReadonlyArray<NodeProto> =>
  model.functions.length === 0 ? graph.node : new Inliner(model.functions, graph).nodes(graph.node, 0)

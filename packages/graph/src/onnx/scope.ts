/**
 * Names across subgraphs: what the bodies of If, Loop and Scan read from outside, and nodes with other names for
 * their values. Inner graphs see the outer ones' values; names a graph makes itself hide nothing (ONNX forbids it),
 * but files do it, so an inner name always wins.
 */
import { clone } from "@bufbuild/protobuf"
import type { GraphProto, NodeProto } from "onnx-buf"
import { NodeProtoSchema } from "onnx-buf"
import { isStatic } from "../ir/Dim.ts"
import type { Known } from "../ir/Known.ts"
import { entries } from "../ir/Known.ts"
import { refuse } from "../ir/Refusal.ts"

/** The graphs among a node's attributes. */
export const subgraphsOf = (node: NodeProto): ReadonlyArray<GraphProto> =>
  node.attribute.flatMap(({ g, graphs }) => (g === undefined ? graphs : [g, ...graphs]))

const madeIn = (graph: GraphProto): Set<string> =>
  new Set([
    ...graph.input.map(({ name }) => name),
    ...graph.initializer.map(({ name }) => name),
    ...graph.sparseInitializer.map(({ values }) => values?.name ?? ""),
    ...graph.node.flatMap(({ output }) => output)
  ])

/** Every name a graph and the graphs inside it make. */
export const madeInside = (graph: GraphProto): ReadonlySet<string> => {
  const made = madeIn(graph)
  for (const node of graph.node)
    for (const inner of subgraphsOf(node)) for (const name of madeInside(inner)) made.add(name)
  return made
}

const readBy = (graph: GraphProto, found: Set<string>): void => {
  const made = madeIn(graph)
  const inner = new Set<string>(graph.output.map(({ name }) => name))
  for (const node of graph.node) {
    for (const input of node.input) inner.add(input)
    for (const sub of subgraphsOf(node)) readBy(sub, inner)
  }
  for (const name of inner) if (name !== "" && !made.has(name)) found.add(name)
}

/** Values of the outer graph that the node's subgraphs read, each once. */
export const captured = (node: NodeProto): ReadonlyArray<string> => {
  const found = new Set<string>()
  for (const graph of subgraphsOf(node)) readBy(graph, found)
  return [...found]
}

/** Values that the node reads, itself and in its subgraphs. */
export const readIn = (node: NodeProto): ReadonlyArray<string> => [...node.input, ...captured(node)]

/** Other names for outer values in a graph and the graphs inside it. */
export const renameIn = (graph: GraphProto, renamed: ReadonlyMap<string, string>): void => {
  const made = madeIn(graph)
  const outer = new Map([...renamed].filter(([name]) => !made.has(name)))
  const named = (name: string) => outer.get(name) ?? name
  for (const node of graph.node) {
    node.input = node.input.map(named)
    for (const sub of subgraphsOf(node)) renameIn(sub, outer)
  }
  for (const output of graph.output) output.name = named(output.name)
}

/** The node reading and making values under their new names, in its subgraphs too. */
export const renameValues = (node: NodeProto, renamed: ReadonlyMap<string, string>): NodeProto => {
  const copy = clone(NodeProtoSchema, node)
  const named = (name: string) => renamed.get(name) ?? name
  copy.input = copy.input.map(named)
  copy.output = copy.output.map(named)
  if (renamed.size > 0) for (const graph of subgraphsOf(copy)) renameIn(graph, renamed)
  return copy
}

/** The branch an If takes, where its condition is known. */
export const takenBranch = (node: NodeProto, condition: Known | undefined): GraphProto | undefined => {
  const value = condition === undefined ? undefined : entries(condition)[0]
  if (value === undefined || !isStatic(value)) return undefined
  const wanted = value === 0 ? "else_branch" : "then_branch"
  return node.attribute.find(({ name }) => name === wanted)?.g ?? refuse(`has no ${wanted}`)
}

/**
 * Nodes in an order in which every value is made before it is read. Files should be written so; converters that
 * append casts at the end are not, and ONNX Runtime sorts as well. Nodes in order stay where they are.
 */
import type { NodeProto } from "onnx-buf"
import { refuse } from "../ir/Refusal.ts"
import { captured } from "./scope.ts"

const label = (node: NodeProto): string => `${node.name || node.output[0]} (${node.opType})`

/** Throws a Refusal that names a node of the cycle where nodes wait for each other. */
export const inOrder = (nodes: ReadonlyArray<NodeProto>): ReadonlyArray<NodeProto> => {
  const maker = new Map<string, number>()
  nodes.forEach(({ output }, i) => {
    for (const name of output) if (name !== "" && !maker.has(name)) maker.set(name, i)
  })
  const reads = nodes.map((node) =>
    [...node.input, ...captured(node)].flatMap((name) => maker.get(name) ?? [])
  )
  if (reads.every((makers, i) => makers.every((made) => made < i))) return nodes

  const waiting = reads.map((makers) => new Set(makers).size)
  const readers = nodes.map((): Array<number> => [])
  reads.forEach((makers, i) => {
    for (const made of new Set(makers)) readers[made]!.push(i)
  })
  // Depth first from the first node that is ready keeps the file's order wherever it holds.
  const ordered: Array<NodeProto> = []
  const ready = waiting.flatMap((count, i) => (count === 0 ? [i] : [])).toReversed()
  while (ready.length > 0) {
    const next = ready.pop()!
    ordered.push(nodes[next]!)
    const freed = readers[next]!.filter((reader) => --waiting[reader]! === 0)
    for (const reader of freed.toReversed()) ready.push(reader)
  }
  if (ordered.length < nodes.length) {
    const stuck = nodes[waiting.findIndex((count) => count > 0)]!
    refuse(`node ${label(stuck)} waits for its own result: the graph has a cycle`)
  }
  return ordered
}

/**
 * Constants become inputs, so that one session serves any number of perturbed weights.
 *
 * The new inputs come after the graph's own, in the order named.
 */
import type { Graph } from "../ir/Graph.ts"
import { valueOf } from "../ir/Graph.ts"

export const freeConstants = (graph: Graph, names: ReadonlyArray<string>): Graph => {
  const freed = new Set(names)
  for (const name of freed)
    if (!graph.constants.has(name)) throw new Error(`freeConstants: ${name} is no constant of ${graph.name}`)
  return {
    ...graph,
    inputs: [...graph.inputs, ...Array.from(freed, (name) => valueOf(graph, name))],
    constants: new Map([...graph.constants].filter(([name]) => !freed.has(name)))
  }
}

/**
 * Layers whose results are added or concatenated: accelerators join such operands in one format, so the layers take
 * the same bit widths (HAWQ-v3, ICML 2021, section 3.3).
 */
import type { Graph } from "@bitbudget/graph"
import { Graph as G, Layer } from "@bitbudget/graph"

/** Groups of layer ids, each of two or more. */
export const tiedLayers = (graph: Graph.Graph): ReadonlyArray<ReadonlyArray<string>> => {
  const makers = G.producers(graph)
  const layers = new Set(Layer.layersOf(graph).map(({ id }) => id))
  const sources = new Map<string, ReadonlyArray<string>>()
  /** The layers whose results reach a value through anything but another layer. */
  const sourcesOf = (value: string): ReadonlyArray<string> => {
    const known = sources.get(value)
    if (known !== undefined) return known
    const maker = makers.get(value)
    const found =
      maker === undefined
        ? []
        : layers.has(maker.name)
          ? [maker.name]
          : maker.inputs.flatMap((input) => sourcesOf(input))
    sources.set(value, [...new Set(found)])
    return sources.get(value)!
  }
  const parent = new Map([...layers].map((id) => [id, id]))
  const root = (id: string): string => (parent.get(id) === id ? id : root(parent.get(id)!))
  for (const node of graph.nodes) {
    if (node.op !== "Add" && node.op !== "Concat") continue
    const joined = node.inputs.flatMap((input) => sourcesOf(input))
    for (const id of joined) parent.set(root(id), root(joined[0]!))
  }
  const groups = Map.groupBy(layers, root)
  return [...groups.values()].filter((group) => group.length > 1)
}

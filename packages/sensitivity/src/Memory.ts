/** How many samples a run may take: what keeps memory bounded, whatever the network and the number of samples. */
import { Dim, Graph } from "@bitbudget/graph"

/** Memory the values of one run may take together, in bytes; a batch is at least one sample. */
const RUN_BYTES = 2 ** 30

const bytesPerSample = (graph: Graph.Graph): number => {
  let elements = 0
  for (const { outputs } of graph.nodes)
    for (const output of outputs.filter((name) => name !== ""))
      elements += Dim.elements(Dim.shapeAt(Graph.shapeOf(graph, output), 1))
  return 4 * elements
}

/** Samples a run, at most `largest`, of a graph whose values take about `copies` times the network's own room. */
export const batchSizeFor = (graph: Graph.Graph, copies: number, largest: number): number =>
  Math.max(1, Math.min(largest, Math.floor(RUN_BYTES / (bytesPerSample(graph) * copies))))

/** Backward passes in one graph, at most `most`: as many as leave room for one sample beside `others` copies. */
export const passesFor = (graph: Graph.Graph, others: number, most: number): number => {
  const room = Math.floor(RUN_BYTES / bytesPerSample(graph)) - others
  return Math.max(1, Math.min(most, room))
}

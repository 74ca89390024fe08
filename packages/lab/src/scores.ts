/** What a classifier's first output is. A network that ends in Softmax gives probabilities, and is not softmaxed again. */
import { Graph } from "@bitbudget/graph"

/** Operators that show their input in another shape. */
const views: ReadonlySet<string> = new Set(["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"])

export const scoresOf = (graph: Graph.Graph): "logits" | "probabilities" => {
  const makers = Graph.producers(graph)
  let maker = makers.get(graph.outputs[0]!)
  while (maker !== undefined && views.has(maker.op)) maker = makers.get(maker.inputs[0]!)
  return maker?.op === "Softmax" ? "probabilities" : "logits"
}

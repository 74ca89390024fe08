/**
 * What a network's outputs are: probabilities where it ends in Softmax, which are not softmaxed again; scores or values
 * otherwise.
 */
import { Graph } from "@bitbudget/graph"

/** Operators that show their input in another shape. */
const views: ReadonlySet<string> = new Set(["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"])

/** Outputs that are probabilities, with the axis they sum to one along. */
export const probabilitiesOf = (graph: Graph.Graph): ReadonlyMap<string, number> => {
  const makers = Graph.producers(graph)
  const found = new Map<string, number>()
  for (const output of graph.outputs) {
    let maker = makers.get(output)
    let viewed = false
    while (maker !== undefined && views.has(maker.op)) {
      viewed = viewed || maker.op !== "Identity"
      maker = makers.get(maker.inputs[0]!)
    }
    // Of a softmax seen in another shape the classes are taken to come last.
    if (maker?.op === "Softmax") found.set(output, viewed ? -1 : maker.attributes.axis)
  }
  return found
}

/** What a classifier's output is. */
export const scoresOf = (graph: Graph.Graph, output = graph.outputs[0]!): "logits" | "probabilities" =>
  probabilitiesOf(graph).has(output) ? "probabilities" : "logits"

/**
 * The network as it is analysed: weights are float, there are some, and each layer has its own.
 *
 * Nodes that read the same weights (a layer applied twice, tied embeddings) are layers of their own in a plan, and
 * rounded one at a time; with a copy each, moving one layer's weights moves nothing else. In memory only.
 */
import type { Graph } from "@bitbudget/graph"
import { Gradient, GraphBuilder, Layer } from "@bitbudget/graph"
import { Evaluate } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { Loss } from "./Loss.ts"

/** The network with a copy of the weights for each layer that shares them, and notes on what to know of it. */
export const separated = (
  graph: Graph.Graph,
  loss: Loss
): { readonly graph: Graph.Graph; readonly notes: ReadonlyArray<string> } => {
  const readers = new Map<string, number>()
  for (const { inputs } of graph.nodes)
    for (const input of inputs) readers.set(input, (readers.get(input) ?? 0) + 1)
  const shared = Map.groupBy(
    Layer.layersOf(graph).filter(({ weight }) => readers.get(weight)! > 1),
    ({ node }) => node.name
  )
  const scores = graph.nodes.find(({ outputs }) => outputs.includes(Gradient.scoredOutput(graph, loss.kind)))
  const notes = [
    ...(loss.kind !== "meanSquaredError" && scores?.op === "Sigmoid"
      ? [`the outputs of ${scores.name} (Sigmoid) are taken as the logits of a softmax over the classes`]
      : []),
    ...[...shared.values()]
      .flat()
      .map(
        ({ id, weight }) => `${id} shares its weights ${weight}: its figures are for this use of them alone`
      )
  ]
  if (shared.size === 0) return { graph, notes }
  const builder = GraphBuilder.over(graph)
  for (const node of graph.nodes) {
    const inputs = [...node.inputs]
    for (const { id, weight, weightInput } of shared.get(node.name) ?? [])
      inputs[weightInput] = builder.constant(graph.constants.get(weight)!, builder.fresh(`${weight}/${id}`))
    builder.push({ ...node, inputs })
  }
  return { graph: builder.finish(graph.outputs), notes }
}

/** Refuses networks whose figures would mean nothing. */
export const check = (graph: Graph.Graph, file: string): Effect.Effect<void, Evaluate.Mismatch> => {
  const refused = (problem: string, mend: string) =>
    Effect.fail(new Evaluate.Mismatch({ model: graph.name, file, problem, mend }))
  const quantized = graph.nodes.find(({ op }) => op === "QuantizeLinear" || op === "DequantizeLinear")
  if (quantized !== undefined)
    return refused(
      `the model is quantized already (node ${quantized.name}, ${quantized.op})`,
      "Give the float model it was made from"
    )
  return Layer.layersOf(graph).length === 0
    ? refused(
        "the model has no layer with weights",
        "Give a model with Conv, Gemm or MatMul nodes that read constants"
      )
    : Effect.void
}

/** Where plain data hold a number that is none: keys, or ids where there are any, with slashes between. */
const notFinite = (value: unknown, path: ReadonlyArray<string> = []): string | undefined => {
  if (typeof value === "number") return Number.isFinite(value) ? undefined : path.join("/")
  if (typeof value !== "object" || value === null) return undefined
  const at = "id" in value ? [...path.slice(0, -1), String(value.id)] : path
  for (const [key, part] of Object.entries(value)) {
    const found = notFinite(part, [...at, key])
    if (found !== undefined) return found
  }
  return undefined
}

/** A stage's result, or an error that names the first figure that is no number. */
export const finite =
  (graph: Graph.Graph, file: string, stage: string) =>
  <A>(result: A): Effect.Effect<A, Evaluate.Mismatch> => {
    const where = notFinite(result)
    return where === undefined
      ? Effect.succeed(result)
      : Effect.fail(
          new Evaluate.Mismatch({
            model: graph.name,
            file,
            problem: `the figure ${where} of the metric ${stage} is no finite number`,
            mend: "The model overflows float32 on these samples: look for divisions by zero, and for weights or samples that are too large"
          })
        )
  }

/**
 * The form in which a network is written: dimensions that the model's file leaves open stay open, although costs, gradients
 * and calibration need sizes. A text detector that was calibrated on images of one size takes others.
 */
import { type Graph, Layer, Model } from "@bitbudget/graph"
import type { QuantizedNetwork } from "@bitbudget/quant"
import { Effect } from "effect"

export interface Form {
  readonly graph: Graph.Graph
  /** What the user should know of it. */
  readonly notes: ReadonlyArray<string>
}

/** The network as it is to be written; with its sizes where only they tell shapes that the file computes. */
export const openForm = Effect.fn("openForm")(function* (
  model: Model.Model
): Effect.fn.Return<Form, Model.MalformedModel | Model.ModelFileError> {
  if (model.boundDims.length === 0) return { graph: model.graph, notes: [] }
  const { graph: asItIs, unquantized, unsupported } = yield* Model.survey(model.file, { keepOpen: true })
  const graph = unquantized?.graph ?? asItIs
  const ids = (of: Graph.Graph) => Layer.layersOf(of).map(({ id, weight }) => `${id} ${weight}`)
  const same = ids(graph).join("\n") === ids(model.graph).join("\n")
  if (unsupported.length === 0 && same) return { graph, notes: [] }
  const why = unsupported[0] === undefined ? "" : `: ${unsupported[0].why}`
  const note = `the written network has fixed sizes (${model.boundDims.join(", ")}), which its own shapes depend on${why}`
  return { graph: model.graph, notes: [note] }
})

/** A quantized network in that form: what its passes moved comes along. */
export const inForm = (
  { graph: form }: Form,
  original: Graph.Graph,
  network: QuantizedNetwork.QuantizedNetwork
): QuantizedNetwork.QuantizedNetwork => {
  if (form === original) return network
  const moved = [...network.graph.constants].filter(
    ([name, constant]) => constant !== original.constants.get(name)
  )
  return { ...network, graph: { ...form, constants: new Map([...form.constants, ...moved]) } }
}

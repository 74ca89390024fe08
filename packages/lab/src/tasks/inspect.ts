/** `inspect`: the layers of a network, their shapes and their work. */
import { Dim, Graph, Layer, Model, Work, Workload } from "@bitbudget/graph"
import { Effect } from "effect"

export const inspect = Effect.fn("inspect")(function* (file: string, options: Model.ReadOptions = {}) {
  const { graph, name, sha256, opset, unsupported } = yield* Model.survey(file, options)
  const workload = Workload.workloadOf(graph, 1)
  const works = new Map(workload.steps.map((step) => [step.id, step.work]))
  return {
    model: {
      name,
      sha256,
      opset,
      params: Workload.parameters(workload),
      macs: workload.steps.reduce((sum, { work }) => sum + Work.macs(work), 0)
    },
    layers: Layer.layersOf(graph).map((layer) => ({
      id: layer.id,
      name: layer.name,
      op: layer.op,
      inputShape: Dim.shapeAt(Graph.shapeOf(graph, layer.input), 1),
      outputShape: Dim.shapeAt(Graph.shapeOf(graph, layer.output), 1),
      weightShape: layer.weightShape,
      groups: layer.groups,
      params: layer.weightElements + layer.biasElements,
      macs: Work.macs(works.get(layer.id)!),
      work: works.get(layer.id)!
    })),
    unsupported
  }
})

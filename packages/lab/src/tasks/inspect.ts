/** `inspect`: the layers of a network, their shapes and their work. A layer list has no shapes, only work. */
import { Dim, Graph, Layer, Model, Work, Workload } from "@bitbudget/graph"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { isLayerList, readLayerList, withDims } from "./model.ts"

type Shape = ReadonlyArray<number>

interface Inspected {
  readonly model: {
    readonly name: string
    /** Null for a layer list, as is the opset. */
    readonly sha256: string | null
    readonly opset: number | null
    readonly params: number
    readonly macs: number
  }
  readonly layers: ReadonlyArray<{
    readonly id: string
    readonly name: string
    readonly op: string
    readonly inputShape: Shape | null
    readonly outputShape: Shape | null
    readonly weightShape: Shape | null
    readonly groups: number
    readonly params: number
    readonly macs: number
    readonly work: Work.Work
  }>
  readonly unsupported: ReadonlyArray<Model.UnsupportedNode>
}

const macsOf = ({ steps }: Work.Workload): number => steps.reduce((sum, { work }) => sum + Work.macs(work), 0)

const listed = (workload: Work.Workload): Inspected => ({
  model: {
    name: workload.name,
    sha256: null,
    opset: null,
    params: Workload.parameters(workload),
    macs: macsOf(workload)
  },
  layers: workload.steps.map(({ id, op, work, weightElements, biasElements }) => ({
    id,
    name: id,
    op,
    inputShape: null,
    outputShape: null,
    weightShape: null,
    groups: work.kind === "conv" ? work.groups : 1,
    params: weightElements + biasElements,
    macs: Work.macs(work),
    work
  })),
  unsupported: []
})

export const inspect = Effect.fn("inspect")(function* (
  file: string,
  options: Model.ReadOptions = {}
): Effect.fn.Return<Inspected, RequestFailure> {
  if (file === "")
    return yield* new UnusableRequest({
      why: "the name of the model is empty; give an ONNX file or a layer list"
    })
  if (isLayerList(file)) return listed(yield* readLayerList(file, 1))
  const { graph, name, sha256, opset, unsupported } = yield* withDims(file, options, (known) =>
    Model.survey(file, known)
  )
  const workload = Workload.workloadOf(graph, 1)
  const works = new Map(workload.steps.map((step) => [step.id, step.work]))
  return {
    model: { name, sha256, opset, params: Workload.parameters(workload), macs: macsOf(workload) },
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

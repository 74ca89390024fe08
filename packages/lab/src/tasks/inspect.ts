/** `inspect`: the layers of a network, their shapes and their work. A layer list has no shapes, only work. */
import { Dim, Graph, Layer, Model, Work, Workload } from "@bitbudget/graph"
import { Choice, Recovered } from "@bitbudget/quant"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import type { InspectResult } from "../results/network.ts"
import { isLayerList, leftOut, readLayerList, uncounted } from "./model.ts"
import { surveyModel } from "./observe.ts"

const macsOf = ({ steps }: Work.Workload): number => steps.reduce((sum, { work }) => sum + Work.macs(work), 0)

const listed = (workload: Work.Workload): InspectResult => ({
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
    format: null,
    params: weightElements + biasElements,
    macs: Work.macs(work),
    work
  })),
  others: [],
  carried: [],
  quantization: null,
  openDims: [],
  notes: [],
  unsupported: []
})

const known = (value: number): number | null => (Number.isFinite(value) ? value : null)

/** Carried nodes by operator. Those with subgraphs or of unknown kinds may multiply without our knowing. */
const carriedOf = (model: Model.Model): InspectResult["carried"] => {
  const { carried } = model
  const unknown = new Set(uncounted(model).map(({ node }) => node))
  return [...new Set(carried.map(({ op }) => op))].map((op) => {
    const own = carried.filter((node) => node.op === op)
    const counted = own.every(({ node }) => !unknown.has(node))
    return { op, nodes: own.map(({ node }) => node), why: own[0]!.why, counted }
  })
}

export const inspect = Effect.fn("inspect")(function* (
  file: string,
  options: Model.ReadOptions = {}
): Effect.fn.Return<InspectResult, RequestFailure> {
  if (file === "")
    return yield* new UnusableRequest({
      why: "the name of the model is empty; give an ONNX file or a layer list"
    })
  if (isLayerList(file)) return listed(yield* readLayerList(file, 1))
  const model = yield* surveyModel(file, { keepOpen: true, ...options })
  const own = Recovered.recover(model)
  const graph = model.unquantized?.graph ?? model.graph
  const { name, sha256, opset, unsupported } = model
  const workload = Workload.workloadOf(graph, 1)
  const works = new Map(workload.steps.map((step) => [step.id, step.work]))
  const layers = Layer.layersOf(graph)
  const ids = new Set(layers.map(({ id }) => id))
  const carried = carriedOf(model)
  const isWhole = unsupported.length === 0 && carried.every(({ counted }) => counted)
  return {
    model: {
      name,
      sha256,
      opset,
      params: unsupported.length === 0 ? Workload.parameters(workload) : null,
      macs: isWhole ? known(macsOf(workload)) : null
    },
    layers: layers.map((layer) => ({
      id: layer.id,
      name: layer.name,
      op: layer.op,
      // Of what stands in a carried node's bodies nothing but the weights is known.
      inputShape: layer.input === "" ? null : Dim.shapeAt(Graph.shapeOf(graph, layer.input), 1).map(known),
      outputShape: layer.input === "" ? null : Dim.shapeAt(Graph.shapeOf(graph, layer.output), 1).map(known),
      weightShape: layer.weightShape,
      groups: layer.groups,
      format: own === undefined ? null : Choice.show(own.choices.get(layer.id)!),
      params: layer.weightElements + layer.biasElements,
      macs: layer.input === "" ? null : known(Work.macs(works.get(layer.id)!)),
      work: works.get(layer.id)!
    })),
    others: workload.steps.flatMap(({ id, op, work, weightElements, biasElements }) =>
      ids.has(id) || !(work.kind === "matmul" || work.kind === "conv" || weightElements > 0)
        ? []
        : [{ id, op, params: weightElements + biasElements, macs: known(Work.macs(work)) }]
    ),
    carried,
    quantization: model.quantization ?? null,
    openDims: model.openDims,
    notes: [
      ...model.notes,
      ...Layer.tokenTablesOf(graph).map(
        ({ name }) =>
          `${name} is the table of the tokens that the network foretells: no layer, it stays float`
      ),
      ...leftOut(model)
    ],
    unsupported
  }
})

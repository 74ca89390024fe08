/** `inspect`: the layers of a network, their shapes and their work. A layer list has no shapes, only work. */
import { Dim, Graph, Layer, Model, Work, Workload } from "@bitbudget/graph"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { isLayerList, readLayerList } from "./model.ts"
import { surveyModel } from "./observe.ts"

/** Null: open. */
type Shape = ReadonlyArray<number | null>

interface Inspected {
  readonly model: {
    readonly name: string
    /** Null for a layer list, as is the opset. */
    readonly sha256: string | null
    readonly opset: number | null
    /** Null where nodes could not be read, or sizes are open: a total of parts would pass for the whole. */
    readonly params: number | null
    readonly macs: number | null
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
    readonly macs: number | null
    readonly work: Work.Work
  }>
  /** Steps that multiply or hold weights and have no format of their own: recurrent cells, attention, embeddings. */
  readonly others: ReadonlyArray<{
    readonly id: string
    readonly op: string
    readonly params: number
    readonly macs: number | null
  }>
  /** Operators kept as the file has them, with how many nodes and why. */
  readonly carried: ReadonlyArray<Carried>
  /** How the file is quantized already; null where it is not. */
  readonly quantization: Model.Quantization | null
  /** Dimensions without a size, to be given with --dim. */
  readonly openDims: ReadonlyArray<string>
  readonly notes: ReadonlyArray<string>
  readonly unsupported: ReadonlyArray<Model.UnsupportedNode>
}

interface Carried {
  readonly op: string
  readonly nodes: ReadonlyArray<string>
  readonly why: string
  /** Whether its multiplications are counted. */
  readonly counted: boolean
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
  others: [],
  carried: [],
  quantization: null,
  openDims: [],
  notes: [],
  unsupported: []
})

const known = (value: number): number | null => (Number.isFinite(value) ? value : null)

/** Carried nodes by operator. Those with subgraphs or of unknown kinds may multiply without our knowing. */
const carriedOf = ({ graph, carried }: Model.Model): ReadonlyArray<Carried> => {
  const nodes = new Map(graph.nodes.map((node) => [node.name, node]))
  return [...new Set(carried.map(({ op }) => op))].map((op) => {
    const own = carried.filter((node) => node.op === op)
    const counted = own.every(({ node }) => {
      const found = nodes.get(node)
      return found?.op === "Opaque" && (found.attributes.work !== undefined || found.attributes.hasRow)
    })
    return { op, nodes: own.map(({ node }) => node), why: own[0]!.why, counted }
  })
}

export const inspect = Effect.fn("inspect")(function* (
  file: string,
  options: Model.ReadOptions = {}
): Effect.fn.Return<Inspected, RequestFailure> {
  if (file === "")
    return yield* new UnusableRequest({
      why: "the name of the model is empty; give an ONNX file or a layer list"
    })
  if (isLayerList(file)) return listed(yield* readLayerList(file, 1))
  const model = yield* surveyModel(file, { keepOpen: true, ...options })
  const { graph, name, sha256, opset, unsupported } = model
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
      inputShape: Dim.shapeAt(Graph.shapeOf(graph, layer.input), 1).map(known),
      outputShape: Dim.shapeAt(Graph.shapeOf(graph, layer.output), 1).map(known),
      weightShape: layer.weightShape,
      groups: layer.groups,
      params: layer.weightElements + layer.biasElements,
      macs: known(Work.macs(works.get(layer.id)!)),
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
    notes: model.notes,
    unsupported
  }
})

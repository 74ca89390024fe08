/** The networks tasks are asked about: ONNX files, and layer lists where work alone is enough. */
import { Dim, type Graph, Layer, LayerList, Model, type Work } from "@bitbudget/graph"
import type { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as path from "node:path"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { readText } from "../files.ts"
import { surveyModel } from "./observe.ts"

export const isLayerList = (file: string): boolean => path.extname(file).toLowerCase() === ".csv"

/** The work of a layer list at a batch. */
export const readLayerList = Effect.fn(function* (
  file: string,
  batch: number
): Effect.fn.Return<Work.Workload, RequestFailure> {
  return yield* LayerList.parseLayerList(yield* readText(file), path.basename(file, ".csv"), batch).pipe(
    Effect.mapError(({ faults }) => new LayerList.MalformedLayerList({ file, faults }))
  )
})

/**
 * A trained network: what needs weights or data refuses a layer list by name. Operators nobody knows are carried,
 * with shapes from a run where the file does not give them.
 */
export const readModel = Effect.fn(function* (
  file: string,
  options: Model.ReadOptions = {}
): Effect.fn.Return<Model.Model, RequestFailure> {
  if (file === "")
    return yield* new UnusableRequest({ why: "the name of the model is empty; give an ONNX file" })
  if (isLayerList(file)) {
    return yield* new UnusableRequest({
      why: `${file} is a layer list: it has work but no weights, and this command needs them; give the ONNX file`
    })
  }
  const model = yield* surveyModel(file, options)
  if (model.unsupported.length > 0)
    return yield* new Model.UnsupportedModel({ file, nodes: model.unsupported })
  return model
})

/** Operators kept as the file has them of which nobody knows what they multiply: those with graphs inside, unknown kinds. */
export const uncounted = ({ graph, carried }: Model.Model): ReadonlyArray<Model.UnsupportedNode> => {
  const nodes = new Map(graph.nodes.map((node) => [node.name, node]))
  return carried.filter(({ node }) => {
    const found = nodes.get(node)
    return found?.op === "Opaque" && found.attributes.work === undefined && !found.attributes.hasRow
  })
}

/** How layers inside an If are had, where the network has an input that may decide it. */
const decided = ({ graph, carried }: Model.Model): string => {
  const number = graph.inputs.find(({ shape }) => shape.every((dim) => dim === 1))
  return carried.some(({ op }) => op === "If") && number !== undefined
    ? `; if ${number.name} decides which branch of the If is taken, give its value: --dim ${number.name}=<value>`
    : ""
}

/** What a cost leaves out: a sentence where an operator may multiply without anybody's knowing. */
export const leftOut = (model: Model.Model): ReadonlyArray<string> => {
  const found = uncounted(model)
  if (found.length === 0) return []
  const ops = [...new Set(found.map(({ op }) => op))].join(", ")
  return [
    `nobody knows what ${ops} computes (${found.length === 1 ? `node ${found[0]!.node}` : `${found.length} nodes`}): only the bytes it moves are counted${decided(model)}`
  ]
}

/** Why there is nothing to choose formats for, if there is nothing. */
export const layerless = (model: Model.Model): string | undefined =>
  Layer.layersOf(model.graph).length > 0
    ? undefined
    : `${model.file}: has no layer with weights to choose formats for${decided(model)}`

/** The float network in a file that is quantized already; the file's own formats are its plan "own". */
export const asFloat = (model: Model.Model): Model.Model => {
  const { unquantized, quantization } = model
  if (unquantized === undefined) return model
  const kinds = quantization === undefined ? "" : ` (${quantization.kinds.join(", ")})`
  const note = `${model.file} is quantized already${kinds}: its weights are what their codes stand for, and its own formats are the plan "own"`
  return { ...model, graph: unquantized.graph, notes: [...model.notes, note] }
}

/**
 * A network to choose formats for: of one that is quantized already, the float network that its codes stand for. Products
 * that stay on integers are refused, since their own rounding would be counted for the plan's.
 */
export const readFloatModel = Effect.fn(function* (
  file: string,
  options: Model.ReadOptions = {}
): Effect.fn.Return<Model.Model, RequestFailure> {
  const model = yield* readModel(file, options)
  const carried = new Map(model.carried.map((node) => [node.node, node]))
  const stuck = model.quantization?.layers.find(({ node }) => carried.has(node))
  if (stuck !== undefined)
    return yield* new UnusableRequest({
      why: `${file} is quantized already, and the weights of node ${stuck.node} (${stuck.op}) stay codes: ${carried.get(stuck.node)!.why}; give the float network it was made from`
    })
  return asFloat(model)
})

/** Sizes of open input dimensions as the samples have them. */
const sizesIn = ({ inputs }: Graph.Graph, data: Data.Dataset, named: Data.Split["named"]) => {
  const sizes = new Map<string, number>()
  const shapes = new Map(named.map(({ name, shape }) => [name, shape]))
  for (const { name, shape } of inputs) {
    // A text has named inputs beside the one that any model with a single input is fed.
    const sample =
      shapes.get(name) ?? (inputs.length === 1 || named.length === 0 ? data.inputShape : undefined)
    if (sample === undefined || sample.length !== shape.length - 1) continue
    shape.forEach((dim, i) => {
      if (i > 0 && Dim.isOpen(dim)) sizes.set(dim.open === "" ? `${name}:${i}` : dim.open, sample[i - 1]!)
    })
  }
  return sizes
}

/** Why a network cannot be run here, if it cannot: its weights stay in their files. */
const unrunnable = (model: Model.Model): string | undefined => {
  const bytes = Model.tooLargeToHold(model)
  return bytes === undefined
    ? undefined
    : `${model.file}: its weights take ${bytes} bytes in float32, and a network of 2 GiB or more is not run here, so no data can be asked of it: ` +
        "inspect, simulate, fit and quantize (weights only, without --data) take it"
}

/**
 * A network to choose formats for, of the size that the samples have: dimensions that the file leaves open and nobody gave a
 * size take it from the data.
 */
export const readFitting = Effect.fn(function* (
  file: string,
  options: Model.ReadOptions,
  data: Data.Dataset,
  read: typeof readModel = readFloatModel
): Effect.fn.Return<Model.Model, RequestFailure> {
  // A window of text has nothing before it: caches are empty.
  const [window] = data.inputShape
  const text: Model.ReadOptions = data.tokens === undefined ? options : { ...options, window }
  const open = yield* Model.survey(file, { ...options, keepOpen: true })
  const why = unrunnable(open)
  if (why !== undefined) return yield* new UnusableRequest({ why })
  if (open.openDims.length === 0) return yield* read(file, options)
  const { named } = data.whole ?? (yield* data.split("calibration"))
  const dims = new Map([...sizesIn(open.graph, data, named), ...(options.dims ?? [])])
  const model = yield* read(file, { ...text, dims })
  const sizes = open.openDims.flatMap((name) => (dims.has(name) ? [`${name}=${dims.get(name)}`] : []))
  return { ...model, notes: [...model.notes, `open sizes are those of the samples: ${sizes.join(", ")}`] }
})

/** The networks tasks are asked about: ONNX files, and layer lists where work alone is enough. */
import { Dim, type Graph, LayerList, Model, type Work } from "@bitbudget/graph"
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

/**
 * A network to choose formats for. One that is quantized already is refused: its weights have lost what a search would
 * measure, and its own rounding would be counted for the plan's.
 */
export const readFloatModel = Effect.fn(function* (
  file: string,
  options: Model.ReadOptions = {}
): Effect.fn.Return<Model.Model, RequestFailure> {
  const model = yield* readModel(file, options)
  if (model.quantization === undefined) return model
  const { kinds, layers } = model.quantization
  const bits = [...new Set(layers.map(({ weightBits }) => weightBits))].join(", ")
  return yield* new UnusableRequest({
    why: `${file} is quantized already (${kinds.join(", ")}${bits === "" ? "" : `, weights of ${bits} bits`}): give the float network it was made from; \`bitbudget inspect\` shows its layers`
  })
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
  if (open.openDims.length === 0) return yield* read(file, options)
  const { named } = data.whole ?? (yield* data.split("calibration"))
  const dims = new Map([...sizesIn(open.graph, data, named), ...(options.dims ?? [])])
  const model = yield* read(file, { ...text, dims })
  const sizes = open.openDims.flatMap((name) => (dims.has(name) ? [`${name}=${dims.get(name)}`] : []))
  return { ...model, notes: [...model.notes, `open sizes are those of the samples: ${sizes.join(", ")}`] }
})

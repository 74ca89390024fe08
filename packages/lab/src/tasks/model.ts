/** The networks tasks are asked about: ONNX files, and layer lists where work alone is enough. */
import { LayerList, Model, type Work } from "@bitbudget/graph"
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

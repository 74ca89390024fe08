/** `quantize`: the packed, deployable ONNX file of a plan. */
import { Layer, type Model } from "@bitbudget/graph"
import {
  Affine,
  Choice,
  FileBytes,
  QuantizedNetwork,
  type Recipe,
  type WeightFormat,
  WeightKinds,
  Weights
} from "@bitbudget/quant"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { writeFile } from "../files.ts"
import { inForm, openForm } from "../openForm.ts"
import type { QuantizeResult } from "../results/network.ts"
import { type TextOptions, withData } from "./data.ts"
import { planFor, quantizedFor } from "./formats.ts"
import { layerless, readFloatModel } from "./model.ts"
import { formOf, type Target, writtenFor } from "./target.ts"

const granularityOf = (format: WeightFormat.WeightFormat): string => {
  const scale = WeightKinds.scaleOf(format)
  return scale === undefined ? "none" : typeof scale === "object" ? `block of ${scale.block}` : scale
}

export const quantize = Effect.fn("quantize")(function* (request: {
  readonly model: string
  readonly reading?: Model.ReadOptions
  readonly plan: string
  readonly data: string | undefined
  readonly text?: TextOptions
  readonly recipe?: Recipe.RecipeName | undefined
  /** Samples to calibrate on; all there are when absent. */
  readonly calibration?: number | undefined
  readonly target?: Target | undefined
  readonly out: string
}): Effect.fn.Return<QuantizeResult, RequestFailure> {
  const { model, data } =
    request.data === undefined
      ? {
          // Weights alone need no size.
          model: yield* readFloatModel(request.model, { ...request.reading, keepOpen: true }),
          data: undefined
        }
      : yield* withData({ ...request, data: request.data }, readFloatModel)
  const nothing = layerless(model)
  if (nothing !== undefined) return yield* new UnusableRequest({ why: nothing })
  const { graph } = model
  const plan = yield* planFor(model, request.plan)
  const { choices } = plan
  const { network, notes, recipe } = yield* quantizedFor(model, plan, data, request)
  const form = yield* openForm(model)
  const { bytes, notes: formNotes } = writtenFor(inForm(form, graph, network), request.target)
  yield* writeFile(request.out, bytes, {
    inputs: [request.model, request.plan, ...(request.data === undefined ? [] : request.data.split(","))]
  })
  const layers = Layer.layersOf(graph)
  return {
    file: request.out,
    bytes: bytes.byteLength,
    predictedBytes: FileBytes.predict(
      FileBytes.structureOf(form.graph),
      layers,
      choices,
      (blank) => formOf(blank, request.target).graph
    ),
    layers: layers.map((layer) => {
      const choice = choices.get(layer.id)!
      const noise = Affine.sqnrDb(
        Weights.weightsOf(graph, layer),
        network.encoded.has(layer.id)
          ? QuantizedNetwork.weightsFrom(network.encoded.get(layer.id)!)
          : Weights.weightsOf(graph, layer)
      )
      return {
        id: layer.id,
        choice: Choice.show(choice),
        dtype: WeightKinds.dtype(choice.weights),
        granularity: granularityOf(choice.weights),
        bytes: FileBytes.weightBytes(layer, choice),
        sqnrDb: Number.isFinite(noise) ? noise : null
      }
    }),
    recipe,
    notes: [
      ...model.notes,
      ...form.notes,
      ...plan.notes,
      ...(notes.length === 0 ? [] : (data?.notes ?? [])),
      ...notes,
      ...formNotes
    ]
  }
})

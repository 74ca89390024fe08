/** `quantize`: the packed, deployable ONNX file of a plan. */
import { type Graph, Layer, Model } from "@bitbudget/graph"
import {
  Affine,
  ByLayer,
  Choice,
  FileBytes,
  type PlanFile,
  QuantizedNetwork,
  type Recipe,
  type WeightFormat,
  WeightKinds,
  Weights
} from "@bitbudget/quant"
import type { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as path from "node:path"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { type Care, writeFile, writeFiles } from "../files.ts"
import { type Form, inForm, openForm } from "../openForm.ts"
import type { QuantizeResult } from "../results/network.ts"
import { type TextOptions, withData } from "./data.ts"
import { needsData, planFor, quantizedFor } from "./formats.ts"
import { layerless, readFloatModel } from "./model.ts"
import { formOf, type Target, writtenFor } from "./target.ts"

const granularityOf = (format: WeightFormat.WeightFormat): string => {
  const scale = WeightKinds.scaleOf(format)
  return scale === undefined ? "none" : typeof scale === "object" ? `block of ${scale.block}` : scale
}

interface Request {
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
}

/** What was written. */
interface Written {
  readonly bytes: number
  readonly recipe: Recipe.RecipeName
  /** Signal to quantization noise of a layer's weights in decibels. */
  readonly sqnrDb: (layer: Layer.Layer) => number
  readonly notes: ReadonlyArray<string>
}

/** One file, which is made in memory. */
const whole = Effect.fn(function* (
  model: Model.Model,
  plan: PlanFile.Plan,
  data: Data.Dataset | undefined,
  form: Form,
  request: Request,
  care: Care
): Effect.fn.Return<Written, RequestFailure> {
  const { graph } = model
  const { network, notes, recipe } = yield* quantizedFor(model, plan, data, request)
  const { bytes, notes: formNotes } = writtenFor(inForm(form, graph, network), request.target)
  yield* writeFile(request.out, bytes, care)
  return {
    bytes: bytes.byteLength,
    recipe,
    sqnrDb: (layer) => {
      const weights = Weights.weightsOf(graph, layer)
      const encoded = network.encoded.get(layer.id)
      return Affine.sqnrDb(weights, encoded === undefined ? weights : QuantizedNetwork.weightsFrom(encoded))
    },
    notes: [...(notes.length === 0 ? [] : (data?.notes ?? [])), ...notes, ...formNotes]
  }
})

/** A network too large to be held, layer by layer: the weights into a file beside the model's. */
const byLayer = Effect.fn(function* (
  graph: Graph.Graph,
  plan: PlanFile.Plan,
  { out, recipe, target }: Request,
  care: Care
): Effect.fn.Return<Written, RequestFailure> {
  const why = needsData(graph, plan, recipe)
  if (why !== undefined) return yield* new UnusableRequest({ why })
  const noises = new Map<string, number>()
  const notes: Array<string> = []
  const packed = ByLayer.deploy(
    graph,
    plan.choices,
    (network) => {
      const form = formOf(network, target)
      if (network.graph === graph) notes.push(...form.notes)
      return form.graph
    },
    ({ id }, weights, encoded) =>
      void noises.set(id, Affine.sqnrDb(weights, QuantizedNetwork.weightsFrom(encoded)))
  )
  const location = `${path.basename(out)}.data`
  let [model, bytes] = [new Uint8Array(), 0]
  yield* writeFiles(
    [
      {
        file: path.join(path.dirname(out), location),
        contents: (write) => {
          model = Model.encodeBeside(packed, location, (part) => {
            write(part)
            bytes += part.byteLength
          })
        }
      },
      { file: out, contents: (write) => write(model) }
    ],
    care
  )
  return {
    bytes: model.byteLength + bytes,
    recipe: "plain",
    sqnrDb: ({ id }) => noises.get(id) ?? Number.POSITIVE_INFINITY,
    notes: [...notes, `the weights are in ${location}, which belongs beside ${path.basename(out)}`]
  }
})

export const quantize = Effect.fn("quantize")(function* (
  request: Request
): Effect.fn.Return<QuantizeResult, RequestFailure> {
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
  const care = {
    inputs: [request.model, request.plan, ...(request.data === undefined ? [] : request.data.split(","))]
  }
  const form = yield* openForm(model)
  const written =
    Model.tooLargeToHold(model) === undefined
      ? yield* whole(model, plan, data, form, request, care)
      : yield* byLayer(form.graph, plan, request, care)
  const layers = Layer.layersOf(graph)
  return {
    file: request.out,
    bytes: written.bytes,
    predictedBytes: FileBytes.predict(
      FileBytes.structureOf(form.graph),
      layers,
      choices,
      (blank) => formOf(blank, request.target).graph
    ),
    layers: layers.map((layer) => {
      const choice = choices.get(layer.id)!
      const noise = written.sqnrDb(layer)
      return {
        id: layer.id,
        choice: Choice.show(choice),
        dtype: WeightKinds.dtype(choice.weights),
        granularity: granularityOf(choice.weights),
        bytes: FileBytes.weightBytes(layer, choice),
        sqnrDb: Number.isFinite(noise) ? noise : null
      }
    }),
    recipe: written.recipe,
    notes: [...model.notes, ...form.notes, ...plan.notes, ...written.notes]
  }
})

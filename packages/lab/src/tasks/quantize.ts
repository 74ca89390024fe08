/** `quantize`: the packed, deployable file of a plan. */
import { type Graph, Layer, Model } from "@bitbudget/graph"
import {
  Affine,
  ByLayer,
  Choice,
  FileBytes,
  GgufFile,
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
import * as Forecast from "./forecast.ts"
import { needsData, planFor, quantizedFor } from "./formats.ts"
import { ggufFor, requireGguf } from "./gguf.ts"
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
  readonly target?: Target | { readonly name: "gguf" } | undefined
  readonly out: string
}

/** What was written. */
interface Written {
  readonly bytes: number
  readonly predictedBytes: number
  readonly recipe: Recipe.RecipeName
  /** Signal to quantization noise of a layer's weights in decibels. */
  readonly sqnrDb: (layer: Layer.Layer) => number
  readonly notes: ReadonlyArray<string>
}

/** What is to be written, of which network. */
interface Asked {
  readonly model: Model.Model
  readonly plan: PlanFile.Plan
  readonly data: Data.Dataset | undefined
  readonly request: Request
  readonly care: Care
}

const noiseOf = (graph: Graph.Graph, layer: Layer.Layer, encoded: WeightKinds.Encoded | undefined): number =>
  encoded === undefined
    ? Number.POSITIVE_INFINITY
    : Affine.sqnrDb(Weights.weightsOf(graph, layer), QuantizedNetwork.weightsFrom(encoded))

/** One file, which is made in memory. */
const whole = Effect.fn(function* (
  { model, plan, data, request, care }: Asked,
  target: Target | undefined
): Effect.fn.Return<Written, RequestFailure> {
  const { graph } = model
  const form = yield* openForm(model)
  const { network, notes, recipe } = yield* quantizedFor(model, plan, data, request)
  const { bytes, notes: formNotes } = writtenFor(inForm(form, graph, network), target)
  yield* writeFile(request.out, bytes, care)
  return {
    bytes: bytes.byteLength,
    predictedBytes: predicted(form, plan, target),
    recipe,
    sqnrDb: (layer) => noiseOf(graph, layer, network.encoded.get(layer.id)),
    notes: [...form.notes, ...(notes.length === 0 ? [] : (data?.notes ?? [])), ...notes, ...formNotes]
  }
})

const predicted = ({ graph }: Form, { choices }: PlanFile.Plan, target: Target | undefined): number =>
  FileBytes.predict(
    FileBytes.structureOf(graph),
    Layer.layersOf(graph),
    choices,
    (blank) => formOf(blank, target).graph
  )

/** A network too large to be held, layer by layer: the weights into a file beside the model's. */
const byLayer = Effect.fn(function* (
  { model: { graph }, plan, request: { out, recipe }, care }: Asked,
  target: Target | undefined
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
    predictedBytes: predicted({ graph, notes: [] }, plan, target),
    recipe: "plain",
    sqnrDb: ({ id }) => noises.get(id) ?? Number.POSITIVE_INFINITY,
    notes: [...notes, `the weights are in ${location}, which belongs beside ${path.basename(out)}`]
  }
})

/** llama.cpp's file. Of a network too large to be held, every layer is rounded when its tensor is written. */
const gguf = Effect.fn(function* ({
  model,
  plan,
  data,
  request,
  care
}: Asked): Effect.fn.Return<Written, RequestFailure> {
  const { choices } = plan
  yield* requireGguf(model, model.graph, choices)
  const isLarge = Model.tooLargeToHold(model) !== undefined
  const why = isLarge ? needsData(model.graph, plan, request.recipe) : undefined
  if (why !== undefined) return yield* new UnusableRequest({ why })
  const { network, notes, recipe } = isLarge
    ? { network: undefined, notes: [], recipe: "plain" as const }
    : yield* quantizedFor(model, plan, data, request)
  const graph = network?.graph ?? model.graph
  const noises = new Map<string, number>()
  const made = yield* ggufFor(model, graph, choices, (layer) => {
    const encoded =
      network === undefined
        ? QuantizedNetwork.encodedAlone(graph, choices, layer)
        : network.encoded.get(layer.id)
    noises.set(layer.id, noiseOf(graph, layer, encoded))
    return encoded
  })
  let bytes = 0
  const contents = (write: (part: Uint8Array) => void): void =>
    GgufFile.write(made.file, (part) => {
      write(part)
      bytes += part.byteLength
    })
  yield* writeFile(request.out, contents, care)
  return {
    bytes,
    predictedBytes: GgufFile.sizeOf(made.file),
    recipe,
    sqnrDb: ({ id }) => noises.get(id) ?? Number.POSITIVE_INFINITY,
    notes: [...(notes.length === 0 ? [] : (data?.notes ?? [])), ...notes, ...made.notes]
  }
})

const written = (asked: Asked): Effect.Effect<Written, RequestFailure> => {
  const { target } = asked.request
  if (target?.name === "gguf") return gguf(asked)
  return Model.tooLargeToHold(asked.model) === undefined ? whole(asked, target) : byLayer(asked, target)
}

/** `announce` is told what the work will take before it begins, where that is much. */
export const quantize = Effect.fn("quantize")(function* (
  request: Request,
  announce: (text: string) => Effect.Effect<void> = () => Effect.void
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
  if (Model.tooLargeToHold(model) !== undefined) {
    const forecast = Forecast.forecastOf(model, choices)
    if (forecast !== undefined) yield* announce(Forecast.show(forecast))
  }
  const file = yield* written({ model, plan, data, request, care })
  const layers = Layer.layersOf(graph)
  return {
    file: request.out,
    bytes: file.bytes,
    predictedBytes: file.predictedBytes,
    layers: layers.map((layer) => {
      const choice = choices.get(layer.id)!
      const noise = file.sqnrDb(layer)
      return {
        id: layer.id,
        choice: Choice.show(choice),
        dtype: WeightKinds.dtype(choice.weights),
        granularity: granularityOf(choice.weights),
        bytes: FileBytes.weightBytes(layer, choice),
        sqnrDb: Number.isFinite(noise) ? noise : null
      }
    }),
    recipe: file.recipe,
    notes: [...model.notes, ...plan.notes, ...file.notes]
  }
})

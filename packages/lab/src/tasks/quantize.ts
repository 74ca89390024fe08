/** `quantize`: the packed, deployable ONNX file of a plan. */
import { Layer, Model } from "@bitbudget/graph"
import { Affine, FileBytes, LayerFormat, Pack, Weights } from "@bitbudget/quant"
import { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { RequestFailure } from "../errors.ts"
import { writeFile } from "../files.ts"
import { planFor, rangesFor } from "./formats.ts"
import { readModel } from "./model.ts"

interface Packed {
  readonly file: string
  readonly bytes: number
  readonly predictedBytes: number
  readonly layers: ReadonlyArray<{
    readonly id: string
    readonly dtype: string
    readonly granularity: LayerFormat.LayerFormat["granularity"]
    readonly bytes: number
    /** Null where the weights are stored exactly. */
    readonly sqnrDb: number | null
  }>
  readonly notes: ReadonlyArray<string>
}

export const quantize = Effect.fn("quantize")(function* (request: {
  readonly model: string
  readonly reading?: Model.ReadOptions
  readonly plan: string
  readonly data: string | undefined
  readonly out: string
}): Effect.fn.Return<Packed, RequestFailure> {
  const { graph } = yield* readModel(request.model, request.reading)
  const formats = yield* planFor(graph, request.plan)
  const data = request.data === undefined ? undefined : yield* Data.open(request.data)
  const ranges = yield* rangesFor(graph, formats, data)
  const bytes = Pack.encode(graph, formats, ranges)
  yield* writeFile(request.out, bytes)
  const layers = Layer.layersOf(graph)
  return {
    file: request.out,
    bytes: bytes.byteLength,
    predictedBytes: FileBytes.predict(FileBytes.structureOf(graph), layers, formats),
    layers: layers.map((layer) => {
      const format = formats.get(layer.id) ?? LayerFormat.float32Format
      const { kind, bits } = format.precision.weights
      const weights = Weights.weightsOf(graph, layer)
      const noise = Affine.sqnrDb(weights, Weights.roundedWeights(weights, layer, format))
      return {
        id: layer.id,
        dtype: kind === "float" ? `float${bits}` : Pack.storedType(bits, format.scheme === "symmetric"),
        granularity: format.granularity,
        bytes: FileBytes.weightBytes(layer, format),
        sqnrDb: Number.isFinite(noise) ? noise : null
      }
    }),
    notes: layers.flatMap(({ id }) => {
      const bits = formats.get(id)?.precision.weights
      const container = bits?.kind === "int" ? Pack.containerBits(bits.bits) : undefined
      return container === undefined || container === bits!.bits
        ? []
        : [`${id}: ${bits!.bits}-bit weights are stored in ${container} bits`]
    })
  }
})

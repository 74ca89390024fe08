/** The commands besides the main job, each as one function from names to the JSON of the contract. */
import { Batch, Measurement, Profiles, Simulate, Validation } from "@bitbudget/device"
import { Dim, Graph, Layer, LayerList, Model, Precision, Work, Workload } from "@bitbudget/graph"
import { Affine, BitPlan, FakeQuant, FileBytes, LayerFormat, Pack, Weights } from "@bitbudget/quant"
import { Data, Evaluate, Metrics } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { calibrate } from "./calibrate.ts"
import { FileFailure, readJson, writeFile } from "./files.ts"
import { UnusableRequest } from "./errors.ts"

export { Data, Model, Profiles }
export { Progress } from "@bitbudget/runtime"

/** Samples over which activation ranges are taken. */
const CALIBRATION_SAMPLES = 512

export const inspect = Effect.fn("inspect")(function* (file: string) {
  const { graph, name, sha256, opset, unsupported } = yield* Model.survey(file)
  const workload = Workload.workloadOf(graph, 1)
  const works = new Map(workload.steps.map((step) => [step.id, step.work]))
  return {
    model: {
      name,
      sha256,
      opset,
      params: Workload.parameters(workload),
      macs: workload.steps.reduce((sum, { work }) => sum + Work.macs(work), 0)
    },
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

const isLayerList = (file: string) => path.extname(file).toLowerCase() === ".csv"

const readText = (file: string): Effect.Effect<string, FileFailure> =>
  Effect.try({
    try: () => fs.readFileSync(file, "utf8"),
    catch: (cause) =>
      new FileFailure({ file, why: `cannot be read: ${cause instanceof Error ? cause.message : cause}` })
  })

/** Formats of a plan file or shorthand. */
export const planFor = (graph: Graph.Graph, plan: string) =>
  Effect.gen(function* () {
    const short = BitPlan.fromShorthand(graph, plan)
    if (short !== undefined) return short
    if (!plan.endsWith(".json")) {
      return yield* new UnusableRequest({
        why: `plan "${plan}" is neither shorthand like w4a8 or f32 nor a .json file`
      })
    }
    return yield* BitPlan.decode(plan, yield* readJson(plan), graph)
  })

export const simulate = Effect.fn("simulate")(function* (request: {
  readonly model: string
  readonly device: string
  readonly profiles: string
  readonly plan: string
  readonly batch: number
}) {
  const profile = yield* Profiles.load(request.device, request.profiles)
  const run = (workload: Work.Workload, precisionOf: Simulate.PrecisionOf) =>
    Effect.try({
      try: () => Simulate.network(profile, workload, precisionOf),
      catch: (cause) => new UnusableRequest({ why: cause instanceof Error ? cause.message : String(cause) })
    })
  if (isLayerList(request.model)) {
    const precision = Precision.parsePrecision(request.plan)
    if (precision === undefined) {
      return yield* new UnusableRequest({ why: `a layer list takes a plan like w8a8, not "${request.plan}"` })
    }
    const name = path.basename(request.model, ".csv")
    const workload = yield* LayerList.parseLayerList(yield* readText(request.model), name, request.batch)
    return yield* run(workload, () => precision)
  }
  const { graph } = yield* Model.read(request.model)
  const formats = yield* planFor(graph, request.plan)
  const widest = [...formats.values()][0]?.precision ?? Precision.wa(8, 8)
  const workload = Batch.workloadAt(graph, request.batch)
  return yield* run(workload, (step) => formats.get(step.id)?.precision ?? widest)
})

/** Activation ranges where the plan needs them; without data only weights can be quantized. */
const rangesFor = (graph: Graph.Graph, formats: LayerFormat.Formats, data: Data.Dataset | undefined) =>
  Effect.gen(function* () {
    const needed = [...formats.values()].some(({ precision }) => precision.activations.kind === "int")
    if (!needed) return new Map<string, { readonly low: number; readonly high: number }>()
    if (data === undefined) {
      return yield* new UnusableRequest({
        why: "the plan quantizes activations, whose ranges come from data: add --data, or use a plan like w4 (weights only)"
      })
    }
    return yield* calibrate(graph, yield* data.split("calibration"), CALIBRATION_SAMPLES)
  })

export const evaluate = Effect.fn("evaluate")(function* (request: {
  readonly model: string
  readonly data: string
  readonly plan: string | undefined
  readonly samples: number | undefined
}) {
  const start = performance.now()
  const { graph } = yield* Model.read(request.model)
  const data = yield* Data.open(request.data)
  const split = data.whole ?? (yield* data.split("test"))
  const limit = request.samples === undefined ? {} : { limit: request.samples }
  const float = yield* Evaluate.run(Model.encode(graph), split, { ...limit, stage: "evaluating" })
  const seconds = () => (performance.now() - start) / 1e3
  if (request.plan === undefined) return { n: float.n, metrics: float.metrics, seconds: seconds() }
  const formats = yield* planFor(graph, request.plan)
  const ranges = yield* rangesFor(graph, formats, data)
  const simulated = yield* Evaluate.run(Model.encode(FakeQuant.rewrite(graph, formats, ranges)), split, {
    ...limit,
    stage: `evaluating ${request.plan}`
  })
  const packed = yield* Evaluate.run(Pack.encode(graph, formats, ranges), split, {
    ...limit,
    stage: "evaluating packed"
  })
  const agreementWith = (other: Evaluate.Evaluation) =>
    simulated.classification === undefined || other.classification === undefined
      ? null
      : Metrics.agreement(simulated.classification.predicted, other.classification.predicted)
  return {
    n: simulated.n,
    metrics: simulated.metrics,
    agreement: { withFloat: agreementWith(float), withPacked: agreementWith(packed) },
    seconds: seconds()
  }
})

export const quantize = Effect.fn("quantize")(function* (request: {
  readonly model: string
  readonly plan: string
  readonly data: string | undefined
  readonly out: string
}) {
  const { graph } = yield* Model.read(request.model)
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

/** `devices validate`: predictions beside the measurements of a CSV. Models are looked up beside it or in `models`. */
export const validate = Effect.fn("validate")(function* (request: {
  readonly device: string
  readonly profiles: string
  readonly against: string
  readonly models: string | undefined
}) {
  const profile = yield* Profiles.load(request.device, request.profiles)
  const rows = yield* Measurement.parseMeasurements(yield* readText(request.against), request.against)
  const folders = [request.models, path.dirname(request.against)].filter((folder) => folder !== undefined)
  const names = [...new Set(rows.filter(({ device }) => device === profile.id).map(({ onnx }) => onnx))]
  const graphs = new Map<string, Graph.Graph>()
  for (const name of names) {
    const file = folders
      .map((folder) => path.join(folder, name))
      .find((candidate) => name !== "" && fs.existsSync(candidate))
    if (file !== undefined) graphs.set(name, (yield* Model.read(file)).graph)
  }
  return Validation.run(profile, rows, (onnx, batch) => {
    const graph = graphs.get(onnx)
    return graph === undefined ? `${onnx} is not in ${folders.join(" or ")}` : Batch.workloadAt(graph, batch)
  })
})

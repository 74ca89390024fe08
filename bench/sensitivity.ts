/**
 * How fast second-order sensitivities are, next to PyTorch, on one machine, one after the other, one thread each.
 *
 * Per-layer traces of ResNet-8 on 256 images: exact here; by Hutchinson, as PyHessian does it, to 1.5 % standard error
 * there, from the measured time and deviation of a probe. And one Hessian-vector product for all layers. The peer
 * (`peers/torch_hvp.py`) needs a Python with torch, onnx and numpy, and is left out where there is none.
 *
 * `PYTHON=/path/to/python3 node bench/sensitivity.ts [model.onnx]`
 */
import type { Graph } from "@bitbudget/graph"
import { Gradient, GraphBuilder, Layer, Model } from "@bitbudget/graph"
import { Data, Session, Value } from "@bitbudget/runtime"
import { GaussNewton } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"

const SAMPLES = 256
const threads = 1
const path = (name: string) => new URL(name, import.meta.url).pathname
const modelFile = process.argv[2] ?? path("../experiments/models/resnet8.onnx")
const images = path("../experiments/data/fashion-mnist/fashion-mnist.json")

/** Median of the seconds of `times` runs, after one that is not counted. */
const seconds = <E>(times: number, run: Effect.Effect<unknown, E>): Effect.Effect<number, E> =>
  Effect.gen(function* () {
    yield* run
    const measured: Array<number> = []
    for (let i = 0; i < times; i++) {
      const start = performance.now()
      yield* run
      measured.push((performance.now() - start) / 1000)
    }
    return measured.toSorted((a, b) => a - b)[Math.floor(times / 2)]!
  })

/** Hessian of the mean loss times a fed direction in all layers' weights. */
const hessianVector = (graph: Graph.Graph, layers: ReadonlyArray<Layer.Layer>) => {
  const lossy = Gradient.withLoss(graph, "crossEntropy")
  const builder = GraphBuilder.from(Gradient.bindBatch(lossy.graph, SAMPLES))
  const e = new Gradient.Algebra(builder)
  const weights = layers.map(({ weight }) => weight)
  const loss = e.mean(lossy.losses, [0])
  const one = e.number(1)
  const directions = weights.map((weight, l) => builder.input(`direction${l}`, "float32", e.shape(weight)))
  const slopes = Gradient.reverse(e, new Map([[loss, one]]), weights)
  const along = slopes.map((g, l) => e.total(e.mul(g, directions[l]!))).reduce((a, b) => e.add(a, b))
  const products = Gradient.reverse(e, new Map([[along, one]]), weights)
  return { bytes: Model.encode(Gradient.lower(builder.finish(products))), directions, target: lossy.target }
}

interface Peer {
  readonly forward_s: number
  readonly hvp_s: number
  readonly layer_hvp_s: number
  readonly relative_deviation_all_layers: ReadonlyArray<number>
  readonly relative_deviation_one_layer: ReadonlyArray<number>
}

const peer = (): Peer | undefined => {
  const folder = path("../experiments/data/fashion-mnist/")
  const files = [`${folder}t10k-images-idx3-ubyte.gz`, `${folder}t10k-labels-idx1-ubyte.gz`]
  const python = process.env["PYTHON"] ?? "python3"
  const run = spawnSync(python, [path("peers/torch_hvp.py"), modelFile, ...files, String(threads)], {
    encoding: "utf8"
  })
  if (run.status === 0) return JSON.parse(run.stdout)
  const why = run.error?.message ?? run.stderr.trim().split("\n").at(-1) ?? ""
  console.log(
    `PyTorch left out: ${python} cannot run peers/torch_hvp.py (${why}). ` +
      "Set PYTHON to one with torch, onnx and numpy."
  )
  return undefined
}

const ours = Effect.scoped(
  Effect.gen(function* () {
    const { graph } = yield* Model.read(modelFile)
    const split = yield* (yield* Data.open(images)).split("test")
    const batch = yield* split.batch(0, SAMPLES)
    const input = graph.inputs[0]!.name
    const labels = Value.int64([SAMPLES], BigInt64Array.from(batch.labels?.data ?? [], BigInt))

    const float = yield* Session.make(Model.encode(graph), { threads })
    const forward = yield* seconds(9, float.run({ [input]: batch.inputs }))
    const traces = yield* seconds(3, GaussNewton.traces({ graph, split, samples: SAMPLES, threads }))

    const layers = Layer.layersOf(graph)
    const made = hessianVector(graph, layers)
    const session = yield* Session.make(made.bytes, { threads })
    const directions = layers.map(({ weightShape, weightElements }, l) => {
      const signs = Float32Array.from({ length: weightElements }, (_, i) =>
        Math.imul(i + l, 0x9e3779b1) < 0 ? 1 : -1
      )
      return [made.directions[l]!, Value.float32(weightShape, signs)] as const
    })
    const feeds = { [input]: batch.inputs, [made.target]: labels, ...Object.fromEntries(directions) }
    const product = yield* seconds(5, session.run(feeds))
    // Again, so that a machine that slowed down meanwhile shows.
    const again = yield* seconds(9, float.run({ [input]: batch.inputs }))
    return { layers: layers.length, forward, again, traces, product }
  })
)

const { layers, forward, again, traces, product } = await Effect.runPromise(ours)
const show = (value: number) => Number(value.toPrecision(3))
const first = [
  { what: "float forward pass, first", seconds: show(forward) },
  { what: "float forward pass, last", seconds: show(again) },
  { what: `exact traces of all ${layers} layers, from reading the graph on`, seconds: show(traces) },
  { what: "one Hessian-vector product, all layers", seconds: show(product) }
]
console.log(`${modelFile.split("/").at(-1)}, ${SAMPLES} samples, ${threads} thread`)
console.table(first)
console.log(`exact traces = ${show(traces / ((forward + again) / 2))} forward passes of the same batch`)

const torch = peer()
if (torch !== undefined) {
  const probes = (deviation: number) => (deviation / 0.015) ** 2
  const together = torch.hvp_s * Math.max(...torch.relative_deviation_all_layers.map(probes))
  const apart = torch.layer_hvp_s * torch.relative_deviation_one_layer.map(probes).reduce((a, b) => a + b, 0)
  const range = (values: ReadonlyArray<number>) =>
    `${show(Math.min(...values))} to ${show(Math.max(...values))}`
  console.log(
    `PyTorch: forward ${show(torch.forward_s)} s; a probe of all layers ${show(torch.hvp_s)} s, deviating ` +
      `${range(torch.relative_deviation_all_layers)} of the trace; a probe of one layer ${show(torch.layer_hvp_s)} s ` +
      `on average, deviating ${range(torch.relative_deviation_one_layer)}`
  )
  console.table([
    {
      "per-layer traces to 1.5 %": "PyTorch, all layers from each probe",
      seconds: show(together),
      "times ours": show(together / traces)
    },
    {
      "per-layer traces to 1.5 %": "PyTorch, layer after layer",
      seconds: show(apart),
      "times ours": show(apart / traces)
    }
  ])
  console.log(`one Hessian-vector product: ours / PyTorch's = ${show(product / torch.hvp_s)}`)
}

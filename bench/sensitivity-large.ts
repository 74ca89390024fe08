/**
 * Gauss–Newton traces of a ResNet-50-sized network: 1000 classes, 224×224, random weights (seeded, He's variance) on
 * the shipped architecture, random inputs. Prints seconds and the most memory the process ever held.
 *
 * `node bench/sensitivity-large.ts [model.onnx] [samples] [directions]`
 */
import { Dim, Layer, Model, Tensor } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import type { Data } from "@bitbudget/runtime"
import { Value } from "@bitbudget/runtime"
import { GaussNewton } from "@bitbudget/sensitivity"
import { Effect } from "effect"

const [file, samples = "8", directions = "16"] = process.argv.slice(2)

/** Standard normal numbers (mulberry32 and Box–Muller). */
const normal = (seed: number) => {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}

/** The graph with every layer's weights drawn anew; half of He's variance keeps residual sums from growing. */
const withRandomWeights = (graph: Graph.Graph): Graph.Graph => {
  const next = normal(1)
  const constants = new Map(graph.constants)
  for (const { weight, weightShape, channelAxis } of Layer.layersOf(graph)) {
    const fanIn = Dim.elements(weightShape) / weightShape[channelAxis]!
    const data = Float32Array.from({ length: Dim.elements(weightShape) }, () => next() / Math.sqrt(fanIn))
    constants.set(weight, Tensor.float32(weightShape, data))
  }
  return { ...graph, constants }
}

/** Random images, as many as asked for, made when they are read. */
const randomSplit = (graph: Graph.Graph): Data.Split => {
  const inputShape = Dim.shapeAt(graph.inputs[0]!.shape, 1).slice(1)
  return {
    name: "whole",
    file: "random inputs",
    size: 1_000_000,
    dtype: "float32",
    inputShape,
    named: [],
    hasLabels: false,
    labels: undefined,
    sampleAt: (position) => position,
    batch: (from, to) => {
      const next = normal(from + 2)
      const length = (to - from) * Dim.elements(inputShape)
      const inputs = Value.float32([to - from, ...inputShape], Float32Array.from({ length }, next))
      return Effect.succeed({ from, to, inputs, named: new Map(), labels: undefined })
    },
    pick: () => Effect.die(new Error("random images are read in order"))
  }
}

const path = file ?? new URL("../hw-profiles/validation/models/resnet50.onnx", import.meta.url).pathname
await Effect.runPromise(
  Effect.gen(function* () {
    const model = yield* Model.read(path)
    const graph = withRandomWeights(model.graph)
    const start = performance.now()
    const traces = yield* GaussNewton.traces({
      graph,
      split: randomSplit(graph),
      samples: Number(samples),
      directions: Number(directions)
    })
    const seconds = (performance.now() - start) / 1000
    console.table(
      traces.map(({ id, params, trace, stdErr, samplingStdErr }) => ({
        layer: id,
        params,
        trace,
        "standard error, %": (100 * stdErr) / trace,
        "with sampling, %": samplingStdErr === null ? null : (100 * samplingStdErr) / trace
      }))
    )
    const peak = process.resourceUsage().maxRSS / 2 ** 20
    console.log(
      `${model.name}: ${traces.length} layers, ${samples} samples, ${directions} directions each: ` +
        `${seconds.toFixed(1)} s, most memory held ${peak.toFixed(2)} GiB`
    )
  })
)

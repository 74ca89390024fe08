/** Networks of every family differentiate in every layer: convolutions of all kinds, attention, detection heads. */
import { Graph, Layer, Model } from "@bitbudget/graph"
import { Effect } from "effect"
import { expect, test } from "vitest"
import { targetOf } from "../src/gaussnewton/curvature.ts"
import { traceGraph } from "../src/gaussnewton/graph.ts"
import { named } from "../src/Loss.ts"
import { draw, random, splitOf } from "./reference.ts"

const file = (name: string) =>
  new URL(`../../../hw-profiles/validation/models/${name}.onnx`, import.meta.url).pathname

test.each([
  "convnext_tiny",
  "densenet121",
  "mobilenet_v3_small_0.75",
  "ncnn-nanodet_m",
  "ncnn-shufflenet_v2",
  "squeezenet1_1",
  "mlperf-tiny-autoencoder",
  "vit_base_patch16_224"
])("%s", (name) => {
  const { graph } = Effect.runSync(Model.read(file(name)))
  const layers = Layer.layersOf(graph)
  const split = splitOf(draw([1, 1], random(1)), draw([1, 1], random(2)))
  const target = targetOf(graph, named("klToFloat"), split)
  const made = traceGraph(graph, layers, target, { samples: 1, directions: 2 })
  expect(made.norms.length).toBe(layers.length)
  for (const norm of made.norms) expect(Graph.shapeOf(made.graph, norm)).toEqual([1, 2])
})

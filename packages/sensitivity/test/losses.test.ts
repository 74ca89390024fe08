import type { Graph } from "@bitbudget/graph"
import { Dim, GraphBuilder, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { expect, test } from "vitest"
import { Sensitivity } from "../src/index.ts"
import * as Reference from "./reference.ts"
import * as Tiny from "./tiny.ts"
import { widths } from "./choices.ts"

const all = Sensitivity.metrics
const analyze = (options: Omit<Sensitivity.Options, "choices" | "referee">) =>
  Effect.runPromise(
    Sensitivity.analyze({ ...options, choices: widths(options.graph, [3]), referee: false, maxProbes: 32 })
  )

test("squared errors of a linear network: Taylor's two terms are the whole increase", async () => {
  const next = Reference.random(5)
  const [weights, x, wanted] = [
    Reference.draw([6, 4], next),
    Reference.draw([9, 6], next),
    Reference.draw([9, 4], next)
  ]
  const builder = new GraphBuilder("linear")
  const input = builder.input("x", "float32", [Dim.batchDim(), 6])
  const w = builder.constant(Tensor.float32([6, 4], weights.data), "w")
  const graph = builder.finish([builder.add("MatMul", [input, w], {}, { name: "layer" })])
  const report = await analyze({ graph, split: Reference.splitOf(x, wanted), samples: 9, metrics: all })
  expect(report.loss).toBe("meanSquaredError")
  const [layer] = report.layers
  expect(layer!.exact).toBe(true)
  // H = 2/4·xxᵀ for each of the four outputs, the mean over samples.
  const squares = x.data.reduce((sum, value) => sum + value ** 2, 0) / 9
  expect(layer!.trace! / (2 * squares)).toBeCloseTo(1, 5)
  const { linear, quadratic, deltaLoss, klDivergence } = layer!.byChoice["w3"]!
  expect((linear! + quadratic!) / deltaLoss!).toBeCloseTo(1, 4)
  expect(klDivergence).toBe(null)
})

test("divergence from the float network: no slope, Gauss-Newton is the Hessian, the increase is the KL", async () => {
  const { graph, split, samples } = Tiny
  const report = await analyze({ graph, split, samples, loss: "klToFloat", metrics: all })
  expect(report.gaussNewtonEqualsHessian).toEqual({ holds: true, brokenBy: null })
  for (const [l, { trace, exact, topEigenvalue, byChoice }] of report.layers.entries()) {
    const block = Tiny.gaussNewtonBlock(l, l)
    expect(exact).toBe(true)
    expect(trace! / Tiny.traceOf(block)).toBeCloseTo(1, 4)
    expect(topEigenvalue!).toBeLessThan(trace!)
    const { linear, deltaLoss, klDivergence } = byChoice["w3"]!
    expect(linear).toBeCloseTo(0, 6)
    expect(deltaLoss! / klDivergence!).toBeCloseTo(1, 3)
  }
})

test("the empirical Fisher of a curved network is the mean squared norm of gradients written by hand", async () => {
  const { graph, split, samples } = Tiny
  const report = await analyze({ graph, split, samples, metrics: ["fisher"] })
  for (const [l, { fisher, params, byChoice }] of report.layers.entries()) {
    const norms = Tiny.sampleGradients(l).map((g) => g.reduce((sum, x) => sum + x ** 2, 0))
    expect(fisher! / (norms.reduce((sum, x) => sum + x, 0) / samples)).toBeCloseTo(1, 4)
    const { fisherOmega, deltaWeightSq } = byChoice["w3"]!
    expect(fisherOmega! / ((fisher! / params) * deltaWeightSq)).toBeCloseTo(1, 10)
  }
})

test("data without labels: the network's own predictions stand in", async () => {
  const { graph, samples } = Tiny
  const { labels: _, ...rest } = Tiny.split
  const unlabelled = { ...rest, labels: undefined, hasLabels: false }
  const report = await analyze({ graph, split: unlabelled, samples, metrics: ["deltaLoss", "fisher"] })
  const labelled = await analyze({ graph, split: Tiny.split, samples, metrics: ["deltaLoss", "fisher"] })
  expect(report.loss).toBe("ownPredictions")
  // The tiny network's labels are its own predictions.
  expect(report.layers).toEqual(labelled.layers)
})

test("a model with a fixed batch gets batches of that size; the filled rows count for nothing", async () => {
  const fixed: Graph.Graph = {
    ...Tiny.graph,
    inputs: Tiny.graph.inputs.map(({ shape, ...rest }) => ({ ...rest, shape: [5, ...shape.slice(1)] })),
    values: new Map(
      Array.from(Tiny.graph.values, ([name, { shape, ...rest }]) => [
        name,
        { ...rest, shape: shape.map((dim) => (Dim.isStatic(dim) ? dim : 5)) }
      ])
    )
  }
  const metrics = all.filter((metric) => metric !== "trace")
  const run = (graph: Graph.Graph) => analyze({ graph, split: Tiny.split, samples: Tiny.samples, metrics })
  const [found, wanted] = [await run(fixed), await run(Tiny.graph)]
  for (const [l, layer] of wanted.layers.entries()) {
    const same = (of: (layer: (typeof found.layers)[number]) => number | null | undefined) =>
      expect(of(found.layers[l]!)! / of(layer)!).toBeCloseTo(1, 4)
    same(({ topEigenvalue }) => topEigenvalue)
    same(({ fisher }) => fisher)
    same(({ byChoice }) => byChoice["w3"]!.quadratic)
    same(({ byChoice }) => byChoice["w3"]!.deltaLoss)
    same(({ byChoice }) => byChoice["w3"]!.klDivergence)
    same(({ activation }) => activation!.byFormat["a4"]!.deltaLoss)
  }
})

/** Metrics that would take many minutes are left out, and it is said which. */
import { Dim, GraphBuilder, Tensor } from "@bitbudget/graph"
import { expect, test } from "vitest"
import { affordable } from "../src/usual.ts"
import { widths } from "./choices.ts"

/** One convolution of 3 × 3 over a square image: 9 · size² multiplications. */
const network = (size: number) => {
  const builder = new GraphBuilder("map")
  const x = builder.input("x", "float32", [Dim.batchDim(), 1, size, size])
  const w = builder.constant(Tensor.filled("float32", [1, 1, 3, 3], 1), "w")
  const attributes = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], groups: 1 }
  return builder.finish([builder.add("Conv", [x, w], attributes, { name: "layer" })])
}

test("a dense map of a million outputs: no trace, but what is measured", () => {
  const graph = network(1024)
  const wanted = ["trace", "quadratic", "deltaLoss"] as const
  // 400 probes · 3 runs · 1,000 samples · 9 · 2²⁰ multiplications are 1.1·10¹³; three formats 8.5·10¹⁰.
  const { metrics, notes } = affordable(wanted, graph, 1000, widths(graph, [2, 4, 8]))
  expect(metrics).toEqual(["quadratic", "deltaLoss"])
  expect(notes).toEqual([expect.stringMatching(/^no trace: it would take some 19 minutes on 1000 samples/)])
})

test("of a small network nothing is left out", () => {
  const graph = network(16)
  expect(affordable(["trace", "quadratic"], graph, 1000, widths(graph, [2, 4, 8]))).toEqual({
    metrics: ["trace", "quadratic"],
    notes: []
  })
})

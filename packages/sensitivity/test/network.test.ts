/** Networks that are not as usual: several outputs, shared weights, nothing to measure. Refusals name the mend. */
import type { Graph } from "@bitbudget/graph"
import { Dim, GraphBuilder, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { Sensitivity } from "../src/index.ts"
import * as Reference from "./reference.ts"
import { widths } from "./choices.ts"

const samples = 7
const next = Reference.random(31)
const x = Reference.draw([samples, 4], next)
const [w, last] = [Reference.draw([4, 4], next), Reference.draw([4, 3], next)]
const labels = Array.from({ length: samples }, (_, n) => n % 3)
const split = Reference.splitOf(x, { kind: "classes", data: labels, shape: [] })

const gemm = { alpha: 1, beta: 1, transA: false, transB: false }
const tensor = ({ shape, data }: Reference.Array64) => Tensor.float32(shape, data)
const network = (make: (builder: GraphBuilder, input: string) => ReadonlyArray<string>): Graph.Graph => {
  const builder = new GraphBuilder("odd")
  return builder.finish(make(builder, builder.input("x", "float32", [Dim.batchDim(), 4])))
}
const head = (weights: Reference.Array64) =>
  network((b, input) => [b.add("Gemm", [input, b.constant(tensor(weights), "w")], gemm, { name: "head" })])

const analyze = (graph: Graph.Graph, metrics?: ReadonlyArray<Sensitivity.Metric>, data = split) =>
  Sensitivity.analyze({
    graph,
    split: data,
    samples,
    choices: widths(graph, [3]),
    referee: false,
    ...(metrics === undefined ? {} : { metrics })
  })

test("layers that share weights: each figure is of one use alone", async () => {
  const graph = network((b, input) => {
    const shared = b.constant(tensor(w), "shared")
    const first = b.add("Tanh", [b.add("Gemm", [input, shared], gemm, { name: "first" })], {})
    const second = b.add("Tanh", [b.add("Gemm", [first, shared], gemm, { name: "second" })], {})
    return [b.add("Gemm", [second, b.constant(tensor(last))], gemm, { name: "last" })]
  })
  const loss = (a: Reference.Array64, c: Reference.Array64) => {
    const tanh = ({ shape, data }: Reference.Array64) => ({ shape, data: data.map(Math.tanh) })
    const rows = { shape: [1, samples, 4], data: x.data }
    const hidden = tanh(Reference.matmul(tanh(Reference.matmul(rows, a)), c))
    return Reference.crossEntropy(Reference.matmul(hidden, last), labels, 3)
  }
  const alone = [(v: Reference.Array64) => loss(v, w), (v: Reference.Array64) => loss(w, v)]
  const { layers, notes } = await Effect.runPromise(
    analyze(graph, ["trace", "topEigenvalue", "hessianQuadratic", "deltaLoss"])
  )
  expect(notes.join("\n")).toContain("second shares its weights shared")
  for (const [l, f] of alone.entries()) {
    const { trace, traceStdErr, topEigenvalue, byChoice } = layers[l]!
    expect(Math.abs(trace! - Reference.hessianTrace(f, w))).toBeLessThan(4 * traceStdErr!)
    // Rounded by hand, one scale a column; ΔWᵀHΔW by second differences along it.
    const scales = [0, 1, 2, 3].map(
      (c) => Math.max(...[0, 1, 2, 3].map((r) => Math.abs(w.data[r * 4 + c]!))) / 3
    )
    const rounded = w.data.map((value, i) => Math.round(value / scales[i % 4]!) * scales[i % 4]!)
    const along = (t: number) =>
      f({ shape: w.shape, data: w.data.map((value, i) => value + t * (rounded[i]! - value)) })
    const curvature = (along(1e-3) - 2 * along(0) + along(-1e-3)) / 1e-6
    expect(byChoice["w3"]!.deltaLoss!).toBeCloseTo(along(1) - along(0), 5)
    expect(byChoice["w3"]!.hessianQuadratic!).toBeCloseTo(curvature / 2, 4)
    expect(topEigenvalue! * byChoice["w3"]!.deltaWeightSq).toBeGreaterThan(0.98 * curvature)
  }
})

test("where the labels' loss is named, a layer that leads to another output has zeros, and a note says so", async () => {
  const graph = network((b, input) => [
    b.add("Gemm", [input, b.constant(tensor(last), "w")], gemm, { name: "scored" }),
    b.add("Gemm", [input, b.constant(tensor(w), "v")], gemm, { name: "other" })
  ])
  const report = await Effect.runPromise(
    Sensitivity.analyze({
      graph,
      split,
      samples,
      choices: widths(graph, [3]),
      metrics: Sensitivity.metrics,
      referee: false,
      loss: "crossEntropy"
    })
  )
  const single = await Effect.runPromise(analyze(head(last), Sensitivity.metrics))
  const [scored, other] = report.layers
  expect(scored!.trace).toBeCloseTo(single.layers[0]!.trace!, 6)
  expect(scored!.byChoice["w3"]!.deltaLoss).toBeCloseTo(single.layers[0]!.byChoice["w3"]!.deltaLoss!, 6)
  expect(other).toMatchObject({
    trace: 0,
    fisher: 0,
    byChoice: { w3: { quadratic: 0, linear: 0, deltaLoss: 0 } }
  })
  expect(report.notes.join("\n")).toContain("no curvature in other")
})

describe("refused by name", () => {
  const refusal = (graph: Graph.Graph, data = split) =>
    Effect.runPromise(Effect.flip(analyze(graph, undefined, data)).pipe(Effect.map(({ message }) => message)))

  test("a label beyond the classes", async () => {
    const data = Reference.splitOf(x, { kind: "classes", data: labels.with(4, 3), shape: [] })
    expect(await refusal(head(last), data)).toMatch(/label 3 of sample 4 .* beyond the 3 classes/)
  })

  test("one score, whose softmax is 1 whatever it is", async () => {
    expect(await refusal(head(Reference.draw([4, 1], next)))).toMatch(/one score.*Give float targets/)
  })

  test("a network that is quantized already", async () => {
    const graph = network((b, input) => {
      const scale = b.constant(Tensor.float32([], [0.1]))
      const codes = b.add(
        "QuantizeLinear",
        [input, scale],
        { axis: 0, blockSize: 0, to: "int8" },
        { name: "q" }
      )
      const back = b.add("DequantizeLinear", [codes, scale], { axis: 0, blockSize: 0 })
      return [b.add("Gemm", [back, b.constant(tensor(last))], gemm)]
    })
    expect(await refusal(graph)).toMatch(/quantized already \(node q, QuantizeLinear\)/)
  })

  test("a network without weights", async () => {
    expect(await refusal(network((b, input) => [b.add("Relu", [input], {})]))).toMatch(
      /no layer with weights/
    )
  })

  test("figures that overflow", async () => {
    const huge = { shape: [4, 3], data: new Float64Array(12).fill(3e38) }
    expect(await refusal(head(huge))).toMatch(/figure .*head.* is no finite number/)
  })
})

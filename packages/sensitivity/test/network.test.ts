/** Networks that are not as usual: several outputs, shared weights, nothing to measure. Refusals name the mend. */
import type { Graph } from "@bitbudget/graph"
import { Dim, GraphBuilder, Tensor } from "@bitbudget/graph"
import { Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { ActivationFormat, Choice, WeightFormat } from "@bitbudget/quant"
import { Rounding, Sensitivity } from "../src/index.ts"
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

describe("several inputs", () => {
  const [a, b] = [Reference.draw([samples, 3], next), Reference.draw([samples, 2], next)]
  const [left, right, top] = [
    Reference.draw([3, 4], next),
    Reference.draw([2, 4], next),
    Reference.draw([4, 3], next)
  ]
  /** relu(a·left + b·right)·top of two inputs, or of one that holds both. */
  const sum = (inputsOf: (builder: GraphBuilder) => readonly [string, string]): Graph.Graph => {
    const builder = new GraphBuilder("two")
    const [x, y] = inputsOf(builder)
    const product = (value: string, weights: Reference.Array64, name: string) =>
      builder.add("MatMul", [value, builder.constant(tensor(weights), `${name}/w`)], {}, { name })
    const both = builder.add("Add", [product(x, left, "left"), product(y, right, "right")], {})
    return builder.finish([product(builder.add("Relu", [both], {}), top, "top")])
  }
  const sizes = (width: number) => [Dim.batchDim(), width] as const
  const apart = sum((builder) => [
    builder.input("a", "float32", sizes(3)),
    builder.input("b", "float32", sizes(2))
  ])
  const together = sum((builder) => {
    const whole = builder.input("x", "float32", sizes(5))
    const part = (from: number, to: number) =>
      builder.add("Slice", [whole], { starts: [from], ends: [to], axes: [1], steps: [1] })
    return [part(0, 3), part(3, 5)]
  })
  const columns = ({ data, shape }: Reference.Array64, n: number) =>
    Array.from(data.slice(n * shape[1]!, (n + 1) * shape[1]!))
  const joined = {
    shape: [samples, 5],
    data: Float64Array.from(
      Array.from({ length: samples }, (_, n) => [...columns(a, n), ...columns(b, n)]).flat()
    )
  }
  const classes = { kind: "classes" as const, data: labels, shape: [] }
  const named = {
    ...Reference.splitOf(a, classes),
    named: [
      { name: "a", dtype: "float32" as const, shape: [3] },
      { name: "b", dtype: "float32" as const, shape: [2] }
    ],
    batch: (from: number, to: number) =>
      Effect.map(Reference.splitOf(a, classes).batch(from, to), (batch) => ({
        ...batch,
        named: new Map(
          [["a", a] as const, ["b", b] as const].map(([name, { data, shape }]) => [
            name,
            Value.float32(
              [to - from, shape[1]!],
              Float32Array.from(data).slice(from * shape[1]!, to * shape[1]!)
            )
          ])
        )
      }))
  }

  test("figures are those of one input that holds both", async () => {
    const metrics = ["trace", "fisher", "quadratic", "deltaLoss"] as const
    const [two, one] = await Promise.all([
      Effect.runPromise(analyze(apart, metrics, named)),
      Effect.runPromise(analyze(together, metrics, Reference.splitOf(joined, classes)))
    ])
    expect(two.layers.map(({ id }) => id)).toEqual(["left", "right", "top"])
    for (const [l, layer] of two.layers.entries()) {
      const other = one.layers[l]!
      expect(layer.trace).toBeGreaterThan(0)
      expect(layer.trace).toBeCloseTo(other.trace!, 5)
      expect(layer.fisher).toBeCloseTo(other.fisher!, 5)
      expect(layer.byChoice["w3"]!.quadratic).toBeCloseTo(other.byChoice["w3"]!.quadratic!, 6)
      expect(layer.byChoice["w3"]!.deltaLoss).toBeCloseTo(other.byChoice["w3"]!.deltaLoss!, 6)
    }
  })

  test("data without an array for one of them are refused by its name", async () => {
    const failure = await Effect.runPromise(
      Effect.flip(analyze(apart, ["deltaLoss"], { ...named, named: named.named.slice(0, 1) }))
    )
    expect(failure.message).toContain("there is no array for the model's input 'b', only a")
  })
})

describe("layers of weights alone", () => {
  const [words, steps, width] = [6, 4, 5]
  const ids = Array.from({ length: samples * steps }, (_, i) => (5 * i + Math.floor(i / 3)) % words)
  const table = Reference.draw([words, width], next)
  const out = Reference.draw([width, 3], next)
  const tokenLabels = ids.map((id) => id % 3)
  const classes = { kind: "classes" as const, data: tokenLabels, shape: [steps] }
  const after = (builder: GraphBuilder, rows: string) =>
    builder.finish([
      builder.add(
        "MatMul",
        [builder.add("Tanh", [rows], {}), builder.constant(tensor(out), "out/w")],
        {},
        { name: "out" }
      )
    ])
  const oneHot = {
    shape: [samples, steps, words],
    data: Float64Array.from(ids.flatMap((id) => Array.from({ length: words }, (_, w) => (w === id ? 1 : 0))))
  }
  const rounded = (graph: Graph.Graph, data: typeof split) =>
    Effect.runPromise(
      Sensitivity.analyze({
        graph,
        split: data,
        samples,
        // One scale for all, so that the table is rounded alike whichever axis its channels are.
        choices: Rounding.everywhere(graph, [
          Choice.make(WeightFormat.int(3, "tensor"), ActivationFormat.int(8))
        ]),
        metrics: ["quadratic", "deltaLoss"],
        referee: false
      })
    )

  test("a table's figures are those of a product with rows that choose one word", async () => {
    const looked = (() => {
      const builder = new GraphBuilder("looked up")
      const tokens = builder.input("ids", "float32", [Dim.batchDim(), steps])
      const whole = builder.add("Cast", [tokens], { to: "int64" })
      return after(
        builder,
        builder.add("Gather", [builder.constant(tensor(table), "t"), whole], { axis: 0 }, { name: "words" })
      )
    })()
    const multiplied = (() => {
      const builder = new GraphBuilder("multiplied")
      const rows = builder.input("x", "float32", [Dim.batchDim(), steps, words])
      return after(
        builder,
        builder.add("MatMul", [rows, builder.constant(tensor(table), "t")], {}, { name: "words" })
      )
    })()
    const tokens = { shape: [samples, steps], data: Float64Array.from(ids) }
    const [found, wanted] = await Promise.all([
      rounded(looked, Reference.splitOf(tokens, classes)),
      Effect.runPromise(
        Sensitivity.analyze({
          graph: multiplied,
          split: Reference.splitOf(oneHot, classes),
          samples,
          choices: Rounding.everywhere(multiplied, [Choice.make(WeightFormat.int(3, "tensor"))]),
          metrics: ["quadratic", "deltaLoss"],
          referee: false
        })
      )
    ])
    const [own, other] = [found.layers[0]!.byChoice["w3.t"]!, wanted.layers[0]!.byChoice["w3.t"]!]
    expect(own.quadratic).toBeGreaterThan(0)
    expect(own.quadratic).toBeCloseTo(other.quadratic!, 6)
    expect(own.linear).toBeCloseTo(other.linear!, 6)
    expect(own.deltaLoss).toBeCloseTo(other.deltaLoss!, 6)
    // The product behind it keeps the activation's part of the choice.
    expect(Object.keys(found.layers[1]!.byChoice)).toEqual(["w3.t a8"])
  })

  test("gates are measured, and the referee judges what all layers have", async () => {
    const builder = new GraphBuilder("cell")
    const rows = builder.input("x", "float32", [Dim.batchDim(), steps, width])
    const turned = builder.add("Transpose", [rows], { perm: [1, 0, 2] })
    const [w4, r4] = [Reference.draw([1, 12, width], next), Reference.draw([1, 12, 3], next)]
    builder.push({
      op: "LSTM",
      name: "cell",
      inputs: [turned, builder.constant(tensor(w4), "w"), builder.constant(tensor(r4), "r")],
      outputs: ["", "last"],
      attributes: {
        hidden: 3,
        direction: "forward",
        batchFirst: false,
        activations: undefined,
        activationAlpha: undefined,
        activationBeta: undefined,
        clip: undefined,
        inputForget: false
      }
    })
    const flat = builder.add("Squeeze", ["last"], { axes: [0] })
    const graph = builder.finish([
      builder.add(
        "MatMul",
        [flat, builder.constant(tensor(Reference.draw([3, 3], next)), "out/w")],
        {},
        { name: "out" }
      )
    ])
    const data = Reference.splitOf(Reference.draw([samples, steps, width], next), {
      ...classes,
      data: labels,
      shape: []
    })
    const { layers } = await Effect.runPromise(analyze(graph, ["quadratic", "deltaLoss"], data))
    expect(layers.map(({ id, byChoice }) => [id, byChoice["w3"]!.quadratic !== undefined])).toEqual([
      ["cell/W", false],
      ["cell/R", false],
      ["out", true]
    ])
    for (const { byChoice, id } of layers)
      expect(Math.abs(byChoice["w3"]!.deltaLoss!), id).toBeGreaterThan(1e-6)
  })
})

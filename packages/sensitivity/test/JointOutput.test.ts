/** Several outputs, and outputs that are no class scores: judged by their squared error against the float network. */
import { Dim, type Graph, GraphBuilder, Tensor } from "@bitbudget/graph"
import type { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { Sensitivity } from "../src/index.ts"
import { widths } from "./choices.ts"
import * as Reference from "./reference.ts"

const SAMPLES = 7
const next = Reference.random(3)
const x = Reference.draw([SAMPLES, 6], next)
const heads = [
  { name: "small", weights: Reference.draw([6, 4], next) },
  { name: "large", weights: Reference.draw([6, 2], next) }
].map(({ name, weights }, i) => ({
  name,
  width: i === 0 ? 4 : 2,
  // One head's numbers are a thousand times the other's.
  data: Float32Array.from(weights.data, (value) => (i === 0 ? value : 1000 * value))
}))

const split: Data.Split = {
  ...Reference.splitOf(x, x),
  hasLabels: false,
  labels: undefined
}

const network = (): Graph.Graph => {
  const builder = new GraphBuilder("heads")
  const input = builder.input("x", "float32", [Dim.batchDim(), 6])
  const outputs = heads.map(({ name, width, data }) =>
    builder.add(
      "MatMul",
      [input, builder.constant(Tensor.float32([6, width], data), `${name}/w`)],
      {},
      { name }
    )
  )
  return builder.finish(outputs)
}

const analyze = (graph: Graph.Graph, weights?: Readonly<Record<string, number>>) =>
  Effect.runPromise(
    Sensitivity.analyze({
      graph,
      split,
      samples: SAMPLES,
      choices: widths(graph, [3]),
      referee: false,
      ...(weights === undefined ? {} : { weights })
    })
  )

/** Σ‖xW‖² over the samples. */
const energy = (weights: ArrayLike<number>, width: number): number => {
  let total = 0
  for (let n = 0; n < SAMPLES; n++)
    for (let j = 0; j < width; j++) {
      let sum = 0
      for (let k = 0; k < 6; k++) sum += x.data[n * 6 + k]! * weights[k * width + j]!
      total += sum ** 2
    }
  return total
}

/** Rounded to codes −3 … 3 with one scale a column. */
const error = (weights: Float32Array, width: number): Float32Array =>
  weights.map((value, i) => {
    const column = Array.from({ length: 6 }, (_, k) => Math.abs(weights[k * width + (i % width)]!))
    const step = Math.fround(Math.max(...column) / 3)
    return Math.round(value / step) * step - value
  })

describe("several outputs", () => {
  it("each head's harm is its own error over its own signal", async () => {
    const report = await analyze(network())
    expect(report.loss).toBe("errorToFloat")
    expect(report.notes[0]).toMatch(/all outputs are judged together \(small, large\)/)
    for (const [i, { data, width }] of heads.entries()) {
      const expected = energy(error(data, width), width) / energy(data, width)
      const { deltaLoss, linear, quadratic } = report.layers[i]!.byChoice["w3"]!
      expect(deltaLoss! / expected).toBeCloseTo(1, 4)
      // A linear network: the second-order term is the whole increase, and there is no slope.
      expect(quadratic! / expected).toBeCloseTo(1, 4)
      expect(linear!).toBeCloseTo(0, 6)
    }
  })

  it("weights count outputs more, or not at all", async () => {
    const even = await analyze(network())
    const report = await analyze(network(), { small: 3, large: 0 })
    const harm = (of: typeof report, i: number) => of.layers[i]!.byChoice["w3"]!.deltaLoss!
    expect(harm(report, 0) / harm(even, 0)).toBeCloseTo(3, 4)
    expect(harm(report, 1)).toBe(0)
    expect(report.notes).toContain("output large has no float row a sample, or weight 0, and is left out")
  })
})

it("one number a sample is no row of classes", async () => {
  const builder = new GraphBuilder("score")
  const input = builder.input("x", "float32", [Dim.batchDim(), 6])
  const w = builder.constant(Tensor.float32([6, 1], heads[0]!.data.slice(0, 6)), "w")
  const score = builder.add("Sigmoid", [builder.add("MatMul", [input, w], {}, { name: "layer" })], {})
  const report = await analyze(builder.finish([score]))
  expect(report.loss).toBe("errorToFloat")
  expect(report.layers[0]!.byChoice["w3"]!.deltaLoss).toBeGreaterThan(0)
  expect(report.layers[0]!.trace).toBeGreaterThan(0)
})

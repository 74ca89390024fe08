/** Layers in the bodies of If and Loop: found, packed outside of them, and computed by ONNX Runtime. */
import { Layer, Model, Tensor, Workload } from "@bitbudget/graph"
import { Effect } from "effect"
import * as ort from "onnxruntime-node"
import { describe, expect, it } from "vitest"
import { BOOL, file, graph, info, INT64, op } from "../../graph/test/onnx.ts"
import { Choice, FakeQuant, FileBytes, Pack, PlanFile, WeightFormat } from "../src/index.ts"
import { wave } from "./networks.ts"

const numbers = (shape: ReadonlyArray<number>, phase: number) =>
  Tensor.float32(
    shape,
    wave(
      shape.reduce((a, b) => a * b, 1),
      phase
    ).map((v) => v / 8)
  )
const weights = {
  first: numbers([4, 5], 0),
  outer: numbers([4, 5], 1),
  rows: numbers([10, 4], 2),
  loop: numbers([5, 5], 3)
}
const zero = Tensor.int64([1], [0])

/** Weights by an initializer of a body, of the graph around, of a Constant that is taken apart, and inside a Loop. */
const bytes = ((): Uint8Array => {
  // Both bodies and the graph around have a value called w.
  const thenBranch = graph({
    nodes: [op("MatMul", ["x", "w"], ["r"], {}, { name: "inner" })],
    outputs: [info("r", ["N", 5])],
    constants: { w: weights.first }
  })
  const part = (from: number, to: number, made: string) => [
    op("Constant", [], [`${made}/from`], { value: { tensor: Tensor.int64([1], [from]) } }),
    op("Constant", [], [`${made}/to`], { value: { tensor: Tensor.int64([1], [to]) } }),
    op("Slice", ["w", `${made}/from`, `${made}/to`], [made])
  ]
  const elseBranch = graph({
    nodes: [
      op("Constant", [], ["w"], { value: { tensor: weights.rows } }),
      ...part(5, 10, "late"),
      ...part(0, 5, "early"),
      op("Concat", ["late", "early"], ["turned"], { axis: { int: 0 } }),
      op("Gemm", ["x", "turned"], ["both"], { transB: { int: 1 } }, { name: "taken" }),
      op("MatMul", ["x", "outer"], ["other"], {}, { name: "seen" }),
      op("Constant", [], ["axes"], { value: { tensor: Tensor.int64([1], [1]) } }),
      op("Constant", [], ["five"], { value: { tensor: Tensor.int64([1], [5]) } }),
      op("Slice", ["both", "zero", "five", "axes"], ["half"]),
      op("Add", ["half", "other"], ["r"])
    ],
    outputs: [info("r", ["N", 5])]
  })
  const body = graph({
    inputs: [info("i", [], INT64), info("go", [], BOOL), info("state", ["N", 5])],
    nodes: [
      op("Identity", ["go"], ["on"]),
      op("MatMul", ["state", "w"], ["product"]),
      op("Tanh", ["product"], ["next"])
    ],
    outputs: [info("on", [], BOOL), info("next", ["N", 5])],
    constants: { w: weights.loop }
  })
  return file({
    inputs: [info("x", ["N", 4]), info("up", [], BOOL)],
    outputs: [info("y", ["N", 5])],
    constants: {
      outer: weights.outer,
      zero,
      times: Tensor.int64([], [3]),
      yes: Tensor.tensor("bool", [], [1])
    },
    nodes: [
      op(
        "If",
        ["up"],
        ["w"],
        { then_branch: { graph: thenBranch }, else_branch: { graph: elseBranch } },
        { name: "if" }
      ),
      op("Loop", ["times", "yes", "w"], ["y"], { body: { graph: body } }, { name: "loop" })
    ],
    declared: [info("w", ["N", 5])]
  })
})()

const model = Effect.runSync(Model.decode(bytes, "m.onnx"))
const layers = Layer.layersOf(model.graph)

const run = async (of: Uint8Array, up: boolean): Promise<Float32Array> => {
  const session = await ort.InferenceSession.create(of)
  const found = await session.run({
    x: new ort.Tensor("float32", Float32Array.from(wave(12, 5)), [3, 4]),
    up: new ort.Tensor("bool", [up], [])
  })
  await session.release()
  return found["y"]!.data as Float32Array
}
const furthest = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)

describe("layers in bodies", () => {
  it("are found with what they read, and counted", () => {
    expect(model.unsupported).toEqual([])
    expect(layers.map(({ id, op, channelAxis }) => [id, op, channelAxis])).toEqual([
      ["if/inner", "MatMul", 1],
      ["if/taken", "Gemm", 0],
      ["if/seen", "MatMul", 1],
      ["loop/product", "MatMul", 1]
    ])
    expect(layers.map(({ weight }) => Array.from(Tensor.values(model.graph.constants.get(weight)!)))).toEqual(
      [weights.first, weights.rows, weights.outer, weights.loop].map((w) => Array.from(Tensor.values(w)))
    )
    expect(Workload.parameters(Workload.workloadOf(model.graph, 1))).toBe(20 + 40 + 20 + 25)
    expect(layers.every((layer) => !Layer.isProduct(layer))).toBe(true)
  })

  it.each([true, false])("are written as they were read (condition %s)", async (up) => {
    expect(furthest(await run(bytes, up), await run(Model.encode(model.graph), up))).toBe(0)
  })

  it.each([true, false])("at 8 bits compute what weights rounded by hand do (condition %s)", async (up) => {
    const choices = PlanFile.uniform(model.graph, Choice.wa(8, 8))
    expect([...choices.values()].map(Choice.show)).toEqual(["w8", "w8", "w8", "w8"])
    const packed = Pack.encode(model.graph, choices, new Map())
    const constants = new Map(model.graph.constants)
    for (const { weight, weightShape, channelAxis } of layers) {
      const values = Tensor.values(constants.get(weight)!)
      const [, columns] = weightShape as [number, number]
      const channelOf = (i: number) => (channelAxis === 0 ? Math.floor(i / columns) : i % columns)
      const scales = new Float32Array(weightShape[channelAxis]!)
      values.forEach((v, i) => (scales[channelOf(i)] = Math.max(scales[channelOf(i)]!, Math.abs(v))))
      scales.forEach((most, c) => (scales[c] = most / 127))
      const rounded = values.map((v, i) => Math.round(v / scales[channelOf(i)]!) * scales[channelOf(i)]!)
      constants.set(weight, Tensor.float32(weightShape, rounded))
    }
    const byHand = await run(Model.encode({ ...model.graph, constants }), up)
    expect(furthest(byHand, await run(packed, up))).toBeLessThan(1e-6)
    expect(furthest(byHand, await run(bytes, up))).toBeGreaterThan(1e-5)
    const simulated = FakeQuant.rewrite(model.graph, choices, new Map())
    expect(furthest(byHand, await run(Model.encode(simulated), up))).toBeLessThan(1e-6)
  })

  it("take the bytes that were predicted", () => {
    const structure = FileBytes.structureOf(model.graph)
    for (const bits of [2, 4, 8]) {
      const choices = PlanFile.uniform(model.graph, Choice.make(WeightFormat.int(bits)))
      const file = Pack.encode(model.graph, choices, new Map()).byteLength
      expect(FileBytes.predict(structure, layers, choices)).toBe(file)
      const least = layers.reduce(
        (sum, layer) => sum + FileBytes.layerBytes(structure, layer, choices.get(layer.id)!),
        structure.otherBytes
      )
      expect(least).toBeLessThanOrEqual(file)
    }
  })
})

/** Gates of recurrent cells and embedding tables: layers of weights alone, in files that ONNX Runtime computes. */
import { Effect } from "effect"
import { type Graph, GraphBuilder, Layer, Model, Tensor } from "@bitbudget/graph"
import * as fc from "fast-check"
import * as ort from "onnxruntime-node"
import { describe, expect, it } from "vitest"
import {
  Choice,
  FakeQuant,
  FileBytes,
  Pack,
  PlanFile,
  Ranges,
  Recovered,
  WeightFormat
} from "../src/index.ts"
import * as arbitrary from "./arbitraries.ts"
import { wave } from "./networks.ts"

const [BATCH, STEPS, WORDS, WIDTH, HIDDEN, CLASSES] = [2, 7, 11, 6, 5, 4]
const usual = {
  batchFirst: false,
  activations: undefined,
  activationAlpha: undefined,
  activationBeta: undefined,
  clip: undefined
}

/** tokens → table → LSTM in both directions → GRU → RNN → gemm. */
const cells = (): Graph.Graph => {
  const builder = new GraphBuilder("cells")
  const ids = builder.input("ids", "int64", [STEPS, BATCH])
  let phase = 0
  const numbers = (name: string, ...shape: ReadonlyArray<number>) => {
    const size = shape.reduce((a, b) => a * b, 1)
    return builder.constant(
      Tensor.float32(
        shape,
        wave(size, phase++).map((v) => v / 6)
      ),
      name
    )
  }
  const words = builder.add("Gather", [numbers("table", WORDS, WIDTH), ids], { axis: 0 }, { name: "embed" })
  const both = 2 * HIDDEN
  builder.push({
    op: "LSTM",
    name: "lstm",
    inputs: [
      words,
      numbers("lw", 2, 4 * HIDDEN, WIDTH),
      numbers("lr", 2, 4 * HIDDEN, HIDDEN),
      numbers("lb", 2, 8 * HIDDEN)
    ],
    outputs: ["ly", "", ""],
    attributes: { ...usual, hidden: HIDDEN, direction: "bidirectional", inputForget: false }
  })
  const turned = builder.add("Transpose", ["ly"], { perm: [0, 2, 1, 3] }, { name: "turned" })
  const flat = builder.add("Reshape", [turned], { shape: [STEPS, BATCH, both] }, { name: "flat" })
  builder.push({
    op: "GRU",
    name: "gru",
    inputs: [
      flat,
      numbers("gw", 1, 3 * HIDDEN, both),
      numbers("gr", 1, 3 * HIDDEN, HIDDEN),
      numbers("gb", 1, 6 * HIDDEN)
    ],
    outputs: ["gy", ""],
    attributes: { ...usual, hidden: HIDDEN, direction: "forward", linearBeforeReset: true }
  })
  const back = builder.add("Squeeze", ["gy"], { axes: [1] }, { name: "back" })
  builder.push({
    op: "RNN",
    name: "rnn",
    inputs: [back, numbers("rw", 1, HIDDEN, HIDDEN), numbers("rr", 1, HIDDEN, HIDDEN)],
    outputs: ["", "rh"],
    attributes: { ...usual, hidden: HIDDEN, direction: "reverse" }
  })
  const last = builder.add("Squeeze", ["rh"], { axes: [0] }, { name: "last" })
  const scores = builder.add(
    "Gemm",
    [last, numbers("fw", CLASSES, HIDDEN)],
    { alpha: 1, beta: 1, transA: false, transB: true },
    { name: "classes" }
  )
  return builder.finish([scores])
}

const graph = cells()
const layers = Layer.layersOf(graph)
const ranges: Ranges.Ranges = new Map(
  Ranges.observedValues(graph).map((name) => [name, { low: -1, high: 1 }])
)
const ids = BigInt64Array.from({ length: STEPS * BATCH }, (_, i) => BigInt((3 * i) % WORDS))

const run = async (bytes: Uint8Array): Promise<Float32Array> => {
  const session = await ort.InferenceSession.create(bytes)
  const found = await session.run({ ids: new ort.Tensor("int64", ids, [STEPS, BATCH]) })
  await session.release()
  return found[session.outputNames[0]!]!.data as Float32Array
}

const furthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)

describe("gates and tables", () => {
  it("are layers, with output channels where each gate's unit or token has a scale of its own", () => {
    expect(
      layers.map(({ id, op, weightShape, channelAxis, biasElements }) => [
        id,
        op,
        weightShape,
        channelAxis,
        biasElements
      ])
    ).toEqual([
      ["embed", "Gather", [11, 6], 0, 0],
      ["lstm/W", "LSTM", [2, 20, 6], 1, 80],
      ["lstm/R", "LSTM", [2, 20, 5], 1, 0],
      ["gru/W", "GRU", [1, 15, 10], 1, 30],
      ["gru/R", "GRU", [1, 15, 5], 1, 0],
      ["rnn/W", "RNN", [1, 5, 5], 1, 0],
      ["rnn/R", "RNN", [1, 5, 5], 1, 0],
      ["classes", "Gemm", [4, 5], 0, 0]
    ])
  })

  it("need no range of what they read, and take of a plan the weights' part", () => {
    expect(Ranges.observedValues(graph)).toEqual(["last"])
    expect([...PlanFile.uniform(graph, Choice.wa(4, 8)).values()].map(Choice.show)).toEqual([
      ...Array.from({ length: 7 }, () => "w4"),
      "w4a8"
    ])
  })

  it("at 8 bits compute what weights rounded by hand do, in ONNX Runtime", async () => {
    const rounded = new Map(graph.constants)
    for (const { weight, weightShape, channelAxis } of layers) {
      const values = Tensor.values(graph.constants.get(weight)!)
      const inner = weightShape.slice(channelAxis + 1).reduce((a, b) => a * b, 1)
      const channelOf = (i: number) => Math.floor(i / inner) % weightShape[channelAxis]!
      const most = new Float64Array(weightShape[channelAxis]!)
      values.forEach((v, i) => (most[channelOf(i)] = Math.max(most[channelOf(i)]!, Math.abs(v))))
      const scales = most.map((each) => Math.fround(each / 127))
      rounded.set(
        weight,
        Tensor.float32(
          weightShape,
          values.map((v, i) => Math.round(v / scales[channelOf(i)]!) * scales[channelOf(i)]!)
        )
      )
    }
    const packed = Pack.encode(graph, PlanFile.uniform(graph, Choice.make(WeightFormat.int(8))), new Map())
    const [byHand, found, float] = [
      await run(Model.encode({ ...graph, constants: rounded })),
      await run(packed),
      await run(Model.encode(graph))
    ]
    expect(furthest(byHand, found)).toBeLessThan(1e-6)
    expect(furthest(byHand, float)).toBeGreaterThan(1e-5)
  })

  it("compute what was simulated, at the bytes that were predicted, for any choices", async () => {
    const structure = FileBytes.structureOf(graph)
    await fc.assert(
      fc.asyncProperty(
        fc.array(arbitrary.choice, { minLength: layers.length, maxLength: layers.length }),
        async (drawn) => {
          const choices = new Map(layers.map((layer, i) => [layer.id, Choice.forLayer(layer, drawn[i]!)]))
          const packed = Pack.encode(graph, choices, ranges)
          expect(FileBytes.predict(structure, layers, choices)).toBe(packed.byteLength)
          const least = layers.reduce(
            (sum, layer) => sum + FileBytes.layerBytes(structure, layer, choices.get(layer.id)!),
            structure.otherBytes
          )
          expect(least).toBeLessThanOrEqual(packed.byteLength)
          const simulated = await run(Model.encode(FakeQuant.rewrite(graph, choices, ranges)))
          const computed = await run(packed)
          const size = Math.max(...simulated.map(Math.abs), 1e-6)
          // The last product's integer codes may differ by a step.
          const close = simulated.filter((value, i) => Math.abs(value - computed[i]!) <= 1e-4 * size).length
          expect(close / simulated.length).toBeGreaterThanOrEqual(0.7)
        }
      ),
      { numRuns: 40 }
    )
  })

  it("come back from a written file with their formats", () => {
    const choices = PlanFile.uniform(graph, Choice.make(WeightFormat.int(4)))
    const bytes = Pack.encode(graph, choices, new Map())
    const model = Effect.runSync(Model.decode(bytes, "packed.onnx"))
    expect([...Recovered.recover(model)!.choices].map(([id, choice]) => [id, Choice.show(choice)])).toEqual(
      layers.map(({ id }) => [id, "w4"])
    )
  })

  it("share the codes of a product that reads the same table", () => {
    const builder = new GraphBuilder("tied")
    const tokens = builder.input("ids", "int64", [STEPS, BATCH])
    const table = builder.constant(Tensor.float32([WORDS, WIDTH], wave(WORDS * WIDTH, 0)), "table")
    const words = builder.add("Gather", [table, tokens], { axis: 0 }, { name: "embed" })
    const rows = builder.add("Reshape", [words], { shape: [STEPS * BATCH, WIDTH] }, { name: "rows" })
    const attributes = { alpha: 1, beta: 1, transA: false, transB: true }
    const scores = builder.add("Gemm", [rows, table], attributes, { name: "head" })
    const tied = builder.finish([scores])
    const packed = Pack.deploy({
      graph: tied,
      choices: PlanFile.uniform(tied, Choice.make(WeightFormat.int(8))),
      ranges: new Map(),
      encoded: new Map()
    })
    expect(packed.constants.has("table")).toBe(true)
    const both = Pack.encode(tied, PlanFile.uniform(tied, Choice.make(WeightFormat.int(8))), new Map())
    const one = Pack.encode(tied, new Map([["embed", Choice.make(WeightFormat.int(8))]]), new Map())
    // One copy of 66 codes, where one layer alone keeps the 264 bytes of the other's floats beside them.
    expect(one.byteLength - both.byteLength).toBeGreaterThan(200)
  })
})

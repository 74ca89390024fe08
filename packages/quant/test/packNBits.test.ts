/** Files with ONNX Runtime's MatMulNBits, computed by ONNX Runtime, against the simulation of the same codes. */
import { GraphBuilder, Layer, Model, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import * as ort from "onnxruntime-node"
import { describe, expect, it } from "vitest"
import {
  Choice,
  FakeQuant,
  FileBytes,
  PackNBits,
  PlanFile,
  QuantizedNetwork,
  Recovered
} from "../src/index.ts"
import { wave } from "./networks.ts"

/** Two products with a nonlinearity between; 40 is no multiple of any block. */
const network = () => {
  const builder = new GraphBuilder("mlp")
  const x = builder.input("x", "float32", [2, 3, 40])
  const product = (input: string, rows: number, columns: number, phase: number, name: string) =>
    builder.add(
      "MatMul",
      [input, builder.constant(Tensor.float32([rows, columns], wave(rows * columns, phase)), `${name}/w`)],
      {},
      { name }
    )
  const hidden = builder.add("Tanh", [product(x, 40, 24, 0, "up")], {}, { name: "tanh" })
  return builder.finish([product(hidden, 24, 5, 1, "down")])
}

const run = async (bytes: Uint8Array): Promise<Float32Array> => {
  const session = await ort.InferenceSession.create(bytes)
  const x = Float32Array.from(wave(240, 2), (v) => v / 7)
  const { data } = (await session.run({ x: new ort.Tensor("float32", x, [2, 3, 40]) }))[
    session.outputNames[0]!
  ]!
  await session.release()
  return data as Float32Array
}

const planned = (id: string) => {
  const graph = network()
  const choices = PlanFile.uniform(graph, Choice.parse(id)!)
  return { graph, choices, plan: QuantizedNetwork.plain(graph, choices, new Map()) }
}

describe("MatMulNBits", () => {
  it.each([
    "w2.g16",
    "w4.g16",
    "w4.g32",
    "w8.g64",
    "w2.g16.asym",
    "w4.g16.asym",
    "w4.g32.asym",
    "w8.g16.asym"
  ])("%s computes what was simulated, and takes the bytes that were predicted", async (id) => {
    const { graph, choices, plan } = planned(id)
    const { graph: deployed, kept } = PackNBits.deployNBits(plan)
    expect(kept).toEqual([])
    const bytes = Model.encode(deployed)
    const [simulated, computed] = [await run(Model.encode(FakeQuant.simulate(plan))), await run(bytes)]
    simulated.forEach((value, i) => expect(computed[i]).toBeCloseTo(value, 3))
    const predicted = FileBytes.predict(
      FileBytes.structureOf(graph),
      Layer.layersOf(graph),
      choices,
      (blank) => PackNBits.deployNBits(blank).graph
    )
    expect(bytes.byteLength).toBe(predicted)
  })

  it("8-bit arithmetic is near, and not the same", async () => {
    const { plan } = planned("w4.g32")
    const [float, int8] = [await run(PackNBits.write(plan, 1)), await run(PackNBits.write(plan, 4))]
    const error = float.reduce((sum, value, i) => sum + (value - int8[i]!) ** 2, 0)
    const power = float.reduce((sum, value) => sum + value ** 2, 0)
    expect(error / power).toBeLessThan(1e-2)
  })

  it.each([
    ["w3.g32", "it has kernels of 2, 4, 8 bits, not of 3"],
    ["w4", "it has scales of 16, 32, 64, 128, 256 values (.g32)"],
    ["wnf4.g32", "its weights are no integers"]
  ])("%s keeps standard operators: %s", async (id, why) => {
    const { plan } = planned(id)
    const { graph, kept } = PackNBits.deployNBits(plan)
    expect(kept.map((each) => each.why)).toEqual([why, why])
    expect(await run(Model.encode(graph))).toEqual(await run(Model.encode(FakeQuant.simulate(plan))))
  })

  it("is known again when the file is read", async () => {
    const bytes = PackNBits.write(planned("w4.g16").plan)
    const { plan } = planned("w4.g16")
    const model = await Effect.runPromise(Model.decode(bytes, "packed.onnx"))
    expect(model.quantization?.layers).toMatchObject([
      { node: "up", op: "MatMulNBits", weightBits: 4 },
      { node: "down", op: "MatMulNBits", weightBits: 4 }
    ])
    expect(model.carried).toEqual([])
    const own = Recovered.recover(model)!
    expect([...own.choices.values()].map(Choice.show)).toEqual(["w4.g16", "w4.g16"])
    for (const [id, encoded] of plan.encoded) expect(own.encoded.get(id)).toEqual(encoded)
  })
})

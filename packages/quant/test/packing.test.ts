/** Packed files computed by ONNX Runtime, against the simulation of the same choices. */
import { GraphBuilder, Layer, Model, Tensor } from "@bitbudget/graph"
import * as fc from "fast-check"
import * as ort from "onnxruntime-node"
import { describe, expect, it } from "vitest"
import {
  Choice,
  FakeQuant,
  FileBytes,
  Pack,
  QuantizedNetwork,
  WeightFormat,
  WeightKinds,
  Weights
} from "../src/index.ts"
import * as arbitrary from "./arbitraries.ts"
import { everyLayout, wave } from "./networks.ts"

const { graph, layers, ranges } = everyLayout()
const input = new ort.Tensor(
  "float32",
  Float32Array.from(wave(216, 4), (v) => v / 3),
  [2, 3, 6, 6]
)

const run = async (bytes: Uint8Array): Promise<Float32Array> => {
  const session = await ort.InferenceSession.create(bytes, { graphOptimizationLevel: "disabled" })
  const { data } = (await session.run({ x: input }))[session.outputNames[0]!]!
  await session.release()
  return data as Float32Array
}

describe("a packed file", () => {
  it("computes what was simulated and takes the bytes that were predicted, for any choices", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(arbitrary.choice, { minLength: 4, maxLength: 4 }), async (drawn) => {
        const choices = new Map(layers.map(({ id }, i) => [id, drawn[i]!]))
        const packed = Pack.encode(graph, choices, ranges)
        const [simulated, computed] = [
          await run(Model.encode(FakeQuant.rewrite(graph, choices, ranges))),
          await run(packed)
        ]
        const size = Math.max(...simulated.map(Math.abs), 1e-6)
        // Codes that differ by a rounding of float32 at a tie move an output by a step; all else is float noise.
        const close = simulated.filter((value, i) => Math.abs(value - computed[i]!) <= 1e-4 * size).length
        expect(close / simulated.length).toBeGreaterThanOrEqual(0.7)
        const weightBytes = layers.reduce(
          (sum, layer) => sum + FileBytes.weightBytes(layer, choices.get(layer.id)!),
          0
        )
        expect(packed.byteLength).toBeGreaterThan(weightBytes)
      }),
      { numRuns: 40 }
    )
  })

  it("is computed as simulated where ONNX Runtime may rewrite it, whatever the formats", async () => {
    // Channels of very different size: weights that the runtime rounded again, with one scale for all, would show.
    const builder = new GraphBuilder("chain")
    const convolved = (x: string, inputs: number, outputs: number, i: number): string => {
      const weights = wave(outputs * inputs * 9, i + 1).map(
        (v, k) => v * 10 ** -Math.floor(k / (inputs * 9) / 2)
      )
      const w = builder.constant(Tensor.float32([outputs, inputs, 3, 3], weights), `w${i}`)
      const bias = builder.constant(Tensor.float32([outputs], wave(outputs, i + 7)), `b${i}`)
      const attributes = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], groups: 1 }
      return builder.add("Relu", [builder.add("Conv", [x, w, bias], attributes, { name: `conv${i}` })], {})
    }
    const x = builder.input("x", "float32", [2, 3, 6, 6])
    const chain = builder.finish([convolved(convolved(convolved(x, 3, 6, 0), 6, 6, 1), 6, 4, 2)])
    const bounds = new Map([...chain.values.keys()].map((value) => [value, { low: -1, high: 3 }]))
    const optimized = async (bytes: Uint8Array) => {
      const session = await ort.InferenceSession.create(bytes)
      const { data } = (await session.run({ x: input }))[session.outputNames[0]!]!
      await session.release()
      return data as Float32Array
    }
    for (const text of ["w8a4", "w4a6", "wk4a8", "w3.g9a8", "wtern a8", "w5a12", "w4a16", "wf16a8"]) {
      const plan = new Map(Layer.layersOf(chain).map(({ id }) => [id, Choice.parse(text)!]))
      const simulated = await optimized(Model.encode(FakeQuant.rewrite(chain, plan, bounds)))
      const computed = await optimized(Pack.encode(chain, plan, bounds))
      const close = simulated.filter((value, i) => Math.abs(value - computed[i]!) <= 1e-4).length
      expect(close / simulated.length, text).toBeGreaterThanOrEqual(0.99)
    }
  })

  it("stores every kind of integers at the bytes its format states", () => {
    for (const bits of [2, 4, 8, 16])
      for (const scale of ["tensor", "channel", { block: 32 }] as const)
        for (const zeroPoint of [false, true]) {
          const format = WeightFormat.int(bits, scale, zeroPoint)
          const layer = layers[2]!
          const builder = new GraphBuilder("alone")
          const name = WeightKinds.emit(builder, "w", Weights.encoded(graph, layer, format))
          const made = builder.finish([name])
          const stored = [...made.constants.values()]
            .filter(({ shape }) => shape.length > 0 || scale === "tensor")
            .reduce((sum, constant) => sum + Tensor.bytes(constant), 0)
          const stated = WeightKinds.storedBytes(
            { shape: layer.weightShape, axis: layer.channelAxis },
            format
          )
          expect(Math.abs(stored - stated), WeightKinds.show(format)).toBeLessThanOrEqual(4)
        }
  })

  it("a layer alone at a choice is the uniform plan's layer", () => {
    const deployed = (ids: ReadonlyArray<string>) =>
      Pack.deploy(QuantizedNetwork.plain(graph, new Map(ids.map((id) => [id, Choice.wa(4, 8)])), ranges))
    const uniform = deployed(layers.map(({ id }) => id))
    const alone = deployed([layers[0]!.id])
    expect(alone.constants.get("w1/int4")).toEqual(uniform.constants.get("w1/int4"))
  })
})

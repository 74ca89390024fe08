/** Dialects: what is said is read back, what cannot be said is the nearest that loses no more, documents are the tools'. */
import { GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Choice, Dialects, QuantizedNetwork, type Ranges } from "../src/index.ts"
import * as Arbitrary from "./arbitraries.ts"
import { everyLayout, wave } from "./networks.ts"

/** Two convolutions read one activation, whose name and theirs have characters that documents use. */
const shared = () => {
  const builder = new GraphBuilder("shared")
  const x = builder.input("x", "float32", [1, 2, 4, 4])
  const conv = (name: string, input: string, phase: number) =>
    builder.add(
      "Conv",
      [input, builder.constant(Tensor.float32([2, 2, 1, 1], wave(4, phase)), `${name}.w`)],
      { groups: 1, kernel: [1, 1], strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] },
      { name }
    )
  const stem = builder.add("Relu", [conv("/stem/Conv", x, 0)], {}, { name: "/relu:0" })
  const sum = builder.add(
    "Add",
    [conv("/a.1/Conv", stem, 1), conv("/b,2/Conv", stem, 2)],
    {},
    { name: "add" }
  )
  const graph = builder.finish([sum])
  const layers = Layer.layersOf(graph)
  const ranges: Ranges.Ranges = new Map(layers.map(({ input }) => [input, { low: -1.5, high: 6 }]))
  return { graph, layers, ranges }
}

const networks = { shared: shared(), everyLayout: everyLayout() }

const said = (settled: ReadonlyMap<string, Dialects.Settled>): Choice.Choices =>
  new Map([...settled].map(([id, { said }]) => [id, said]))

const shown = (choices: ReadonlyMap<string, Choice.Choice>) =>
  Object.fromEntries([...choices].map(([id, choice]) => [id, Choice.show(choice)]))

/** Those that name layers as the file does; the others have tests of their own. */
const byOwnName = Dialects.dialectNames.filter((name) => Dialects.dialects[name].cannotName === undefined)

for (const name of byOwnName) {
  const dialect = Dialects.dialects[name]
  describe(name, () => {
    for (const [which, { graph, layers, ranges }] of Object.entries(networks))
      it(`says plans of the network "${which}" that are read back to the same, with and without numbers`, () => {
        fc.assert(
          fc.property(
            fc.array(Arbitrary.choice, { minLength: layers.length, maxLength: layers.length }),
            (own) => {
              const asked = new Map(layers.map(({ id }, l) => [id, own[l]!]))
              const settled = Dialects.settle(dialect, layers, asked)
              const choices = said(settled)
              const network = QuantizedNetwork.plain(graph, choices, ranges)
              for (const numbers of [network, undefined]) {
                const { choices: found, faults } = dialect.read(
                  dialect.write({ layers, choices, network: numbers }),
                  layers
                )
                expect(faults).toEqual([])
                expect(shown(found)).toEqual(shown(choices))
              }
              // Whoever asks for what can be said gets it, and a difference always has a reason.
              expect(shown(said(Dialects.settle(dialect, layers, choices)))).toEqual(shown(choices))
              for (const { asked, said, why } of settled.values())
                expect(why === null).toBe(Choice.show(asked) === Choice.show(said))
            }
          ),
          { numRuns: 150 }
        )
      })

    it("never takes fewer bits than were asked for", () => {
      const { layers } = networks.shared
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 8 }),
          fc.integer({ min: 2, max: 8 }),
          (weights, activations) => {
            const asked = new Map(layers.map(({ id }) => [id, Choice.wa(weights, activations)]))
            for (const { said } of Dialects.settle(dialect, layers, asked).values()) {
              expect(said.weights.kind === "int" && said.weights.bits).toBeGreaterThanOrEqual(weights)
              expect(said.activations.bits).toBeGreaterThanOrEqual(activations)
            }
          }
        )
      )
    })

    it("names layers or tensors that are not there, and what is no document of its own", () => {
      const { layers } = networks.shared
      const other = networks.everyLayout.layers
      const plan = new Map(other.map(({ id }) => [id, Choice.wa(8, 8)]))
      const foreign = dialect.write({ layers: other, choices: plan, network: undefined })
      expect(dialect.read(foreign, layers).faults.length).toBeGreaterThan(0)
      expect(dialect.read('{"layers": ', layers).faults.length).toBe(1)
    })
  })
}

describe("documents as the tools have them", () => {
  const { graph, layers, ranges } = networks.shared
  const document = (name: Dialects.DialectName, ...ids: ReadonlyArray<string>) => {
    const choices = new Map(layers.map(({ id }, l) => [id, Choice.parse(ids[l]!)!]))
    const network = QuantizedNetwork.plain(graph, choices, ranges)
    return Dialects.dialects[name].write({ layers, choices, network })
  }
  const values = Tensor.values(graph.constants.get("/stem/Conv.w")!)
  /** Steps of 4-bit weights, computed here: the greatest magnitude of a channel over 7. */
  const steps = [0, 2].map((from) => Math.max(Math.abs(values[from]!), Math.abs(values[from + 1]!)) / 7)

  it("AIMET: scale · (code + offset), weights symmetric around the middle code", () => {
    const { activation_encodings, param_encodings, version } = JSON.parse(
      document("aimet", "w4a8", "w8a8", "w8a8")
    )
    expect(version).toBe("1.0.0")
    const [input] = activation_encodings
    expect(input).toMatchObject({ name: "x", enc_type: "PER_TENSOR", dtype: "INT", bw: 8, is_sym: false })
    // 7.5 over 255 steps, and zero at code 51.
    expect(input.scale[0]).toBeCloseTo(7.5 / 255, 7)
    expect(input.offset).toEqual([-51])
    const [stem] = param_encodings
    expect(stem).toMatchObject({ name: "/stem/Conv.w", enc_type: "PER_CHANNEL", bw: 4, is_sym: true })
    expect(stem.offset).toEqual([-8, -8])
    stem.scale.forEach((step: number, i: number) => expect(step).toBeCloseTo(steps[i]!, 6))
  })

  it("ONNX Runtime: a list of overrides a tensor, the axis in the first", () => {
    const { extra_options, nodes_to_exclude } = JSON.parse(document("onnxruntime", "w4a8", "f32", "w8a8"))
    expect(nodes_to_exclude).toEqual(["/a.1/Conv"])
    const { TensorQuantOverrides: overrides } = extra_options
    expect(overrides["/stem/Conv.w"]).toMatchObject([
      { quant_type: "QInt4", axis: 0, zero_point: 0 },
      { quant_type: "QInt4", axis: 0, zero_point: 0 }
    ])
    expect(overrides["/stem/Conv.w"][0].scale).toBeCloseTo(steps[0]!, 6)
    expect(overrides["x"]).toMatchObject([{ quant_type: "QUInt8", zero_point: 51 }])
    expect(overrides["/a.1/Conv.w"]).toBeUndefined()
  })

  it("TensorRT: one line of trtexec flags", () => {
    expect(document("tensorrt", "w8a8", "f16", "f32")).toBe(
      `--int8 --fp16 --precisionConstraints=obey --layerPrecisions='"/stem/Conv":int8,"/a.1/Conv":fp16,"/b,2/Conv":fp32'\n`
    )
    const plain = "--layerPrecisions=/stem/Conv:fp16,/a.1/Conv:int8 --precisionConstraints=obey"
    expect(shown(Dialects.dialects.tensorrt.read(plain, layers).choices)).toEqual({
      "/stem/Conv": "f16",
      "/a.1/Conv": "w8a8",
      "/b,2/Conv": "f32"
    })
  })

  it("LiteRT: anchored expressions, later entries win", () => {
    const entry = (regex: string, bits: number) => ({
      regex,
      operation: "CONV_2D",
      algorithm_key: "min_max_uniform_quantize",
      op_config: {
        weight_tensor_config: { num_bits: bits, symmetric: true, granularity: "CHANNELWISE", dtype: "INT" },
        compute_precision: "FLOAT"
      }
    })
    const recipe = JSON.stringify([entry(".*", 8), entry("stem", 4)])
    expect(shown(Dialects.dialects.litert.read(recipe, layers).choices)).toEqual({
      "/stem/Conv": "w4",
      "/a.1/Conv": "w8",
      "/b,2/Conv": "w8"
    })
    const broken = JSON.stringify([entry("(", 8)])
    expect(Dialects.dialects.litert.read(broken, layers).faults).toHaveLength(1)
  })

  it("readers of one activation agree where a tool keeps formats by tensor", () => {
    const asked = new Map(layers.map(({ id }, l) => [id, Choice.wa(8, l === 1 ? 4 : 8)]))
    const { said, why } = Dialects.settle(Dialects.dialects.aimet, layers, asked).get("/a.1/Conv")!
    expect(Choice.show(said)).toBe("w8a8")
    expect(why).toMatch(/another layer reads the same activation/)
    const kept = Dialects.settle(Dialects.dialects.nncf, layers, asked).get("/a.1/Conv")!
    expect(Choice.show(kept.said)).toBe("w8a4")
  })
})

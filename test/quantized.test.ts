/**
 * Networks that are quantized already: their float network and their plan are found in the file. The files are those of
 * ONNX Runtime's own quantizers (`cases/quantized/make.py`), and every width that this tool writes; the truth is ONNX Runtime
 * running the quantized file.
 */
import { Layer, Model, Tensor } from "@bitbudget/graph"
import { Choice, FakeQuant, Pack, PlanFile, QuantizedNetwork, Ranges, Recovered } from "@bitbudget/quant"
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { file, info, op } from "../packages/graph/test/onnx.ts"
import { npy, npz } from "../packages/runtime/test/support/files.ts"
import { root, run } from "./bitbudget.ts"

const folder = path.join(root, "test/cases/quantized")
const SAMPLES = 64
/** Outputs by ONNX's reference evaluator, of the first samples, in a row. */
const REFERENCE_SAMPLES = 8
const references: Readonly<Record<string, ReadonlyArray<number>>> = JSON.parse(
  fs.readFileSync(path.join(folder, "references.json"), "utf8")
)
const sample = { cnn: [3, 12, 12], mlp: [6, 64] } as const
type Network = keyof typeof sample

/** Numbers that look random and are the same everywhere. */
const inputsOf = (network: Network): Value.Value => {
  const shape = [SAMPLES, ...sample[network]]
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => {
    const x = Math.sin((i + 1) * 12.9898) * 43758.5453
    return 3 * (x - Math.floor(x)) - 1.5
  })
  return Value.make("float32", shape, data)
}

/** The output `y` of a file for the samples, each alone: what is quantized at run time depends on nothing beside. */
const outputsOf = (bytes: Uint8Array, network: Network): Promise<ReadonlyArray<Float32Array>> =>
  Effect.gen(function* () {
    const session = yield* Session.make(bytes, { name: network, threads: 1 })
    const all = inputsOf(network)
    const width = all.data.length / SAMPLES
    return yield* Effect.forEach(Array.from({ length: SAMPLES }), (_, i) =>
      Effect.map(
        session.run({
          x: Value.make("float32", [1, ...sample[network]], all.data.slice(i * width, (i + 1) * width))
        }),
        ({ y }) => y!.data as Float32Array
      )
    )
  }).pipe(Effect.scoped, Effect.runPromise)

const decibels = (exact: ReadonlyArray<Float32Array>, other: ReadonlyArray<Float32Array>): number => {
  let [signal, noise] = [0, 0]
  exact.forEach((row, n) =>
    row.forEach((x, i) => {
      signal += x * x
      noise += (x - other[n]![i]!) ** 2
    })
  )
  return 10 * Math.log10(signal / noise)
}

const best = (row: Float32Array): number => row.indexOf(Math.max(...row))
const agreement = (a: ReadonlyArray<Float32Array>, b: ReadonlyArray<Float32Array>): number =>
  a.filter((row, i) => best(row) === best(b[i]!)).length / a.length

const decode = (bytes: Uint8Array) => Effect.runSync(Model.decode(bytes, "network.onnx"))
const recovered = (model: Model.Model) => Recovered.recover(model)!

/** The network of a file with the file's own plan. */
const ownNetwork = (model: Model.Model): QuantizedNetwork.QuantizedNetwork => ({
  graph: model.unquantized!.graph,
  ...recovered(model)
})

interface IntegerCodes {
  readonly codes: ArrayLike<number>
  readonly scales: Float32Array
  readonly zeroPoints: Uint16Array | undefined
}

const shown = (model: Model.Model): ReadonlyArray<string> =>
  [...recovered(model).choices.values()].map(Choice.show)

/** Of the layers in order, by what ONNX Runtime's quantizer was told. */
const files: ReadonlyArray<readonly [name: string, choices: ReadonlyArray<string>]> = [
  ["cnn-qdq-tensor", ["w8.t a8", "w8.t a8", "w8.t a8", "w8.t a8"]],
  ["cnn-qdq-channel", ["w8a8", "w8a8", "w8a8", "w8a8"]],
  // The third layer's zero point is 128, so that its codes are signed ones.
  ["cnn-qdq-u8", ["w8.t.asym a8", "w8.t.asym a8", "w8.t a8", "w8.t.asym a8"]],
  ["cnn-qdq-a16", ["w8a16", "w8a16", "w8a16", "w8a16"]],
  ["cnn-qdq-tensor-optimized", ["w8.t a8", "w8.t a8", "w8.t a8", "w8.t a8"]],
  ["cnn-qop-tensor", ["w8.t a8", "w8.t a8", "w8.t a8", "w8.t a8"]],
  ["cnn-qop-channel", ["w8a8", "w8a8", "w8a8", "w8a8"]],
  ["mlp-qop", ["w8.t a8", "w8.t a8"]],
  ["mlp-qdq-w4", ["w4.t a16", "w4.t a16"]],
  ["mlp-nbits-sym", ["w4.g32", "w4.g32"]],
  ["mlp-nbits-asym", ["w4.g32.asym", "w4.g32.asym"]],
  ["mlp-nbits-qdq", ["w4.g16", "w4.g16"]]
]

const read = (name: string) => {
  const bytes = fs.readFileSync(path.join(folder, `${name}.onnx`))
  return { bytes, model: decode(bytes), network: name.slice(0, 3) as Network }
}

describe("files of ONNX Runtime's quantizers", () => {
  it.each(files)("%s has the formats that it was made with", (name, choices) => {
    expect(shown(read(name).model)).toEqual(choices)
  })

  it.each(files)("%s: the recovered plan, simulated, computes what the file does", async (name) => {
    const { bytes, model, network } = read(name)
    const truth = await outputsOf(bytes, network)
    const simulated = await outputsOf(Model.encode(FakeQuant.simulate(ownNetwork(model))), network)
    const float = await outputsOf(Model.encode(model.unquantized!.graph), network)
    expect(agreement(truth, simulated)).toBeGreaterThan(0.9)
    // The float network as it was before, but for the weights: ReLUs that the quantizer took out are back.
    const original = await outputsOf(fs.readFileSync(path.join(folder, `${network}.onnx`)), network)
    expect(decibels(original, float)).toBeGreaterThan(name.includes("w4") || name.includes("nbits") ? 12 : 30)
    // Layers that only move values round them once more in these files, so that they are no closer than that.
    expect(decibels(truth, simulated)).toBeGreaterThan(25)
    expect(decibels(truth, simulated)).toBeGreaterThanOrEqual(decibels(truth, float) - 1)
  })

  it.each(files)("%s: its own plan written again has the same codes and ranges", (name) => {
    const { model } = read(name)
    const own = recovered(model)
    const again = recovered(decode(Pack.write(ownNetwork(model))))
    expect([...again.choices.values()].map(Choice.show)).toEqual(shown(model))
    for (const [id, encoded] of own.encoded) {
      const [codes, found] = [encoded, again.encoded.get(id)!] as ReadonlyArray<IntegerCodes>
      expect(found!.codes).toEqual(codes!.codes)
      expect(found!.zeroPoints).toEqual(codes!.zeroPoints)
      // Scales of blocks are written in 16 bits.
      const tolerance = name.includes("nbits") ? 2 ** -11 : 0
      codes!.scales.forEach((scale, i) =>
        expect(Math.abs(found!.scales[i]! - scale)).toBeLessThanOrEqual(tolerance * Math.abs(scale))
      )
    }
    for (const { input } of Layer.layersOf(model.unquantized!.graph))
      expect(again.ranges.get(input)).toEqual(own.ranges.get(input))
  })

  it.each(["mlp-dynamic-u8", "mlp-dynamic-channel", "cnn-dynamic"])(
    "%s: weights, and that activations are rounded when it runs",
    async (name) => {
      const { model, network } = read(name)
      const own = recovered(model)
      expect(own.dynamic).toEqual([...own.choices.keys()])
      for (const { weights, activations } of own.choices.values()) {
        expect(weights).toMatchObject({ kind: "int", bits: 8 })
        expect(activations).toEqual({ kind: "int", bits: 8 })
      }
      // ONNX's own reference: ONNX Runtime's kernel of signed weights saturates on processors without VNNI.
      const truth = Array.from({ length: REFERENCE_SAMPLES }, (_, i) => {
        const width = references[name]!.length / REFERENCE_SAMPLES
        return Float32Array.from(references[name]!.slice(i * width, (i + 1) * width))
      })
      // Written again as it is read, rounding at run time included.
      expect(decibels(truth, await outputsOf(Model.encode(model.graph), network))).toBeGreaterThan(50)
      expect(
        decibels(truth, await outputsOf(Model.encode(model.unquantized!.graph), network))
      ).toBeGreaterThan(30)
    }
  )
})

describe("files of this tool", () => {
  const plans = [
    "w8a8",
    "w4a8",
    "w3a8",
    "w2a8",
    "w8.t a8",
    "w4.asym a8",
    "w5a16",
    "w4.g32",
    "w3.g32.asym",
    "w7",
    "w8.asym",
    "w1",
    "w16"
  ]
  const model = decode(fs.readFileSync(path.join(folder, "mlp.onnx")))
  const ranges = new Map(
    Layer.layersOf(model.graph).map(({ input }) => [input, { low: -1.5, high: 1.25 }] as const)
  )

  it.each(plans)("%s is read back as the plan, the ranges and the codes that were written", (text) => {
    const choices = PlanFile.uniform(model.graph, Choice.parse(text)!)
    const network = QuantizedNetwork.plain(model.graph, choices, ranges)
    const own = recovered(decode(Pack.write(network)))
    expect([...own.choices.values()].map(Choice.show)).toEqual([...choices.values()].map(Choice.show))
    for (const [id, encoded] of network.encoded) expect(own.encoded.get(id)).toEqual(encoded)
    for (const { id } of Layer.layersOf(model.graph)) expect(own.choices.get(id)).toEqual(choices.get(id))
  })
})

/** Two products that read one value, each by a rounding of its own. */
const readTwice = (...roundings: ReadonlyArray<readonly ["uint8" | "uint16", number]>): Uint8Array =>
  file(
    {
      inputs: [info("x", ["N", 2])],
      outputs: roundings.map((_, i) => info(`y${i}`, ["N", 2])),
      constants: Object.fromEntries(
        roundings.flatMap(([dtype, step], i) => [
          [`w${i}`, Tensor.float32([2, 2], [1, 2, 3, 4])],
          [`s${i}`, Tensor.scalar("float32", step)],
          [`z${i}`, Tensor.scalar(dtype, 0)]
        ])
      ),
      nodes: roundings.flatMap((_, i) => [
        op("QuantizeLinear", ["x", `s${i}`, `z${i}`], [`q${i}`]),
        op("DequantizeLinear", [`q${i}`, `s${i}`, `z${i}`], [`d${i}`]),
        op("MatMul", [`d${i}`, `w${i}`], [`y${i}`], {}, { name: `product${i}` })
      ])
    },
    21
  )

describe("a value that is read in two ranges", () => {
  it("has both where their widths differ, whoever reads last", () => {
    for (const roundings of [
      [
        ["uint8", 0.5],
        ["uint16", 0.25]
      ],
      [
        ["uint16", 0.25],
        ["uint8", 0.5]
      ]
    ] as const) {
      const { ranges, conflicting } = recovered(decode(readTwice(...roundings)))
      expect(conflicting).toEqual([])
      const range = ranges.get("x")!
      expect(Ranges.boundsAt(range, 8)).toEqual({ low: -0, high: 127.5 })
      expect(Ranges.boundsAt(range, 16)).toEqual({ low: -0, high: 16383.75 })
    }
  })

  it("of one width is told of, and both fit in the range that is kept", () => {
    const bytes = readTwice(["uint8", 0.5], ["uint8", 0.25])
    const { ranges, conflicting } = recovered(decode(bytes))
    expect(conflicting).toEqual(["x"])
    expect(ranges.get("x")).toEqual({ low: -0, high: 127.5 })
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-twice-"))
    const [twice, written] = [path.join(folder, "twice.onnx"), path.join(folder, "own.onnx")]
    fs.writeFileSync(twice, bytes)
    const { out, error } = run("quantize", twice, "--plan", "own", "-o", written)
    expect(out + error).toMatch(/ranges only in part: its nodes read x in several ranges of one width/)
    expect(out + error).not.toContain("codes and ranges are those of")
  })
})

describe("commands", () => {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-quantized-"))
  const at = (name: string) => path.join(folder, `${name}.onnx`)
  const { data: values, shape } = inputsOf("cnn")
  const data = path.join(scratch, "x.npz")
  fs.writeFileSync(data, npz({ x: npy("<f4", shape, values as Float32Array<ArrayBuffer>) }))
  const json = (...args: ReadonlyArray<string>) => {
    const done = run(...args, "--json", "--quiet")
    expect(done.error).toBe("")
    return JSON.parse(done.out)
  }

  it("inspect shows the format of every layer", () => {
    const { layers, quantization } = json("inspect", at("cnn-qop-channel"))
    expect(layers.map(({ format }: { format: string }) => format)).toEqual(["w8a8", "w8a8", "w8a8", "w8a8"])
    expect(quantization.kinds).toEqual(["QOperator"])
    expect(run("inspect", at("cnn-qop-channel"), "--quiet").out).toContain(
      'its own formats are the plan "own"'
    )
    expect(json("inspect", at("cnn")).layers[0].format).toBe(null)
  })

  it("its own plan is costed, evaluated, written and translated without data for ranges", () => {
    const own = ["--plan", "own"]
    const network = at("cnn-qop-channel")
    const asked = json("simulate", network, "--device", "gap9", "--plan", "w8a8")
    const cost = json("simulate", network, "--device", "gap9", ...own)
    expect(cost.totals.latencyMs).toBe(asked.totals.latencyMs)
    const judged = json("evaluate", network, "--data", data, ...own)
    expect(judged.agreement.withPacked.value).toBeGreaterThan(0.98)
    expect(judged.outputs[0].sqnrDb).toBeGreaterThan(30)
    const written = path.join(scratch, "own.onnx")
    const { bytes, predictedBytes } = json("quantize", network, ...own, "-o", written)
    expect(predictedBytes).toBe(bytes)
    expect(json("inspect", written).layers.map(({ format }: { format: string }) => format)).toEqual(
      Array(4).fill("w8a8")
    )
    const document = path.join(scratch, "encodings.json")
    json("translate", network, ...own, "--to", "aimet", "-o", document)
    expect(JSON.parse(fs.readFileSync(document, "utf8"))).toHaveProperty("activation_encodings")
  })

  it("other plans are of the float network in it", () => {
    const { layers } = json(
      "quantize",
      at("cnn-qop-channel"),
      "--plan",
      "w4",
      "-o",
      path.join(scratch, "w4.onnx")
    )
    expect(new Set(layers.map(({ choice }: { choice: string }) => choice))).toEqual(new Set(["w4"]))
  })

  it("a float network has no plan of its own", () => {
    const { code, error } = run("quantize", at("cnn"), "--plan", "own", "-o", path.join(scratch, "x.onnx"))
    expect(code).toBe(1)
    expect(error).toContain("is a float network, which has no plan of its own")
  })
})

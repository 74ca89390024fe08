import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { Session, Value } from "../src/index.ts"
import { bytesOf, floatsOf, messageOf, project, run } from "./support/run.ts"
import { tinyModel, unary } from "./support/tinyModel.ts"

const largestDifference = (a: Value.Data, b: Float32Array): number =>
  b.reduce((largest, value, i) => Math.max(largest, Math.abs(value - Number(a[i]))), 0)

const goldens = "test/goldens/models"

describe("Session", () => {
  for (const name of ["resnet8", "resnet8_bn", "dscnn"])
    it(`${name}: the logits of 16 images`, async () => {
      const network = name.replace("_bn", "")
      const input = Value.float32([16, 1, 28, 28], floatsOf(`${goldens}/${network}.input16.f32`))
      const logits = await run(
        Effect.gen(function* () {
          const session = yield* Session.make(bytesOf(`experiments/models/${name}.onnx`), { threads: 1 })
          expect(session.inputs).toEqual([{ name: "input", dtype: "float32", shape: ["N", 1, 28, 28] }])
          return (yield* session.run({ input })).logits!
        }).pipe(Effect.scoped)
      )
      expect(logits.shape).toEqual([16, 10])
      expect(largestDifference(logits.data, floatsOf(`${goldens}/${network}.logits16.f32`))).toBeLessThan(
        1e-4
      )
    })

  it("chargpt: the logits of two windows, from a path", async () => {
    const tokens = new BigInt64Array(bytesOf(`${goldens}/chargpt.input16.i64`).buffer)
    const logits = await run(
      Effect.gen(function* () {
        const session = yield* Session.make(project("experiments/models/chargpt.onnx"), { threads: 2 })
        return (yield* session.run({ idx: Value.int64([2, 128], tokens.slice(0, 256)) })).logits!
      }).pipe(Effect.scoped)
    )
    expect(logits.shape).toEqual([2, 128, 256])
    expect(largestDifference(logits.data, floatsOf(`${goldens}/chargpt.logits2.f32`))).toBeLessThan(1e-4)
  })

  it("returns only the outputs asked for", async () => {
    const float = (name: string) => ({ name, dtype: "float32" as const, shape: ["N", 2] })
    const model = tinyModel(
      [
        { op: "Neg", inputs: ["x"], outputs: ["y"] },
        { op: "Abs", inputs: ["x"], outputs: ["z"] }
      ],
      [float("x")],
      [float("y"), float("z")]
    )
    const results = await run(
      Effect.gen(function* () {
        const session = yield* Session.make(model)
        const x = Value.float32([1, 2], Float32Array.of(1, -2))
        return { all: yield* session.run({ x }), one: yield* session.run({ x }, ["z"]) }
      }).pipe(Effect.scoped)
    )
    expect(Object.keys(results.all)).toEqual(["y", "z"])
    expect(results.one).toEqual({ z: Value.float32([1, 2], Float32Array.of(1, 2)) })
  })

  it("names the model and gives ONNX Runtime's reason when bytes are no model", async () => {
    const message = await messageOf(
      Effect.scoped(Session.make(Uint8Array.of(1, 2, 3, 4), { name: "broken.onnx" }))
    )
    expect(message).toMatch(/^broken\.onnx: ONNX Runtime cannot load the model: .*protobuf/i)
  })

  it("names the model and the input when a feed is missing or of the wrong shape", async () => {
    const feed = (feeds: Record<string, Value.Value>) =>
      messageOf(
        Effect.gen(function* () {
          const session = yield* Session.make(unary("Neg", ["N", 2]), { name: "tiny" })
          return yield* session.run(feeds)
        }).pipe(Effect.scoped)
      )
    expect(await feed({})).toMatch(/^tiny: ONNX Runtime cannot run the model: .*'x'/)
    expect(await feed({ x: Value.float32([1, 3], new Float32Array(3)) })).toMatch(
      /^tiny: .*invalid dimensions/
    )
  })

  it("releases the session when its scope closes", async () => {
    const session = await run(Effect.scoped(Session.make(unary("Neg", ["N"]))))
    expect(await messageOf(session.run({ x: Value.float32([1], Float32Array.of(1)) }))).toMatch(
      /dispos|releas/i
    )
  })
})

describe("Value", () => {
  it("takes a model's constants, integers of 64 bits as big integers", () => {
    expect(Value.fromTensor({ dtype: "int64", shape: [2], data: Float64Array.of(-1, 7) })).toEqual(
      Value.int64([2], BigInt64Array.of(-1n, 7n))
    )
    expect(Value.fromTensor({ dtype: "float32", shape: [2], data: { fill: 0.5 } })).toEqual(
      Value.float32([2], Float32Array.of(0.5, 0.5))
    )
  })

  it("refuses an array of another type or size", () => {
    expect(() => Value.make("float32", [1], Float64Array.of(1))).toThrow("Float64Array is not float32")
    expect(() => Value.float32([2, 2], Float32Array.of(1))).toThrow("1 elements for shape [2,2]")
  })
})

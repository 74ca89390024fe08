/** Scales of blocks in half precision: near, exactly representable, and the same in simulation and file. */
import { GraphBuilder, Model, Tensor } from "@bitbudget/graph"
import * as fc from "fast-check"
import * as ort from "onnxruntime-node"
import { describe, expect, it } from "vitest"
import { WeightKinds } from "../src/index.ts"
import { toHalf } from "../src/weights/blockScales.ts"
import { wave } from "./networks.ts"

describe("a scale as a half", () => {
  it("by hand", () => {
    // Between 1 and 2 halves lie 2^-10 apart; 65504 is the largest, 2^-24 the least.
    expect([1, 1.0001, -1.0009, 0, 70000, 1e-9, 1.1 * 2 ** -24].map(toHalf)).toEqual([
      1,
      1,
      -1 - 2 ** -10,
      0,
      65504,
      2 ** -24,
      2 ** -23
    ])
  })

  it("is one, is near, and is what it is made of", () => {
    fc.assert(
      fc.property(fc.double({ min: 2 ** -26, max: 65504, noNaN: true }), (x) => {
        const half = toHalf(x)
        expect(Math.f16round(half)).toBe(half)
        expect(Math.abs(half - x)).toBeLessThanOrEqual(x < 2 ** -14 ? 2 ** -24 : x * 2 ** -11)
        if (x < 2 ** -14) expect(half).toBeGreaterThanOrEqual(x)
        expect(toHalf(half)).toBe(half)
        expect(toHalf(-x)).toBe(-half)
      })
    )
  })
})

describe("formats with scales of blocks", () => {
  const weights = Tensor.float32([8, 64], wave(512, 0.3))
  for (const id of ["w4.g16", "w4.g16.asym", "w3.g32", "w2.g16", "we4m3.g32", "wnf4.g32", "wtern.g8"])
    it(`${id} is in the file what it is in the simulation`, async () => {
      const format = WeightKinds.parse(id)
      if (format === undefined) throw new Error(id)
      const encoded = WeightKinds.quantize(weights, 0, format)
      const builder = new GraphBuilder(id)
      const x = builder.input("x", "float32", [64, 64])
      const name = WeightKinds.emit(builder, "w", encoded)
      const y = builder.add("MatMul", [name, x], {})
      const session = await ort.InferenceSession.create(Model.encode(builder.finish([y])))
      const eye = Float32Array.from({ length: 64 * 64 }, (_, i) => (i % 65 === 0 ? 1 : 0))
      const found = await session.run({ x: new ort.Tensor("float32", eye, [64, 64]) })
      expect(Array.from(Object.values(found)[0]!.data as Float32Array)).toEqual(
        Array.from(Tensor.values(WeightKinds.dequantize(encoded)))
      )
    })

  it("a scale of 16 values weighs a bit a value, where channels' scales are nothing", () => {
    const of = { shape: [64, 512], axis: 0 }
    const bits = (id: string) => (8 * WeightKinds.storedBytes(of, WeightKinds.parse(id)!)) / (64 * 512)
    expect(bits("w2.g16")).toBe(3)
    expect(bits("w4.g32")).toBe(4.5)
    expect(bits("w4")).toBe(4 + 32 / 512)
  })
})

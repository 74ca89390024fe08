/** Blocks of ggml's types, against what the `gguf` package reads out of them (goldens/ggml.py). */
import { Tensor } from "@bitbudget/graph"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Blocks, Fitting, Ggml, WeightKinds } from "../src/index.ts"
import { cases } from "./ggmlCases.ts"

const golden: Record<string, { blocks: string; values: string }> = JSON.parse(
  readFileSync(path.join(import.meta.dirname, "goldens/ggml.json"), "utf8")
)

const floats = (text: string) => {
  const bytes = Buffer.from(text, "base64")
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i))
}

const format = (id: string) => WeightKinds.parse(id)!

/** About normal weights, a few of them large. */
const weights = (rows: number, columns: number) =>
  Tensor.float32(
    [rows, columns],
    Array.from(
      { length: rows * columns },
      (_, i) => (Math.sin(17 * i) + Math.sin(5.3 * i * i) + (i % 97 === 0 ? 2 : 0)) / 20
    )
  )

const meanSquare = (id: string, fitting: Fitting.Fitting) => {
  const tensor = weights(8, 512)
  const back = WeightKinds.dequantize(WeightKinds.quantize(tensor, 0, format(id), fitting))
  const [x, y] = [Tensor.values(tensor), Tensor.values(back)]
  return Array.from(x).reduce((sum, value, i) => sum + (value - y[i]!) ** 2, 0) / x.length
}

describe("ggml's blocks", () => {
  it.each([...cases])(
    "%s: the gguf package reads out of them the very values that are simulated",
    (type, { encoded, of }) => {
      const { blocks, values } = golden[type]!
      expect(Buffer.from(Ggml.blocksOf(encoded)).toString("base64")).toBe(blocks)
      const own = Tensor.values(WeightKinds.dequantize(encoded)) as Float32Array
      // −0 and 0 are one value.
      expect(Array.from(Blocks.channelsFirst(own, of), (x) => x + 0)).toEqual(
        Array.from(floats(values), (x) => x + 0)
      )
    }
  )

  it("are of the sizes that ggml's are, for whole blocks only", () => {
    const bitsOf = (id: string) => {
      const { bytes, values } = Ggml.typeOf(format(id))!
      return (8 * bytes) / values
    }
    expect(["wq2_K", "wq3_K", "wq4_K", "wq5_K", "wq6_K", "w4.g32", "w5.g32", "w8.g32"].map(bitsOf)).toEqual([
      2.625, 3.4375, 4.5, 5.5, 6.5625, 4.5, 5.5, 8.5
    ])
    expect(Ggml.typeOf(format("w3.g32"))).toBeUndefined()
    expect(Ggml.typeOf(format("w4.g32.asym"))).toBeUndefined()
    const q4 = Ggml.typeOf(format("wq4_K"))!
    expect(Ggml.obstacle({ shape: [512, 7], axis: 1 }, q4)).toBeUndefined()
    expect(Ggml.obstacle({ shape: [192, 7], axis: 1 }, q4)).toBe(
      "rows of 192 values are no multiple of the 256 of a q4_K block"
    )
  })
})

describe("k-quants", () => {
  it("are typed as llama.cpp names them", () => {
    expect(WeightKinds.show(format("wq4_k"))).toBe("wq4_K")
    expect(WeightKinds.parse("wq7_K")).toBeUndefined()
  })

  it.each(["wq2_K", "wq3_K", "wq4_K", "wq5_K", "wq6_K"])(
    "%s: with fitted scales there is less error than without, and no more than with one bit less of plain blocks",
    (id) => {
      const [fitted, plain] = [meanSquare(id, Fitting.leastSquares), meanSquare(id, Fitting.extremes)]
      expect(fitted).toBeLessThan(plain)
      const bits = Number(id[2])
      expect(plain).toBeLessThan(meanSquare(`w${bits - 1}.g32.asym`, Fitting.extremes))
    }
  )
})

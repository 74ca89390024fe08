/** Tables of tokens are no layers where the network foretells these tokens; every other table is one. */
import { describe, expect, it } from "vitest"
import { GraphBuilder, Layer, Tensor } from "../src/index.ts"

const numbers = (...shape: ReadonlyArray<number>) =>
  Tensor.float32(
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i))
  )

/** words (and what is added to them) → head of `classes` scores a position, behind what scores pass through. */
const network = (classes: number, rows: Readonly<Record<string, number>>, isTied = false) => {
  const builder = new GraphBuilder("tables")
  const looked = Object.entries(rows).map(([name, count]) => {
    const ids = builder.input(`${name}_ids`, "int64", [1, 8])
    const table = builder.constant(numbers(count, 16), `${name}_table`)
    return builder.add("Gather", [table, ids], { axis: 0 }, { name })
  })
  const sum = looked.reduce((a, b) => builder.add("Add", [a, b], {}))
  const flat = builder.add("Reshape", [sum], { shape: [8, 16] })
  const attributes = { alpha: 1, beta: 1, transA: false, transB: true }
  const weights = isTied ? "words_table" : builder.constant(numbers(classes, 16), "head_weights")
  const scores = builder.add("Gemm", [flat, weights], attributes, { name: "head" })
  const shaped = builder.add("Reshape", [scores], { shape: [1, 8, classes] })
  return builder.finish([builder.add("Softmax", [shaped], { axis: 2 })])
}

const ids = (graph: ReturnType<typeof network>) => Layer.layersOf(graph).map(({ id }) => id)

describe("tables of tokens", () => {
  it("stay float where the network has a score for each of their rows", () => {
    const graph = network(50, { words: 50 })
    expect(ids(graph)).toEqual(["head"])
    expect(Layer.tokenTablesOf(graph).map(({ id }) => id)).toEqual(["words"])
  })

  it("are layers in classifiers, taggers and encoders", () => {
    expect(ids(network(3, { words: 50 }))).toEqual(["words", "head"])
    // Starts and ends of answers: two scores a position, beside a table of two kinds of sentences.
    expect(ids(network(2, { words: 50, kinds: 2 }))).toContain("words")
    // As many positions as an encoder is wide.
    expect(ids(network(16, { words: 50, positions: 16 }))).toContain("words")
  })

  it("go with the product that reads the same weights", () => {
    expect(ids(network(50, { words: 50 }, true))).toEqual(["words", "head"])
  })
})

import { GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { Choice, Dialects } from "../src/index.ts"

/** Products of these names, 256 × 8 but for the last, whose rows have 24 values. */
const layersOf = (names: ReadonlyArray<string>) => {
  const builder = new GraphBuilder("names")
  const x = builder.input("x", "float32", [1, 256])
  const y = builder.input("y", "float32", [1, 24])
  const outputs = names.map((name, i) => {
    const rows = i === names.length - 1 ? 24 : 256
    const w = builder.constant(Tensor.float32([rows, 8], new Float32Array(8 * rows)), `${name}.weight`)
    return builder.add("MatMul", [rows === 24 ? y : x, w], {}, { name })
  })
  return Layer.layersOf(builder.finish(outputs))
}

const choices = (layers: ReadonlyArray<Layer.Layer>, ids: ReadonlyArray<string>) =>
  new Map(layers.map(({ id }, i) => [id, Choice.parse(ids[i]!)!]))

const dialect = Dialects.dialects["llama-quantize"]

describe("a plan for llama-quantize", () => {
  it("is one line a tensor, by the names GGUF files have, and is read back", () => {
    const layers = layersOf([
      "model.layers.0.self_attn.q_proj",
      "/model/layers.11/mlp/down_proj/MatMul",
      "lm_head"
    ])
    const asked = choices(layers, ["w4.g32", "w3.g32.asym", "w6"])
    const said = new Map(
      [...Dialects.settle(dialect, layers, asked)].map(([id, settled]) => [id, settled.said])
    )
    const subject = { layers, choices: said, network: undefined }
    const text = dialect.write(subject)
    expect(text).toBe(
      "^blk\\.0\\.attn_q\\.weight$=q4_K\n^blk\\.11\\.ffn_down\\.weight$=q3_K\n^output\\.weight$=q6_K\n"
    )
    const { choices: found, faults } = dialect.read(text, layers)
    expect(faults).toEqual([])
    expect(found).toEqual(said)
    expect(dialect.notes!(subject)[1]).toContain(
      "1 layer (lm_head first) has rows that are no multiple of 256"
    )
    // Each pattern finds its own tensor and no other.
    const names = ["blk.0.attn_q.weight", "blk.10.attn_q.weight", "blk.11.ffn_down.weight", "output.weight"]
    const patterns = text
      .trim()
      .split("\n")
      .map((line) => new RegExp(line.split("=")[0]!))
    expect(patterns.map((pattern) => names.filter((name) => pattern.test(name)))).toEqual([
      ["blk.0.attn_q.weight"],
      ["blk.11.ffn_down.weight"],
      ["output.weight"]
    ])
  })

  it("takes the next wider type, and names layers that have no tensor and lines that are none", () => {
    const layers = layersOf(["node_linear", "lm_head"])
    expect(layers.map((layer) => dialect.cannotName!(layer))).toEqual([
      "node_linear: its name tells no tensor of a GGUF file; give the model folder, whose names do",
      undefined
    ])
    const [, head] = [...Dialects.settle(dialect, layers, choices(layers, ["w4", "w7"])).values()]
    expect(Choice.show(head!.said)).toBe("w8.g32")
    expect(dialect.read("^output\\.weight$=iq9_X\nnothing=q4_K\n", layers).faults).toHaveLength(2)
  })
})

import { GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { Choice, LlamaQuantize } from "../src/index.ts"

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

describe("a plan for llama-quantize", () => {
  it("is one line a tensor, by the names GGUF files have", () => {
    const layers = layersOf([
      "model.layers.0.self_attn.q_proj",
      "/model/layers.11/mlp/down_proj/MatMul",
      "lm_head"
    ])
    const found = LlamaQuantize.tensorTypes(layers, choices(layers, ["w4.g32", "w3.g32.asym", "w6"]))
    expect(found).toMatchObject({
      text: "^blk\\.0\\.attn_q\\.weight$=q4_K\n^blk\\.11\\.ffn_down\\.weight$=q3_K\n^output\\.weight$=q6_K\n"
    })
    expect("notes" in found && found.notes[1]).toContain(
      "1 layers (lm_head first) have rows that are no multiple of 256"
    )
    // Each pattern finds its own tensor and no other.
    const names = ["blk.0.attn_q.weight", "blk.10.attn_q.weight", "blk.11.ffn_down.weight", "output.weight"]
    const patterns =
      "text" in found
        ? found.text
            .trim()
            .split("\n")
            .map((line) => new RegExp(line.split("=")[0]!))
        : []
    expect(patterns.map((pattern) => names.filter((name) => pattern.test(name)))).toEqual([
      ["blk.0.attn_q.weight"],
      ["blk.11.ffn_down.weight"],
      ["output.weight"]
    ])
  })

  it("is refused where names or formats have no counterpart", () => {
    const layers = layersOf(["node_linear", "lm_head"])
    expect(LlamaQuantize.tensorTypes(layers, choices(layers, ["w4", "w7"]))).toEqual({
      faults: [
        "node_linear: its name tells no tensor of a GGUF file; give the model folder, whose names do",
        "lm_head: llama-quantize has no type like w7; it has q2_K, q3_K, q4_K, q5_K, q6_K, q8_0, f16, f32"
      ]
    })
  })
})

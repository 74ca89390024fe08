/** GGUF files: what goldens/readGguf.py computes from one, through the gguf package, is what the ONNX file of the plan computes. */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as ort from "onnxruntime-node"
import { describe, expect, it } from "vitest"
import { Tasks } from "../src/index.ts"
import { writeFolder } from "./ggufFolder.ts"

const into = fs.mkdtempSync(path.join(tmpdir(), "gguf-"))
const { folder, plan } = writeFolder(into)
const at = (name: string) => path.join(into, name)

interface Golden {
  readonly sha256: string
  readonly types: Readonly<Record<string, string>>
  readonly facts: Readonly<Record<string, unknown>>
  readonly tokens: ReadonlyArray<number>
  readonly logits: ReadonlyArray<ReadonlyArray<number>>
}
const golden: Golden = JSON.parse(
  fs.readFileSync(path.join(import.meta.dirname, "goldens/gguf.json"), "utf8")
)

type Request = Parameters<typeof Tasks.quantize>[0]
const quantize = (more: Partial<Request> & Pick<Request, "out">) =>
  Tasks.quantize({ model: folder, plan, data: undefined, recipe: "plain", target: { name: "gguf" }, ...more })
const refusal = (more: Partial<Request>) =>
  Effect.runPromise(
    quantize({ out: at("never.gguf"), ...more }).pipe(
      Effect.flip,
      Effect.map(({ message }) => message)
    )
  )
const digest = (file: string) => createHash("sha256").update(fs.readFileSync(file)).digest("hex")

describe("a GGUF file", () => {
  it("is the one that the reference read, of the size that was predicted", async () => {
    const { bytes, predictedBytes } = await Effect.runPromise(quantize({ out: at("a.gguf") }))
    expect([bytes, predictedBytes]).toEqual([fs.statSync(at("a.gguf")).size, bytes])
    expect(digest(at("a.gguf"))).toBe(golden.sha256)
  })

  it("is the same of a folder whose weights stay in their files", async () => {
    await Effect.runPromise(quantize({ out: at("kept.gguf"), reading: { holdUpTo: 0 } }))
    expect(digest(at("kept.gguf"))).toBe(golden.sha256)
  })

  it("computes what the ONNX file of the same plan does", async () => {
    await Effect.runPromise(quantize({ out: at("a.onnx"), target: { name: "onnx" } }))
    const session = await ort.InferenceSession.create(at("a.onnx"))
    const ids = new ort.Tensor("int64", BigInt64Array.from(golden.tokens, BigInt), [1, golden.tokens.length])
    const { logits } = await session.run({ input_ids: ids })
    const found = Array.from(logits!.data as Float32Array)
    const expected = golden.logits.flat()
    expect(found).toHaveLength(expected.length)
    const worst = Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)))
    expect(worst).toBeLessThan(1e-4)
    // A wrong order of rows or one wrong weight would move logits of this size by far more.
    expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(0.5)
  })

  it("says what the model is, and holds every type of the plan", () => {
    expect(golden.types).toMatchObject({
      "token_embd.weight": "F32",
      "blk.0.attn_norm.weight": "F32",
      "blk.1.attn_q.weight": "Q2_K",
      "blk.0.attn_k.weight": "Q3_K",
      "blk.0.attn_v.weight": "Q4_K",
      "blk.0.attn_output.weight": "Q5_K",
      "blk.0.ffn_gate.weight": "Q6_K",
      "blk.0.ffn_up.weight": "Q4_0",
      "blk.0.ffn_down.weight": "Q8_0",
      "blk.1.ffn_down.weight": "F16",
      "output.weight": "Q5_0"
    })
    expect(golden.facts).toMatchObject({
      "general.architecture": "llama",
      "llama.rope.freq_base": 5000,
      "llama.attention.head_count_kv": 2,
      "llama.context_length": 128,
      "tokenizer.ggml.pre": "gpt-2",
      "tokenizer.ggml.bos_token_id": 0,
      "tokenizer.ggml.eos_token_id": 1
    })
    const tokens = golden.facts["tokenizer.ggml.tokens"] as ReadonlyArray<string>
    expect([tokens.length, tokens[0], tokens[4], tokens.at(-1)]).toEqual([64, "<s>", "a", "[PAD63]"])
  })

  it("is refused where it could not say what the plan or the model is", async () => {
    expect(await refusal({ plan: "w3.g32" })).toMatch(
      /q_proj: no type of ggml's holds w3.g32 exactly; use wq2_K/
    )
    expect(await refusal({ plan: "w4a8" })).toContain("the plan quantizes activations")
    const folders = path.join(import.meta.dirname, "../../runtime/test/goldens/folders")
    expect(await refusal({ model: path.join(folders, "qwen2"), plan: "wf16" })).toContain(
      "the architecture is qwen2"
    )
    expect(await refusal({ model: path.join(folders, "llama"), plan: "wf16" })).toContain("it has biases")
    expect(await refusal({ model: path.join(folders, "llama3"), plan: "wf16" })).toContain(
      "its positions are scaled"
    )
    expect(await refusal({ model: path.join(folders, "smollm"), plan: "wq4_K" })).toMatch(
      /rows of 24 values are no multiple of the 256 of a q4_K block; use wf16 there/
    )
    expect(
      await refusal({
        model: path.join(import.meta.dirname, "../../../experiments/models/dscnn.onnx"),
        plan: "w8"
      })
    ).toContain("is an ONNX file")
    expect(fs.existsSync(at("never.gguf"))).toBe(false)
  })
})

/** Texts beside language models: whose tokens they are. */
import { GraphBuilder, Model, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Tasks } from "../src/index.ts"
import { tokenizer } from "../../runtime/test/support/tokenizer.ts"

/** A model of so many tokens that looks them up and scores them again. */
const modelOf = (folder: string, vocabulary: number) => {
  const builder = new GraphBuilder("lm")
  const ids = builder.input("input_ids", "int64", [{ batch: 1 }, 4])
  const values = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i))
  const table = builder.constant(Tensor.float32([vocabulary, 6], values(6 * vocabulary)), "table")
  const x = builder.add("Gather", [table, ids], { axis: 0 }, { name: "embed" })
  const w = builder.constant(Tensor.float32([6, vocabulary], values(6 * vocabulary)), "w")
  const logits = builder.add("MatMul", [x, w], {}, { name: "head" })
  const file = path.join(folder, `lm${vocabulary}.onnx`)
  writeFileSync(file, Model.encode(builder.finish([logits])))
  return file
}

describe("a text and a language model", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "texts-"))
  const data = path.join(folder, "a.txt")
  writeFileSync(data, "ab ab a é b ab ab a b")
  const named = path.join(folder, "tok.json")
  writeFileSync(named, JSON.stringify(tokenizer))
  const evaluate = (model: string, plan?: string, file?: string) =>
    Tasks.evaluate({
      model,
      data,
      text: { window: 4, tokenizer: file },
      plan,
      recipe: "plain",
      samples: undefined,
      threads: 1
    }).pipe(Effect.provide(Tasks.Progress.layer({ sink: process.stderr, environment: {}, quiet: true })))
  const refusal = (model: string, file?: string) =>
    Effect.runPromise(
      Effect.flip(evaluate(model, undefined, file)).pipe(Effect.map(({ message }) => message))
    )

  it("are refused where bytes would be taken for tokens, or the tokenizer is another model's", async () => {
    expect(await refusal(modelOf(folder, 300))).toContain(
      "has a vocabulary of 300 tokens, which are no bytes"
    )
    expect(await refusal(modelOf(folder, 8), named)).toContain("has 9 tokens, and")
  })

  it("are held against the float network token by token", async () => {
    const { metrics, outputs, agreement } = await Effect.runPromise(
      evaluate(modelOf(folder, 9), "w4.g2", named)
    )
    expect(metrics["perplexity"]!.value).toBeCloseTo(Math.exp(metrics["loss"]!.value), 9)
    expect(metrics["perplexityPerByte"]!.value).toBeLessThan(metrics["perplexity"]!.value)
    const [logits] = outputs!
    expect(logits).toMatchObject({ output: "head", kind: "classes" })
    expect(logits!.distortion.value).toBeGreaterThan(0)
    expect(logits!.distortion999).toBeGreaterThan(logits!.distortion.value)
    expect(logits!.agreement).toEqual(agreement!.withFloat)
  })
})

/** Greedy continuations, against ONNX Runtime on texts that grow token by token. */
import { GraphBuilder, Model, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as ort from "onnxruntime-node"
import { describe, expect, it } from "vitest"
import { Tasks } from "../src/index.ts"

const llama = path.join(import.meta.dirname, "../../runtime/test/goldens/folders/llama")
const into = fs.mkdtempSync(path.join(tmpdir(), "continuations-"))
const at = (name: string) => path.join(into, name)

/** Bytes below 48, which the vocabulary has. */
const text = "(+ - , ./ !) *&% $#\" ' ().+,-/ *"
const data = at("a.txt")
fs.writeFileSync(data, text)
const WINDOW = 12

const evaluate = (more: Partial<Parameters<typeof Tasks.evaluate>[0]>) =>
  Tasks.evaluate({
    model: llama,
    data,
    plan: "w2.g16",
    recipe: "plain",
    text: { window: WINDOW },
    samples: undefined,
    threads: 1,
    continuations: 2,
    ...more
  }).pipe(Effect.provide(Tasks.Progress.layer({ sink: process.stderr, environment: {}, quiet: true })))

/** Greedy decoding with a file of open length: only what has been said goes in. */
const greedy = async (file: string, prompt: string, count: number) => {
  const session = await ort.InferenceSession.create(file)
  const tokens = [...Buffer.from(prompt)]
  for (let i = 0; i < count; i++) {
    const ids = new ort.Tensor("int64", BigInt64Array.from(tokens, BigInt), [1, tokens.length])
    const { logits } = await session.run({ input_ids: ids })
    const last = Array.from((logits!.data as Float32Array).slice(-48))
    tokens.push(last.indexOf(Math.max(...last)))
  }
  return Buffer.from(tokens.slice(prompt.length)).toString("utf8")
}

describe("continuations", () => {
  it("are what greedy decoding of the float network and of the plan's file says", async () => {
    const { graph } = await Effect.runPromise(Model.read(llama, { keepOpen: true }))
    fs.writeFileSync(at("float.onnx"), Model.encode(graph))
    await Effect.runPromise(
      Tasks.quantize({ model: llama, plan: "w2.g16", recipe: "plain", data: undefined, out: at("plan.onnx") })
    )
    const { continuations } = await Effect.runPromise(evaluate({}))
    expect(continuations).toHaveLength(2)
    for (const { float, plan, prompt, same, tokens } of continuations!) {
      expect([text.includes(prompt), prompt.length, tokens]).toEqual([true, WINDOW / 2, WINDOW / 2])
      expect(float).toBe(await greedy(at("float.onnx"), prompt, tokens))
      expect(plan).toBe(await greedy(at("plan.onnx"), prompt, tokens))
      expect(float.slice(0, same)).toBe(plan.slice(0, same))
      if (same < tokens) expect(float[same]).not.toBe(plan[same])
    }
    // Two bits change what is said, the network itself does not.
    expect(continuations!.some(({ same, tokens }) => same < tokens)).toBe(true)
    const itself = await Effect.runPromise(evaluate({ plan: "f32" }))
    expect(itself.continuations!.map(({ same }) => same)).toEqual([WINDOW / 2, WINDOW / 2])
  })

  it("are refused without a plan, and of what sees the tokens to come", async () => {
    const refusal = (more: Parameters<typeof evaluate>[0]) =>
      Effect.runPromise(
        evaluate(more).pipe(
          Effect.flip,
          Effect.map(({ message }) => message)
        )
      )
    expect(await refusal({ plan: undefined })).toContain("--continuations: give a plan too")
    const builder = new GraphBuilder("both-ways")
    const ids = builder.input("input_ids", "int64", [{ batch: 1 }, WINDOW])
    const values = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i + 1))
    const table = builder.constant(Tensor.float32([256, 6], values(256 * 6)), "table")
    const x = builder.add("Gather", [table, ids], { axis: 0 }, { name: "embed" })
    const mean = builder.add("ReduceMean", [x], { axes: [1], keepDims: true }, { name: "mean" })
    const both = builder.add("Add", [x, mean], {}, { name: "both" })
    const w = builder.constant(Tensor.float32([6, 256], values(6 * 256)), "w")
    const logits = builder.add("MatMul", [both, w], {}, { name: "head" })
    fs.writeFileSync(at("both.onnx"), Model.encode(builder.finish([logits])))
    expect(await refusal({ model: at("both.onnx"), plan: "w8" })).toContain("depend on those after it")
  })
})

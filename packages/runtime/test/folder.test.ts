/** Folders of small language models with random weights: logits against transformers' (goldens/folders.py writes both). */
import { Layer, Model } from "@bitbudget/graph"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Session, Value } from "../src/index.ts"
import { run } from "./support/run.ts"

const folders = path.join(import.meta.dirname, "goldens/folders")
const golden = (name: string): { tokens: Array<Array<number>>; logits: Array<Array<Array<number>>> } =>
  JSON.parse(fs.readFileSync(path.join(folders, name, "golden.json"), "utf8"))

const read = (folder: string, options?: Model.ReadOptions) => Effect.runPromise(Model.read(folder, options))
const messageOf = (folder: string) =>
  Effect.runPromise(
    Model.read(folder).pipe(
      Effect.flip,
      Effect.map(({ message }) => message)
    )
  )

const logitsOf = (bytes: Uint8Array, tokens: Array<Array<number>>) =>
  run(
    Effect.scoped(
      Effect.gen(function* () {
        const session = yield* Session.make(bytes, { threads: 1 })
        const shape = [tokens.length, tokens[0]!.length]
        const ids = Value.int64(shape, BigInt64Array.from(tokens.flat(), BigInt))
        return (yield* session.run({ input_ids: ids }))["logits"]!.data
      })
    )
  )

/** A copy of a folder with other files in it. */
const changed = (name: string, files: Readonly<Record<string, string | Uint8Array | undefined>>) => {
  const copy = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "folder-")), "model")
  fs.cpSync(path.join(folders, name), copy, { recursive: true })
  for (const [file, content] of Object.entries(files))
    if (content === undefined) fs.rmSync(path.join(copy, file))
    else fs.writeFileSync(path.join(copy, file), content)
  return copy
}

const config = (name: string, fields: object) => {
  const whole: object = JSON.parse(fs.readFileSync(path.join(folders, name, "config.json"), "utf8"))
  return { "config.json": JSON.stringify({ ...whole, ...fields }) }
}

describe("a model folder", () => {
  it.each(fs.readdirSync(folders))("%s has the logits that transformers gives", async (name) => {
    const { tokens, logits } = golden(name)
    const window = tokens[0]!.length
    for (const options of [{ window }, { keepOpen: true }]) {
      const { graph } = await read(path.join(folders, name), options)
      const found = await logitsOf(Model.encode(graph), tokens)
      const expected = logits.flat(2)
      expect(found.length).toBe(expected.length)
      const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - Number(found[i]))), 0)
      expect(worst).toBeLessThan(1e-4)
    }
  })

  it("has layers of the names that its weights have", async () => {
    const { graph } = await read(path.join(folders, "llama"), { window: 4 })
    const ids = Layer.productsOf(graph).map(({ id }) => id)
    // The table of the tokens is no layer of a network that foretells them.
    expect(Layer.tokenTablesOf(graph).map(({ id }) => id)).toEqual(["model.embed_tokens"])
    expect(Layer.layersOf(graph)).toHaveLength(ids.length)
    expect(ids).toHaveLength(2 * 7 + 1)
    expect(ids.slice(0, 4)).toEqual(["q", "k", "v", "o"].map((p) => `model.layers.0.self_attn.${p}_proj`))
    expect(ids.at(-1)).toBe("lm_head")
  })

  it("refuses what it does not know, and what is damaged, by name", async () => {
    expect(await messageOf(changed("llama", config("llama", { model_type: "mamba" })))).toContain(
      'the architecture "mamba" is not known; known are llama, mistral, qwen2, qwen3, gemma, phi3'
    )
    expect(await messageOf(changed("llama", config("llama", { hidden_size: "wide" })))).toContain(
      "hidden_size"
    )
    expect(await messageOf(changed("llama", config("llama", { intermediate_size: 41 })))).toContain(
      "tensor model.layers.0.mlp.gate_proj.weight is [40, 32], and config.json wants [41, 32]"
    )
    expect(
      await messageOf(
        changed(
          "llama",
          config("llama", { rope_parameters: { rope_type: "yarn", rope_theta: 1e4, factor: 4 } })
        )
      )
    ).toContain('positions of the kind "yarn"')
    expect(await messageOf(changed("llama", { "config.json": undefined }))).toContain("without a config.json")
    expect(await messageOf(changed("llama", { "model.safetensors": undefined }))).toContain(
      "no .safetensors file"
    )
    const whole = fs.readFileSync(path.join(folders, "llama/model.safetensors"))
    const cut = changed("llama", { "model.safetensors": whole.subarray(0, whole.length - 100) })
    expect(await messageOf(cut)).toContain("lies beyond its end")
    const shard = "model-00002-of-00004.safetensors"
    expect(await messageOf(changed("qwen2", { [shard]: undefined }))).toContain(`lacks ${shard}`)
  })
})

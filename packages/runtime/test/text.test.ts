import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { Data, Metrics } from "../src/index.ts"
import { inFolder, messageOf, run } from "./support/run.ts"
import { tokenizer } from "./support/tokenizer.ts"

const files = async (folder: string, name: string, text: string) => {
  const written = { text: join(folder, name), tokenizer: join(folder, "tokenizer.json") }
  await writeFile(written.text, text)
  await writeFile(written.tokenizer, JSON.stringify(tokenizer))
  return written
}

const rows = (data: ArrayLike<number | bigint>, width: number) => {
  const all = Array.from(data, Number)
  return Array.from({ length: all.length / width }, (_, i) => all.slice(i * width, (i + 1) * width))
}

describe("a text through a tokenizer", () => {
  // "ab ab a é b" → ab, Ġab, Ġ, a, Ġ, Ã, ©, Ġ, b.
  const text = "ab ab a é b"
  const tokens = [6, 7, 2, 0, 2, 3, 4, 2, 1]

  it("is windows of its tokens, with the bytes that the predicted ones stand for", () =>
    inFolder(async (folder) => {
      const { text: file, tokenizer } = await files(folder, "a.txt", text)
      const data = await run(Data.open(file, { tokenizer, window: 4 }))
      expect(data.tokens).toMatchObject({ kind: "tokenizer", vocabulary: 9 })
      const { inputs, labels, named } = await run(data.whole!.batch(0, 2))
      expect(rows(inputs.data, 4)).toEqual([tokens.slice(0, 4), tokens.slice(4, 8)])
      expect(rows(labels!.data, 4)).toEqual([tokens.slice(1, 5), tokens.slice(5, 9)])
      // " ab" has 3 bytes; é is two tokens of one byte each.
      expect(labels).toMatchObject({ bytes: Float64Array.of(3 + 1 + 1 + 1, 1 + 1 + 1 + 1) })
      expect(rows(named.get("attention_mask")!.data, 4)[1]).toEqual([1, 1, 1, 1])
      expect(rows(named.get("position_ids")!.data, 4)[1]).toEqual([0, 1, 2, 3])
    }))

  it("of overlapping windows only what is new counts", () =>
    inFolder(async (folder) => {
      const { text: file, tokenizer } = await files(folder, "a.txt", text)
      const { whole } = await run(Data.open(file, { tokenizer, window: 4, stride: 2 }))
      const { inputs, labels } = await run(whole!.batch(0, whole!.size))
      expect(rows(inputs.data, 4)).toEqual([0, 2, 4].map((start) => tokens.slice(start, start + 4)))
      expect(rows(labels!.data, 4)).toEqual([
        [-1, -1, 0, 2],
        [-1, -1, 3, 4],
        [-1, -1, 2, 1]
      ])
      const scores = Metrics.Classification.make(1, 4, 2, true, { scored: 2, bytes: true })
      const logits = Float32Array.of(0, 9, 0, 9, 1, 0, 0, 1)
      Metrics.Classification.score(scores, 0, "logits", logits, 0, Int32Array.of(-1, -1, 0, 0), 0)
      scores.labelled!.bytes![0] = 3
      const nats = Math.log(1 + Math.exp(-1)) + Math.log(1 + Math.E)
      expect(scores.labelled!.loss[0]).toBeCloseTo(nats / 2, 6)
      expect(Metrics.Classification.metrics.top1(scores, scores.labelled!).value).toBe(0.5)
      expect(Metrics.Classification.metrics.bitsPerByte(scores, scores.labelled!)!.value).toBeCloseTo(
        nats / Math.LN2 / 3,
        6
      )
    }))

  it("a stride beyond the window leaves tokens out", () =>
    inFolder(async (folder) => {
      const { text: file, tokenizer } = await files(folder, "a.txt", text)
      const { whole } = await run(Data.open(file, { tokenizer, window: 3, stride: 4 }))
      const { inputs } = await run(whole!.batch(0, whole!.size))
      expect(rows(inputs.data, 3)).toEqual([tokens.slice(0, 3), tokens.slice(4, 7)])
    }))

  it("JSON Lines are documents with an empty line between them", () =>
    inFolder(async (folder) => {
      const { text: file, tokenizer } = await files(folder, "a.jsonl", '{"text":"ab"}\n\n{"text":"a"}\n')
      const { whole } = await run(Data.open(file, { tokenizer, window: 3 }))
      const { inputs } = await run(whole!.batch(0, 1))
      expect(rows(inputs.data, 3)).toEqual([[6, 5, 5]])
      await writeFile(file, '{"text":"ab"}\n{"body":"a"}\n')
      expect(await messageOf(Data.open(file, { tokenizer }))).toBe(
        `${file}, line 2: it has no text "text", only body. Name the field that holds the text in a descriptor: "field"`
      )
    }))

  it("refuses files that are no tokenizers, and texts shorter than a window", () =>
    inFolder(async (folder) => {
      const { text: file, tokenizer } = await files(folder, "a.txt", text)
      expect(await messageOf(Data.open(file, { tokenizer, window: 9 }))).toContain(
        "its 9 tokens do not fill one window of 9 and the token after it"
      )
      await writeFile(tokenizer, '{"vocab":[]}')
      expect(await messageOf(Data.open(file, { tokenizer }))).toContain('it has no "model"')
      await writeFile(tokenizer, '{"model":{"type":"Nothing"}}')
      expect(await messageOf(Data.open(file, { tokenizer }))).toContain(`${tokenizer}: it cannot be used`)
    }))
})

/**
 * A tokenizer file (`tokenizer.json`, Hugging Face's format): text to token numbers, and how many bytes of text each
 * token stands for, which perplexity per byte needs.
 *
 * Special tokens are not added: windows are cut from the middle of texts, and figures of perplexity are compared without
 * them. Bytes of a token follow from its spelling: byte-level vocabularies write one character a byte, those with byte
 * fallback write `<0x0A>`, others write text with a mark for the space (`▁`) or for a continued word (`##`).
 */
import { Tokenizer as Encoder } from "@huggingface/tokenizers"
import { Effect } from "effect"
import { Faults } from "@bitbudget/words"
import * as Blob from "./Blob.ts"
import { DataFailure } from "./DataFailure.ts"

export interface Tokenizer {
  readonly file: string
  /** One more than the largest token number. */
  readonly vocabulary: number
  readonly encode: (text: string) => Int32Array<ArrayBuffer>
  readonly decode: (tokens: ReadonlyArray<number>) => string
  /** Bytes of UTF-8 that each token stands for, by its number; 0 of special tokens. */
  readonly bytes: Int32Array
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** Whether some part of the file's pipeline is of this type. */
const has = (part: unknown, type: string): boolean =>
  Array.isArray(part)
    ? part.some((each) => has(each, type))
    : isObject(part) &&
      (("type" in part && part.type === type) || Object.values(part).some((each) => has(each, type)))

const bytesOf = (spelling: string, byteLevel: boolean): number => {
  if (byteLevel) return Array.from(spelling).length
  if (/^<0x[0-9A-F]{2}>$/.test(spelling)) return 1
  return Buffer.byteLength(spelling.replaceAll("▁", " ").replace(/^##/, ""))
}

export const open = (file: string): Effect.Effect<Tokenizer, DataFailure> =>
  Effect.gen(function* () {
    const failure = (problem: string) =>
      new DataFailure({
        file,
        problem,
        mend: "Give the tokenizer.json that was published with the model"
      })
    const json = Faults.parseJson(Buffer.from(yield* Blob.whole(file)).toString("utf8"))
    if ("why" in json) return yield* failure(`it ${json.why}`)
    const content = json.value
    if (!isObject(content) || !("model" in content) || !isObject(content.model))
      return yield* failure('it has no "model", so it is no tokenizer file')
    const encoder = yield* Effect.try({
      try: () => new Encoder(content, {}),
      catch: (error) =>
        failure(`it cannot be used: ${error instanceof Error ? error.message : String(error)}`)
    })
    const vocabulary = encoder.get_vocab(true)
    let size = 0
    for (const id of vocabulary.values()) size = Math.max(size, id + 1)
    if (size === 0) return yield* failure("its vocabulary is empty")
    const parts = Object.entries(content)
    const byteLevel = parts.some(
      ([name, part]) => /^(pre_tokenizer|decoder)$/.test(name) && has(part, "ByteLevel")
    )
    const bytes = new Int32Array(size)
    for (const [spelling, id] of vocabulary) bytes[id] = bytesOf(spelling, byteLevel)
    for (const [id, added] of encoder.get_added_tokens_decoder())
      bytes[id] = added.special ? 0 : Buffer.byteLength(added.content)
    return {
      file,
      vocabulary: size,
      encode: (text) => Int32Array.from(encoder.encode(text, { add_special_tokens: false }).ids),
      decode: (tokens) => encoder.decode([...tokens]),
      bytes
    }
  })

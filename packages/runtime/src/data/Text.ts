/**
 * Text for language models: tokens in, the following token as the label of each.
 *
 * Window k begins at token k·S (the stride, T when absent) and predicts the T tokens after its first. With S = T every
 * token but the first is predicted once and none twice; what is left at the end is dropped. With S < T windows overlap:
 * only the last S predictions of each count, the others give them context. `rows`: the file is rows of T+1 tokens,
 * sampled elsewhere. A token is a byte, a character through a map, or what a tokenizer file makes of the text.
 */
import { Effect } from "effect"
import { Faults } from "@bitbudget/words"
import * as Blob from "./Blob.ts"
import { DataFailure } from "./DataFailure.ts"
import type { SourceOf } from "./Descriptor.ts"
import { IGNORED } from "./Source.ts"
import type { Source, Tokens } from "./Source.ts"
import * as Tokenizer from "./Tokenizer.ts"

/** Inputs by which exporters of language models name what follows from the window alone. */
const named = [
  { name: "input_ids", fill: undefined },
  { name: "attention_mask", fill: () => 1n },
  { name: "position_ids", fill: (t: number) => BigInt(t) },
  { name: "token_type_ids", fill: () => 0n }
] as const

/** What stands between the documents of a JSON Lines file, as perplexities of document collections are usually taken. */
const BETWEEN_DOCUMENTS = "\n\n"

const utf8 = (file: string, bytes: Uint8Array): Effect.Effect<string, DataFailure> =>
  Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () =>
      new DataFailure({
        file,
        problem: "it is not UTF-8, which tokens of text need",
        mend: "Convert the file to UTF-8"
      })
  })

/** The documents of a JSON Lines file: one field of every line. */
const documentsOf = (
  file: string,
  text: string,
  field: string
): Effect.Effect<ReadonlyArray<string>, DataFailure> =>
  Effect.gen(function* () {
    const documents: Array<string> = []
    for (const [i, line] of text.split("\n").entries()) {
      if (line.trim() === "") continue
      const failure = (problem: string, mend: string) =>
        new DataFailure({ file, at: `line ${i + 1}`, problem, mend })
      const json = Faults.parseJson(line)
      if ("why" in json) return yield* failure(`it ${json.why}`, "Every line is one JSON object")
      const fields = new Map(
        typeof json.value === "object" && json.value !== null ? Object.entries(json.value) : []
      )
      const document: unknown = fields.get(field)
      if (typeof document !== "string")
        return yield* failure(
          `it has no text "${field}", only ${[...fields.keys()].join(", ") || "no fields"}`,
          'Name the field that holds the text in a descriptor: "field"'
        )
      documents.push(document)
    }
    return documents
  })

/** The tokens of a text through a map of characters. */
const mapped = (
  spec: SourceOf<"text">,
  text: string,
  tokens: Readonly<Record<string, number>>
): Effect.Effect<Int32Array<ArrayBuffer>, DataFailure> =>
  Effect.gen(function* () {
    const result: Array<number> = []
    let line = 1
    for (const character of text) {
      const token = tokens[character] ?? spec.unknown
      if (token === undefined)
        return yield* new DataFailure({
          file: spec.file,
          at: `line ${line}`,
          problem: `the character ${JSON.stringify(character)} is not in the token map`,
          mend: "Add it to `tokens`, or name a token for such characters in `unknown`"
        })
      if (character === "\n") line++
      result.push(token)
    }
    return Int32Array.from(result)
  })

interface Tokenised {
  readonly tokens: Uint8Array | Int32Array
  readonly by: Tokens
  /** Bytes of text a token stands for; undefined where a map's characters are not told apart any more. */
  readonly bytesOf: ((token: number) => number) | undefined
}

const tokenise = (spec: SourceOf<"text">): Effect.Effect<Tokenised, DataFailure> =>
  Effect.gen(function* () {
    const { file, field, tokens: map, tokenizer } = spec
    const blob = yield* Blob.open(file)
    const bytes = yield* blob.read([{ offset: 0, length: blob.bytes }])
    const text =
      field === undefined
        ? Effect.suspend(() => utf8(file, bytes))
        : Effect.map(
            Effect.flatMap(utf8(file, bytes), (lines) => documentsOf(file, lines, field)),
            (documents) => documents.join(BETWEEN_DOCUMENTS)
          )
    if (tokenizer !== undefined) {
      const found = yield* Tokenizer.open(tokenizer)
      return {
        tokens: found.encode(yield* text),
        by: { kind: "tokenizer", file: tokenizer, vocabulary: found.vocabulary },
        bytesOf: (token) => found.bytes[token]!
      }
    }
    if (map !== undefined && map !== "bytes") {
      const tokens = yield* mapped(spec, yield* text, map)
      return {
        tokens,
        by: { kind: "map", vocabulary: tokens.reduce((most, token) => Math.max(most, token + 1), 0) },
        bytesOf: undefined
      }
    }
    // Bytes stay bytes: the text is held once, and widened a batch at a time.
    const tokens = field === undefined ? bytes : new TextEncoder().encode(yield* text)
    return { tokens, by: { kind: "bytes", vocabulary: 256, stated: map === "bytes" }, bytesOf: () => 1 }
  })

export const open = (spec: SourceOf<"text">): Effect.Effect<Source, DataFailure> =>
  Effect.gen(function* () {
    const { file, window } = spec
    const { tokens, by, bytesOf } = yield* tokenise(spec)
    const rows = spec.layout === "rows"
    const stride = rows ? window + 1 : (spec.stride ?? window)
    if (rows && tokens.length % stride !== 0)
      return yield* new DataFailure({
        file,
        problem: `its ${tokens.length} tokens are no whole number of rows of ${stride} (window + 1)`,
        mend: 'Fix the window, or use "layout": "windows"'
      })
    const size = Math.floor((tokens.length - 1 - window) / stride) + 1
    if (size < 1)
      return yield* new DataFailure({
        file,
        problem: `its ${tokens.length} tokens do not fill one window of ${window} and the token after it`,
        mend: "Give a longer text or a shorter window"
      })
    const scored = Math.min(window, stride)
    return {
      file,
      size,
      dtype: "int64",
      shape: [window],
      layout: undefined,
      labels: { kind: "classes", shape: [window], scored, bytes: bytesOf !== undefined },
      tokens: by,
      named: named.map(({ name }) => ({ name, dtype: "int64", shape: [window] })),
      read: (samples) =>
        Effect.sync(() => {
          const inputs = new BigInt64Array(samples.length * window)
          const labels = new Int32Array(samples.length * window).fill(IGNORED)
          const bytes = new Float64Array(samples.length)
          samples.forEach((sample, i) => {
            for (let t = 0; t < window; t++) {
              inputs[i * window + t] = BigInt(tokens[sample * stride + t]!)
              if (t < window - scored) continue
              const label = tokens[sample * stride + t + 1]!
              labels[i * window + t] = label
              if (bytesOf !== undefined) bytes[i]! += bytesOf(label)
            }
          })
          return {
            inputs,
            named: named.map(({ fill }) =>
              fill === undefined ? inputs : BigInt64Array.from(inputs, (_, i) => fill(i % window))
            ),
            labels: {
              kind: "classes",
              shape: [window],
              data: labels,
              ...(bytesOf === undefined ? {} : { bytes })
            }
          }
        })
    }
  })

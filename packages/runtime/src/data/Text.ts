/**
 * Text for language models: tokens in, the following token as the label of each.
 *
 * `windows`: token t of the text is in window ⌊t/T⌋, window k predicts tokens kT+1 … kT+T, so every token
 * but the first is predicted once and none twice; what is left at the end is dropped. `rows`: the file is
 * rows of T+1 tokens, sampled elsewhere. A token is a byte, or a character through a map; for subword
 * vocabularies give int64 `.npy` arrays instead.
 */
import { Effect } from "effect"
import * as Blob from "./Blob.ts"
import { DataFailure } from "./DataFailure.ts"
import type { SourceOf } from "./Descriptor.ts"
import type { Source } from "./Source.ts"

/** The tokens of a UTF-8 text through a map of characters. */
const mapped = (
  spec: SourceOf<"text">,
  bytes: Uint8Array,
  tokens: Readonly<Record<string, number>>
): Effect.Effect<Int32Array<ArrayBuffer>, DataFailure> =>
  Effect.gen(function* () {
    const text = yield* Effect.try({
      try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
      catch: () =>
        new DataFailure({
          file: spec.file,
          problem: "it is not UTF-8, which a token map needs",
          mend: "Convert the file, or drop `tokens` to read bytes"
        })
    })
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

export const open = (spec: SourceOf<"text">): Effect.Effect<Source, DataFailure> =>
  Effect.gen(function* () {
    const { file, window } = spec
    const blob = yield* Blob.open(file)
    const bytes = yield* blob.read([{ offset: 0, length: blob.bytes }])
    // Bytes stay bytes: the text is held once, and widened a batch at a time.
    const tokens = spec.tokens === undefined ? bytes : yield* mapped(spec, bytes, spec.tokens)
    const rows = spec.layout === "rows"
    const stride = rows ? window + 1 : window
    if (rows && tokens.length % stride !== 0)
      return yield* new DataFailure({
        file,
        problem: `its ${tokens.length} tokens are no whole number of rows of ${stride} (window + 1)`,
        mend: 'Fix the window, or use "layout": "windows"'
      })
    const size = Math.floor(rows ? tokens.length / stride : (tokens.length - 1) / window)
    if (size < 1)
      return yield* new DataFailure({
        file,
        problem: `its ${tokens.length} tokens do not fill one window of ${window} and the token after it`,
        mend: "Give a longer text or a shorter window"
      })
    return {
      file,
      size,
      dtype: "int64",
      shape: [window],
      layout: undefined,
      labels: { kind: "classes", shape: [window] },
      read: (samples) =>
        Effect.sync(() => {
          const inputs = new BigInt64Array(samples.length * window)
          const labels = new Int32Array(samples.length * window)
          samples.forEach((sample, i) => {
            for (let t = 0; t < window; t++) {
              inputs[i * window + t] = BigInt(tokens[sample * stride + t]!)
              labels[i * window + t] = tokens[sample * stride + t + 1]!
            }
          })
          return { inputs, labels: { kind: "classes", shape: [window], data: labels } }
        })
    }
  })

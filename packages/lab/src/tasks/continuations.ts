/**
 * What a language model goes on to say, the float network and a plan's side by side: the first half of a window, and greedily,
 * token by token, as many tokens as the other half has. Every step runs the whole window with nothing behind the last token,
 * which a network that looks back only does not see.
 */
import { type Data, Session, Tokenizer, type Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import type { EvaluateResult } from "../results/network.ts"

interface Asked {
  readonly split: Data.Split
  readonly tokens: Data.Tokens
  /** How many windows, the first of the split. */
  readonly count: number
  /** The scores of the next token, [windows, tokens, vocabulary]. */
  readonly output: string
  readonly threads: number | undefined
}

type Continuation = NonNullable<EvaluateResult["continuations"]>[number]

/** Logits that differ by more were computed of other tokens. */
const SAME = 1e-3

const like = (inputs: Value.Value, tokens: ReadonlyArray<number>): Value.Value => {
  const { data } = inputs
  const filled = data instanceof BigInt64Array ? BigInt64Array.from(tokens, BigInt) : Int32Array.from(tokens)
  return { ...inputs, data: filled } as Value.Value
}

const scoresAt = ({ data, shape }: Value.Value, row: number, position: number): Float32Array => {
  const [, window, classes] = shape as [number, number, number]
  const from = (row * window + position) * classes
  return data.subarray(from, from + classes) as Float32Array
}

/** The first of the highest scores; undefined where one is no number. */
const highest = (scores: Float32Array): number | undefined => {
  let best = 0
  for (let i = 0; i < scores.length; i++) {
    if (Number.isNaN(scores[i]!)) return undefined
    if (scores[i]! > scores[best]!) best = i
  }
  return best
}

/** The tokens with everything from `prompt` on chosen by the network. */
const continued = Effect.fn(function* (
  network: Uint8Array,
  inputs: Value.Value,
  prompt: number,
  { output, threads }: Asked
) {
  const session = yield* Session.make(network, threads === undefined ? {} : { threads })
  const [port] = session.inputs
  if (port === undefined || session.inputs.length > 1)
    return yield* new UnusableRequest({
      why: `--continuations: the network has ${session.inputs.length} inputs, and a text is one; leave it out`
    })
  const [rows, window] = inputs.shape as [number, number]
  const run = (tokens: ReadonlyArray<number>) =>
    Effect.map(session.run({ [port.name]: like(inputs, tokens) }, [output]), (results) => results[output]!)
  const given = Array.from(inputs.data as BigInt64Array, Number)
  const tokens = given.map((token, i) => (i % window < prompt ? token : 0))
  const seen = scoresAt(yield* run(given), 0, prompt - 1)
  for (let at = prompt; at < window; at++) {
    const logits = yield* run(tokens)
    if (at === prompt && scoresAt(logits, 0, at - 1).some((score, i) => Math.abs(score - seen[i]!) > SAME))
      return yield* new UnusableRequest({
        why: "--continuations: the network's scores of a token depend on those after it, so it continues no text; leave it out"
      })
    for (let row = 0; row < rows; row++) {
      const token = highest(scoresAt(logits, row, at - 1))
      if (token === undefined)
        return yield* new UnusableRequest({
          why: "--continuations: the network gives scores that are no numbers, and nothing can be chosen by them"
        })
      tokens[row * window + at] = token
    }
  }
  return tokens
})

/** Text of tokens: by their tokenizer, or bytes. */
const spelling = (tokens: Data.Tokens) =>
  tokens.kind === "tokenizer"
    ? Effect.map(Tokenizer.open(tokens.file), ({ decode }) => decode)
    : Effect.succeed((bytes: ReadonlyArray<number>) => Buffer.from(bytes).toString("utf8"))

export const continuationsOf = Effect.fn("continuations")(function* (
  float: Uint8Array,
  planned: Uint8Array,
  asked: Asked
): Effect.fn.Return<ReadonlyArray<Continuation>, RequestFailure> {
  const count = Math.min(asked.count, asked.split.size)
  const { inputs } = yield* asked.split.batch(0, count)
  const window = inputs.shape[1]!
  const prompt = Math.floor(window / 2)
  if (prompt === 0)
    return yield* new UnusableRequest({
      why: "--continuations: a window of one token has nothing to continue"
    })
  const byFloat = yield* Effect.scoped(continued(float, inputs, prompt, asked))
  const byPlan = yield* Effect.scoped(continued(planned, inputs, prompt, asked))
  const text = yield* spelling(asked.tokens)
  const given = Array.from(inputs.data as BigInt64Array, Number)
  return Array.from({ length: count }, (_, row) => {
    const part = (tokens: ReadonlyArray<number>, from: number, to: number) =>
      tokens.slice(row * window + from, row * window + to)
    const [one, other] = [part(byFloat, prompt, window), part(byPlan, prompt, window)]
    const differs = one.findIndex((token, i) => token !== other[i])
    return {
      prompt: text(part(given, 0, prompt)),
      float: text(one),
      plan: text(other),
      tokens: one.length,
      same: differs < 0 ? one.length : differs
    }
  })
})

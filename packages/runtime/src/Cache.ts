/**
 * Key-value caches of language models: what a run leaves in `present.*` is what the next one is fed as `past_key_values.*`, so
 * that a token is computed once. A window of text begins with empty ones.
 */
import { Caches } from "@bitbudget/graph"
import { Effect } from "effect"
import type { Port, RuntimeFailure, Session } from "./Session.ts"
import * as Value from "./Value.ts"

export interface Cache {
  /** [batch, heads, past, width], or in another order of axes. */
  readonly past: Port
  /** Name of the output. */
  readonly present: string
}

export const cachesOf = ({ inputs, outputs }: Pick<Session, "inputs" | "outputs">): ReadonlyArray<Cache> => {
  const ports = new Map(inputs.map((port) => [port.name, port]))
  return Caches.pairs(
    inputs.map(({ name }) => name),
    outputs.map(({ name }) => name)
  ).map(({ past, present }) => ({ past: ports.get(past)!, present }))
}

export type Feeds = Readonly<Record<string, Value.Value>>

/** Nothing cached, for `rows` samples: every open length but the batch is 0. */
export const empty = (caches: ReadonlyArray<Cache>, rows: number): Feeds =>
  Object.fromEntries(
    caches.map(({ past: { name, dtype, shape } }) => {
      if (!Value.isDType(dtype)) throw new Error(`the cache ${name} holds ${dtype}`)
      const sizes = shape.map((dim, i) => (i === 0 ? rows : typeof dim === "number" && dim > 0 ? dim : 0))
      const count = sizes.reduce((a, b) => a * b, 1)
      return [name, Value.make(dtype, sizes, Value.zeros(dtype, count))]
    })
  )

/** What exporters of language models call what follows from the tokens' number. */
const besides = (rows: number, from: number, count: number): Feeds => ({
  attention_mask: Value.int64([rows, from + count], new BigInt64Array(rows * (from + count)).fill(1n)),
  position_ids: Value.int64(
    [rows, count],
    BigInt64Array.from({ length: rows * count }, (_, i) => BigInt(from + (i % count)))
  )
})

export interface Decoder {
  /**
   * Reads `count` more tokens of every row, [rows, count] row-major, and gives the output for them, such as logits
   * [rows, count, vocabulary].
   */
  readonly read: (tokens: BigInt64Array, count: number) => Effect.Effect<Value.Value, RuntimeFailure>
}

/** Reads texts piece by piece, with the state fed along. `output` is the session's first that is no cache. */
export const decoder = (session: Session, rows: number): Decoder => {
  const caches = cachesOf(session)
  const presents = new Set(caches.map(({ present }) => present))
  const output = session.outputs.find(({ name }) => !presents.has(name))!.name
  let [state, read] = [empty(caches, rows), 0]
  return {
    read: (tokens, count) => {
      const named: Feeds = {
        ...besides(rows, read, count),
        input_ids: Value.int64([rows, count], tokens),
        ...state
      }
      const feeds = Object.fromEntries(session.inputs.map(({ name }) => [name, named[name]!] as const))
      return Effect.map(session.run(feeds), (results) => {
        state = Object.fromEntries(caches.map(({ past, present }) => [past.name, results[present]!]))
        read += count
        return results[output]!
      })
    }
  }
}

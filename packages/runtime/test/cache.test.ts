/** Caches of keys and values: known by their names, empty at a window's beginning, fed along where a text is read in pieces. */
import { Model, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { expect, it } from "vitest"
import { file, INT64, info, op } from "../../graph/test/onnx.ts"
import { Cache, Session, Value } from "../src/index.ts"
import { run } from "./support/run.ts"

const ids = [2, 3, 5, 7]

/** Each token times the sum of all tokens that are kept, itself included. */
const sums = () =>
  file({
    nodes: [
      op("Cast", ["input_ids"], ["floats"], { to: { int: 1 } }),
      op("Unsqueeze", ["floats", "axes"], ["x"]),
      op("Concat", ["past_key_values.0.key", "x"], ["present.0.key"], { axis: { int: 2 } }),
      op("ReduceSum", ["present.0.key", "tokens_axis"], ["sum"], { keepdims: { int: 1 } }),
      op("Mul", ["x", "sum"], ["logits"])
    ],
    inputs: [
      info("input_ids", ["batch", "tokens"], INT64),
      info("past_key_values.0.key", ["batch", 1, "past", 1])
    ],
    outputs: [info("logits", ["batch", 1, "tokens", 1]), info("present.0.key", ["batch", 1, "total", 1])],
    constants: {
      axes: Tensor.int64([2], [1, 3]),
      tokens_axis: Tensor.int64([1], [2])
    }
  })

const numbers = ({ data }: Value.Value) => Array.from(data, Number)

it("reads token by token with what was kept: by hand, and beside a prompt read at once", async () => {
  const found = await run(
    Effect.scoped(
      Effect.gen(function* () {
        const session = yield* Session.make(sums())
        const [one, two] = [Cache.decoder(session, 1), Cache.decoder(session, 1)]
        const single: Array<number> = []
        for (const id of ids) single.push(...numbers(yield* one.read(BigInt64Array.of(BigInt(id)), 1)))
        const prompt = numbers(yield* two.read(BigInt64Array.of(2n, 3n, 5n), 3))
        return { single, prompt, last: numbers(yield* two.read(BigInt64Array.of(7n), 1)) }
      })
    )
  )
  // 2·2, 3·(2+3), 5·(2+3+5), 7·17.
  expect(found).toEqual({ single: [4, 15, 50, 119], prompt: [20, 30, 50], last: [119] })
})

it("a window is read with nothing before it: no inputs or outputs of caches, and no length of the past", async () => {
  const read = await run(Model.decode(sums(), "sums.onnx", { window: 4 }))
  expect(read.graph.inputs.map(({ name }) => name)).toEqual(["input_ids"])
  expect(read.graph.outputs).toEqual(["logits"])
  const results = await run(
    Effect.scoped(
      Effect.gen(function* () {
        const session = yield* Session.make(Model.encode(read.graph))
        const tokens = Value.int64([1, 4], BigInt64Array.from(ids, BigInt))
        return yield* session.run({ input_ids: tokens })
      })
    )
  )
  expect(numbers(results["logits"]!)).toEqual([34, 51, 85, 119])
  // A length that is given is one of a cache with something in it.
  const dims = new Map([["past", 9]])
  const costed = await run(Model.decode(sums(), "sums.onnx", { window: 4, dims }))
  expect(costed.graph.inputs.map(({ name }) => name)).toEqual(["input_ids", "past_key_values.0.key"])
})

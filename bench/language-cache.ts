/**
 * Decoding with a cache against whole sequences: the largest difference of any logit, for the float network and for one written
 * with ONNX Runtime's `MatMulNBits`.
 *
 * The folder holds `llama.onnx`, `llama_cache.onnx`, `test.txt` and `hf/tokenizer.json`. The status is 1 where a logit is more than
 * 1e-3 off, or a token of a written file with a cache differs from the simulation's in more than 0.1 % of positions.
 *
 * `node bench/language-cache.ts FOLDER [--windows 8] [--plan w4.g32]`
 */
import { Model } from "@bitbudget/graph"
import { Choice, FakeQuant, PackNBits, PlanFile, QuantizedNetwork } from "@bitbudget/quant"
import { Cache, Data, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as path from "node:path"
import { parseArgs } from "node:util"

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  options: { windows: { type: "string", default: "8" }, plan: { type: "string", default: "w4.g32" } }
})
const [folder] = positionals
if (folder === undefined) throw new Error("name the folder of the model")
const [window, rows] = [128, Number(flags.windows)]
const TOLERANCE = 1e-3

const logitsOf = ({ data }: Value.Value): Float32Array => {
  if (!(data instanceof Float32Array)) throw new Error("logits are float32")
  return data
}

const program = Effect.gen(function* () {
  const at = (file: string) => path.join(folder, file)
  const whole = (yield* Model.read(at("llama.onnx"), { window })).graph
  const cached = yield* Model.read(at("llama_cache.onnx"), { keepOpen: true })
  const split = (yield* Data.open(at("test.txt"), { tokenizer: at("hf/tokenizer.json"), window })).whole!
  const { inputs } = yield* split.batch(0, rows)
  const tokens = inputs.data as BigInt64Array

  /** All windows at once. */
  const atOnce = (bytes: Uint8Array) =>
    Effect.gen(function* () {
      const session = yield* Session.make(bytes, { name: "whole sequence" })
      const results = yield* session.run({ [session.inputs[0]!.name]: inputs })
      return logitsOf(results[session.outputs[0]!.name]!)
    })

  /** A prompt of half a window, then token by token. */
  const stepwise = (bytes: Uint8Array) =>
    Effect.gen(function* () {
      const session = yield* Session.make(bytes, { name: "with cache" })
      const decoder = Cache.decoder(session, rows)
      const classes = whole.values.get(whole.outputs[0]!)!.shape.at(-1)! as number
      const logits = new Float32Array(rows * window * classes)
      for (let from = 0; from < window;) {
        const count = from === 0 ? window / 2 : 1
        const piece = BigInt64Array.from(
          { length: rows * count },
          (_, i) => tokens[Math.floor(i / count) * window + from + (i % count)]!
        )
        const found = logitsOf(yield* decoder.read(piece, count))
        for (let row = 0; row < rows; row++)
          logits.set(
            found.subarray(row * count * classes, (row + 1) * count * classes),
            (row * window + from) * classes
          )
        from += count
      }
      return { logits, classes }
    })

  const against = (name: string, wanted: Float32Array, bytes: Uint8Array) =>
    Effect.gen(function* () {
      const { logits, classes } = yield* stepwise(bytes)
      let [largest, differing] = [0, 0]
      const top = (of: Float32Array, row: number) => {
        let best = row * classes
        for (let c = best; c < (row + 1) * classes; c++) if (of[c]! > of[best]!) best = c
        return best
      }
      for (let i = 0; i < logits.length; i++) largest = Math.max(largest, Math.abs(logits[i]! - wanted[i]!))
      for (let row = 0; row < rows * window; row++) if (top(logits, row) !== top(wanted, row)) differing++
      const share = differing / rows / window
      if (largest > TOLERANCE || share > 1e-3) process.exitCode = 1
      console.log(
        `| ${name} | ${largest.toExponential(2)} | ${(100 - 100 * share).toFixed(2)} % of ${rows * window} |`
      )
    })

  console.log("| file with a cache | largest difference of a logit | same top token |\n|---|---|---|")
  yield* against("float", yield* atOnce(Model.encode(whole)), Model.encode(cached.graph, "file"))
  const choice = Choice.parse(flags.plan)
  if (choice === undefined) throw new Error(`"${flags.plan}" is not a format`)
  const planned = (graph: typeof whole) =>
    QuantizedNetwork.plain(graph, PlanFile.uniform(graph, choice), new Map())
  const simulated = yield* atOnce(Model.encode(FakeQuant.simulate(planned(whole))))
  yield* against(`${flags.plan} in MatMulNBits`, simulated, PackNBits.write(planned(cached.graph)))
})

await Effect.runPromise(Effect.scoped(program))

/**
 * Plain rounding of a language model beside another implementation's figures for the same windows of the same text.
 *
 * The folder holds `llama.onnx`, `test.txt`, `hf/tokenizer.json` and `reference.json`: rows of plan, perplexity, bitsPerByte,
 * klMean, kl999 and sameTop, made with PyTorch. The status is 1 where a figure is more than 0.1 % off.
 *
 * `node bench/language.ts FOLDER [--plans w4,w4.g32]`
 */
import { Model } from "@bitbudget/graph"
import { Choice, FakeQuant, PlanFile, QuantizedNetwork } from "@bitbudget/quant"
import { Compare, Data, Evaluate, Tokenizer } from "@bitbudget/runtime"
import { Effect, Schema } from "effect"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { parseArgs } from "node:util"

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  options: { plans: { type: "string" } }
})
const [folder] = positionals
if (folder === undefined) throw new Error("name the folder of the model")

/** Largest relative difference that counts as the same figure. */
const TOLERANCE = 1e-3

const Reference = Schema.Struct({
  tokensPerWindow: Schema.Finite,
  rows: Schema.Array(
    Schema.Struct({
      plan: Schema.String,
      perplexity: Schema.Finite,
      bitsPerByte: Schema.Finite,
      klMean: Schema.Finite,
      kl999: Schema.Finite,
      sameTop: Schema.Finite
    })
  )
})
type Row = (typeof Reference.Type)["rows"][number]

/** `w4.g32 asymmetric` as the id of a format. */
const idOf = (plan: string): string =>
  plan.replace(" per channel", "").replace(" symmetric", "").replace(" asymmetric", ".asym")

const figures = ["perplexity", "bitsPerByte", "klMean", "kl999", "sameTop"] as const

/**
 * Bytes of all tokens of the windows, which is what the reference divides by; ours are those of the predicted tokens, so
 * without the first of each window, which nothing predicts.
 */
const bytesOfWindows = (split: Data.Split, bytes: Int32Array) =>
  Effect.gen(function* () {
    let sum = 0
    for (let i = 0; i < split.size; i++) {
      const { inputs, labels } = yield* split.batch(i, i + 1)
      for (const token of [inputs.data[0]!, ...labels!.data]) sum += bytes[Number(token)]!
    }
    return sum
  })

const rowOf = (graph: Model.Model["graph"], split: Data.Split, windowBytes: number, plan: string) =>
  Effect.gen(function* () {
    const choice = plan === "f32" ? undefined : Choice.parse(idOf(plan))
    if (choice === undefined && plan !== "f32") throw new Error(`"${plan}" is no format`)
    const planned =
      choice === undefined
        ? graph
        : FakeQuant.simulate(QuantizedNetwork.plain(graph, PlanFile.uniform(graph, choice), new Map()))
    const { metrics } = yield* Evaluate.run(Model.encode(planned), split)
    const [output] = graph.outputs
    const { outputs } = yield* Compare.run(Model.encode(graph), Model.encode(planned), split, {
      outputs: { [output!]: { kind: "classes", axis: 2 } }
    })
    const { distortion, distortion999, agreement } = outputs[0]!
    const row: Row = {
      plan,
      perplexity: metrics.perplexity!.value,
      bitsPerByte: (metrics.bitsPerToken!.value * split.size * split.inputShape[0]!) / windowBytes,
      klMean: distortion.value,
      kl999: distortion999!,
      sameTop: agreement!.value
    }
    return row
  })

const program = Effect.gen(function* () {
  const json: unknown = JSON.parse(readFileSync(path.join(folder, "reference.json"), "utf8"))
  const reference = yield* Schema.decodeUnknownEffect(Reference)(json)
  const window = reference.tokensPerWindow
  const { graph } = yield* Model.read(path.join(folder, "llama.onnx"), { window })
  const { whole } = yield* Data.open(path.join(folder, "test.txt"), {
    tokenizer: path.join(folder, "hf/tokenizer.json"),
    window,
    stride: window + 1
  })
  const { bytes } = yield* Tokenizer.open(path.join(folder, "hf/tokenizer.json"))
  const windowBytes = yield* bytesOfWindows(whole!, bytes)
  const wanted = flags.plans?.split(",")
  console.log(`| plan | ${figures.map((figure) => `${figure} | PyTorch`).join(" | ")} |`)
  console.log(`|---|${figures.map(() => "---|---|").join("")}`)
  for (const expected of reference.rows) {
    if (wanted !== undefined && !wanted.includes(idOf(expected.plan))) continue
    const row = yield* rowOf(graph, whole!, windowBytes, expected.plan)
    const cells = figures.map((figure) => {
      const [own, other] = [row[figure], expected[figure]]
      const off = Math.abs(own - other) > TOLERANCE * Math.abs(other) + 1e-9
      if (off) process.exitCode = 1
      return `${own.toPrecision(6)}${off ? " !" : ""} | ${other.toPrecision(6)}`
    })
    console.log(`| ${idOf(expected.plan)} | ${cells.join(" | ")} |`)
  }
})

await Effect.runPromise(program)

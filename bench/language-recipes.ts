/**
 * What recipes make of few bits on a language model: perplexity above float, per format and recipe, on text nothing was learned
 * from, calibrated on other text.
 *
 * The folder holds `llama.onnx`, `calib.txt`, `test.txt` and `hf/tokenizer.json`.
 *
 * `node bench/language-recipes.ts FOLDER [--plans w4.g32,w3.g32] [--recipes plain,best] [--calibration 64] [--windows 417]`
 */
import { Model } from "@bitbudget/graph"
import { Choice, FakeQuant, PlanFile, Recipe } from "@bitbudget/quant"
import { Data, Evaluate } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { calibrationOf } from "./quantizers/calibration.ts"

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    plans: { type: "string", default: "w4.g32,w4.g32.asym,w3.g32,w3.g32.asym,w2.g16,w2.g16.asym" },
    recipes: { type: "string", default: "plain,fast,best" },
    calibration: { type: "string", default: "128" },
    divergence: { type: "boolean", default: true },
    windows: { type: "string", default: "417" }
  }
})
const [folder] = positionals
if (folder === undefined) throw new Error("name the folder of the model")
const window = 128

const program = Effect.gen(function* () {
  const { graph } = yield* Model.read(path.join(folder, "llama.onnx"), { window })
  const text = (name: string, stride: number) =>
    Data.open(path.join(folder, name), { tokenizer: path.join(folder, "hf/tokenizer.json"), window, stride })
  const test = (yield* text("test.txt", window + 1)).whole!
  const calibration = yield* calibrationOf((yield* text("calib.txt", window)).whole!, {
    samples: Number(flags.calibration),
    batchSize: 16,
    ...(flags.divergence ? { classAxis: 1 } : {})
  })
  const perplexityOf = (measured: typeof graph) =>
    Effect.map(
      Evaluate.run(Model.encode(measured), test, { limit: Number(flags.windows), metrics: ["perplexity"] }),
      ({ metrics }) => metrics.perplexity!.value
    )
  const float = yield* perplexityOf(graph)
  console.log("| format | recipe | perplexity | above float | s |\n|---|---|---|---|---|")
  console.log(`| f32 | | ${float.toFixed(4)} | | |`)
  for (const plan of flags.plans.split(","))
    for (const recipe of flags.recipes.split(",").filter(Recipe.isRecipe)) {
      const choice = Choice.parse(plan)
      if (choice === undefined) throw new Error(`"${plan}" is not a format`)
      const start = performance.now()
      const { network, steps } = yield* Recipe.cook(
        recipe,
        graph,
        PlanFile.uniform(graph, choice),
        calibration
      )
      const seconds = (performance.now() - start) / 1000
      const perplexity = yield* perplexityOf(FakeQuant.simulate(network))
      const above = `${(100 * (perplexity / float - 1)).toFixed(2)} %`
      console.log(`| ${plan} | ${recipe} | ${perplexity.toFixed(4)} | +${above} | ${seconds.toFixed(1)} |`)
      for (const step of steps) console.log(`  ${Recipe.show(step)}`)
    }
})

await Effect.runPromise(program)

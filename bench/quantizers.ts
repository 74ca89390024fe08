/**
 * What each recipe makes of the same plan: one row a network, format and recipe, measured by simulation.
 *
 * Calibrated on the calibration split (training data). `--split sensitivity` measures on other training data, for
 * choosing defaults; `--split test`, the default, on data nothing was chosen on. Differences to plain rounding are paired.
 *
 * `node bench/quantizers.ts [--networks resnet8,dscnn,chargpt] [--choices w4a8,w3a8] [--recipes plain,fast,best]`
 */
import { Model } from "@bitbudget/graph"
import { Choice, FakeQuant, PlanFile, Recipe } from "@bitbudget/quant"
import { Data, Evaluate, Metrics } from "@bitbudget/runtime"
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { calibrationOf } from "./quantizers/calibration.ts"

const { values: flags } = parseArgs({
  options: {
    networks: { type: "string", default: "resnet8,dscnn,chargpt" },
    choices: { type: "string", default: "w8a8,w4a8,w3a8,w2a8,w8a4" },
    recipes: { type: "string", default: "plain,fast,best" },
    split: { type: "string", default: "test" },
    steps: { type: "boolean", default: false }
  }
})

const here = (path: string) => new URL(`../experiments/${path}`, import.meta.url).pathname
const images = { data: here("data/fashion-mnist/fashion-mnist.json"), batchSize: 64, limit: 10_000 }
const text = { data: here("data/kjv/kjv.json"), batchSize: 8, limit: 256 }
const settings = { resnet8: images, dscnn: images, chargpt: text }

const splitName = flags.split === "sensitivity" ? "sensitivity" : "test"

const rowsOf = (name: keyof typeof settings) =>
  Effect.gen(function* () {
    const { data, batchSize, limit } = settings[name]
    const { graph } = yield* Model.read(here(`models/${name}.onnx`))
    const dataset = yield* Data.open(data)
    const split = yield* dataset.split(splitName)
    const calibration = yield* calibrationOf(yield* dataset.split("calibration"), { samples: 512, batchSize })
    const measure = (bytes: Uint8Array) => Evaluate.run(bytes, split, { limit })
    const float = yield* measure(Model.encode(graph))
    const show = ({ metrics }: Evaluate.Evaluation) =>
      metrics.perplexity === undefined || name !== "chargpt"
        ? `${(100 * metrics.top1!.value).toFixed(2)} % top-1`
        : `${metrics.perplexity.value.toFixed(4)} perplexity (+${(100 * (metrics.perplexity.value / float.metrics.perplexity!.value - 1)).toFixed(2)} %)`
    console.log(`| ${name} | f32 | | ${show(float)} | | |`)
    for (const text of flags.choices.split(",")) {
      const choice = Choice.parse(text)
      if (choice === undefined) throw new Error(`"${text}" is not a format`)
      let plain: Evaluate.Evaluation | undefined
      for (const recipe of flags.recipes.split(",").filter(Recipe.isRecipe)) {
        const start = performance.now()
        const { network, steps } = yield* Recipe.cook(
          recipe,
          graph,
          PlanFile.uniform(graph, choice),
          calibration
        )
        const seconds = (performance.now() - start) / 1000
        const found = yield* measure(Model.encode(FakeQuant.simulate(network)))
        if (flags.steps) for (const step of steps) console.log(`    ${Recipe.show(step)}`)
        const paired =
          plain?.classification === undefined || found.classification === undefined
            ? ""
            : differenceOf(plain.classification, found.classification)
        if (recipe === "plain") plain = found
        console.log(
          `| ${name} | ${text} | ${recipe} | ${show(found)} | ${paired} | ${seconds.toFixed(1)} s |`
        )
      }
    }
  })

/** Points of top-1 over plain rounding, paired. */
const differenceOf = (
  before: Metrics.Classification.Scores,
  after: Metrics.Classification.Scores
): string => {
  const { value, low, high } = Metrics.difference(before.labelled!.correct, after.labelled!.correct)
  const points = (x: number) => ((100 * x) / before.targets).toFixed(2)
  return `${points(value)} [${points(low)}, ${points(high)}]`
}

const main = Effect.gen(function* () {
  console.log(`| network | format | recipe | ${splitName} | points over plain, 95 % | made in |`)
  console.log("|---|---|---|---|---|---|")
  for (const name of ["resnet8", "dscnn", "chargpt"] as const)
    if (flags.networks.split(",").includes(name)) yield* rowsOf(name)
})
await Effect.runPromise(main)

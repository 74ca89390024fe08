/**
 * Which metric ranks best what rounding really costs: every metric on training data, the truth on test data.
 *
 * `node bench/referee.ts [model name, samples, test samples]…`, as `resnet8 512 2048`
 */
import { Model } from "@bitbudget/graph"
import { Choice, WeightFormat } from "@bitbudget/quant"
import { Data } from "@bitbudget/runtime"
import { Rounding, Sensitivity } from "@bitbudget/sensitivity"
import { Duration, Effect } from "effect"

const path = (name: string) => new URL(`../experiments/${name}`, import.meta.url).pathname
const dataOf = (name: string) =>
  path(name === "chargpt" ? "data/kjv/kjv.json" : "data/fashion-mnist/fashion-mnist.json")

const judge = (name: string, samples: number, testSamples: number) =>
  Effect.gen(function* () {
    const { graph } = yield* Model.read(path(`models/${name}.onnx`))
    const data = yield* Data.open(dataOf(name))
    const seconds: Array<string> = []
    const report = yield* Sensitivity.analyze({
      graph,
      split: yield* data.split("sensitivity"),
      samples,
      choices: Rounding.everywhere(
        graph,
        [2, 3, 4, 8].map((bits) => Choice.make(WeightFormat.int(bits)))
      ),
      metrics: ["trace", "topEigenvalue", "fisher", "quadratic", "klDivergence", "deltaLoss"],
      referee: { split: yield* data.split("test"), samples: testSamples },
      stage: (stage, work) =>
        Effect.map(Effect.timed(work), ([duration, result]) => {
          seconds.push(`${stage} ${Duration.toSeconds(duration).toFixed(1)} s`)
          return result
        })
    })
    console.log(`${name}: ${samples} samples, judged on ${testSamples}; winner ${report.winner}`)
    for (const [metric, { spearman, low, high }] of Object.entries(report.referee ?? {}))
      console.log(
        `  ${metric.padEnd(14)} ${[spearman, low, high].map((x) => x?.toFixed(3) ?? "–").join("  ")}`
      )
    console.log(`  ${seconds.join(", ")}`)
  })

const wanted = process.argv.slice(2)
const runs =
  wanted.length > 0 ? wanted : ["resnet8", "512", "2048", "dscnn", "512", "2048", "chargpt", "16", "64"]
for (let i = 0; i < runs.length; i += 3)
  await Effect.runPromise(judge(runs[i]!, Number(runs[i + 1]), Number(runs[i + 2])))

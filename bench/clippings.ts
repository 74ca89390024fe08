/**
 * Ways to choose the bounds of activations: the error of the network's outputs, Σ(z − ẑ)² / Σz², with activations rounded
 * and weights in float. Bounds from the calibration split, errors on other training samples: never on test data.
 *
 * `node bench/clippings.ts [--networks resnet8,dscnn] [--activations a8,a6,a4]`
 */
import { Model } from "@bitbudget/graph"
import {
  activationRanges,
  Choice,
  type Clipping,
  outputErrorOf,
  PlanFile,
  QuantizedNetwork
} from "@bitbudget/quant"
import { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { calibrationOf } from "./quantizers/calibration.ts"

const { values: flags } = parseArgs({
  options: {
    networks: { type: "string", default: "resnet8,dscnn" },
    activations: { type: "string", default: "a8,a4" }
  }
})
const ways: ReadonlyArray<readonly [string, Clipping]> = [
  ["extremes", { by: "extremes" }],
  ["squared error", { by: "squaredError" }],
  ["99.99 %", { by: "percentile", share: 0.9999 }],
  ["99.9 %", { by: "percentile", share: 0.999 }],
  ["divergence", { by: "divergence" }]
]
const here = (path: string) => new URL(`../experiments/${path}`, import.meta.url).pathname

const rowsOf = (name: string) =>
  Effect.gen(function* () {
    const { graph } = yield* Model.read(here(`models/${name}.onnx`))
    const dataset = yield* Data.open(here("data/fashion-mnist/fashion-mnist.json"))
    const size = { samples: 256, batchSize: 64 }
    const calibration = yield* calibrationOf(yield* dataset.split("calibration"), size)
    const { errorOf } = yield* outputErrorOf(
      graph,
      yield* calibrationOf(yield* dataset.split("sensitivity"), size)
    )
    for (const text of flags.activations.split(",")) {
      const choice = Choice.parse(`wf32${text}`)
      if (choice === undefined) throw new Error(`"${text}" is not a format of activations`)
      const choices = PlanFile.uniform(graph, choice)
      const found = yield* activationRanges(
        graph,
        choices,
        calibration,
        ways.map(([, clipping]) => clipping)
      )
      const cells: Array<string> = []
      for (const ranges of found)
        cells.push((100 * (yield* errorOf(QuantizedNetwork.plain(graph, choices, ranges)))).toPrecision(3))
      console.log(`| ${name} | ${text} | ${cells.join(" | ")} |`)
    }
  })

console.log(`| network | activations | ${ways.map(([label]) => label).join(" | ")} |`)
console.log(`|---|---|${ways.map(() => "---|").join("")}`)
for (const name of flags.networks.split(",")) await Effect.runPromise(rowsOf(name))

/**
 * Figures of docs/training.md: plans of ResNet-8 and DS-CNN tuned for three epochs on the 5,000 training images, judged on the
 * 10,000 test images, and what a step takes beside the float network's forward pass on the same machine.
 *
 *   node bench/tune.ts                    all rows
 *   node bench/tune.ts resnet8 w3a8       one of them
 *   node bench/tune.ts resnet8 w3a8 task  by the labels' loss
 *   node bench/tune.ts time               milliseconds a step
 */
import { Gradient, Model } from "@bitbudget/graph"
import { RunStore, Tasks } from "@bitbudget/lab"
import { Choice, PlanFile, QuantizedNetwork, type Ranges } from "@bitbudget/quant"
import { Session, Value } from "@bitbudget/runtime"
import { Augment, Optimizer, Step, Trainable } from "@bitbudget/train"
import { Effect, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"

const here = (name: string) => new URL(`../experiments/${name}`, import.meta.url).pathname

/** First and last layer at 8 bits, the others between 2 and 4: about (w2 + w4)/2 bytes. */
const mixed = (graph: Parameters<typeof PlanFile.uniform>[0]) => {
  const ids = [...PlanFile.uniform(graph, Choice.f32).keys()]
  return new Map(
    ids.map((id, i) => {
      const bits = i === 0 || i === ids.length - 1 ? 8 : i < ids.length / 2 ? 4 : 2
      return [id, Choice.wa(bits, 8)]
    })
  )
}

const rows = [
  ["resnet8", "w3a8"],
  ["resnet8", "w2a8"],
  ["resnet8", "w4a4"],
  ["resnet8", "2/4/8"],
  ["dscnn", "w3a8"],
  ["dscnn", "w4a4"]
] as const

const [wantedModel, wantedPlan, wantedLoss] = process.argv.slice(2)
const batch = 128

const tuned = Effect.fn(function* (name: string, text: string, loss: Tasks.Tune.Request["loss"]) {
  const folder = mkdtempSync(path.join(tmpdir(), "bitbudget-tune-"))
  const model = yield* Tasks.readFloatModel(here(`models/${name}.onnx`))
  const own = Choice.parse(text)
  const choices = own === undefined ? mixed(model.graph) : PlanFile.uniform(model.graph, own)
  const start = performance.now()
  const result = yield* Tasks.Tune.tune({
    model,
    plan: { choices, unnamed: [], default: Choice.f32, recipe: undefined, notes: [] },
    data: yield* Tasks.Data.open(here("data/fashion-mnist/fashion-mnist.json")),
    ...{
      loss,
      temperature: 1,
      epochs: 3,
      batch,
      learningRate: undefined,
      optimizer: "adam",
      schedule: "cosine"
    },
    ...{
      weightDecay: 0,
      clipNorm: undefined,
      patience: 3,
      freeze: [],
      seed: 0,
      threads: undefined,
      force: false
    },
    ...{ recipe: undefined, calibration: undefined, out: undefined },
    estimators: { weights: "lsq", activations: "lsq" },
    augmentation: Augment.noAugmentation,
    file: path.join(folder, "tuned.onnx")
  }).pipe(Effect.provide(RunStore.layer(path.join(folder, "runs.db"))))
  rmSync(folder, { recursive: true })
  const percent = (metrics: typeof result.measured.after) => {
    const { value, low, high } = metrics["top1"]!
    return `${(100 * value).toFixed(2)} [${(100 * low).toFixed(2)}, ${(100 * high).toFixed(2)}]`
  }
  const training = result.epochs.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0)
  const { float, before, after } = result.measured
  console.log(
    `| ${name} | ${text} | ${result.loss} | ${percent(float)} | ${percent(before)} | ${percent(after)} | ${result.bytes} | ` +
      `${training.toFixed(0)} (${((performance.now() - start) / 1e3).toFixed(0)} with cooking and judging) |`
  )
})

/** Median milliseconds of a run on zeros. */
const milliseconds = (bytes: Uint8Array, runs: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const session = yield* Session.make(bytes)
      const feeds = Object.fromEntries(
        session.inputs.map(({ name, dtype, shape }) => {
          const dims = shape.map((dim) => (typeof dim === "number" ? dim : batch))
          if (!Value.isDType(dtype)) throw new Error(`${name} is ${dtype}`)
          return [
            name,
            Value.make(
              dtype,
              dims,
              Value.zeros(
                dtype,
                dims.reduce((a, b) => a * b, 1)
              )
            )
          ]
        })
      )
      const times: Array<number> = []
      for (let i = 0; i < runs; i++) {
        const start = performance.now()
        yield* session.run(feeds)
        times.push(performance.now() - start)
      }
      return times.toSorted((a, b) => a - b)[Math.floor(runs / 2)]!
    })
  )

const timed = Effect.fn(function* (name: string, text: string) {
  const { graph } = yield* Tasks.readFloatModel(here(`models/${name}.onnx`))
  const float = Gradient.bindBatch(graph, batch)
  const choices = PlanFile.uniform(graph, Choice.parse(text)!)
  const ranges: Ranges.Ranges = new Map(
    [...graph.values.keys()].map((value) => [value, { low: -1, high: 1 }])
  )
  const network = QuantizedNetwork.plain(graph, choices, ranges)
  const estimators = { weights: "lsq", activations: "lsq" } as const
  const trainable = Trainable.make(network, batch, { ...estimators, frozen: new Set() })
  const output = { name: graph.outputs[0]!, kind: "classes", axis: 1, weight: 1 } as const
  const task = { kind: "crossEntropy", labelShape: [] } as const
  const settings = {
    ...Optimizer.usual,
    optimizer: "adam",
    weightDecay: 0,
    clipNorm: undefined,
    scaleRates: { weights: 1, activations: 10 }
  } as const
  const objective = (distillation: number) => ({ distillation, temperature: 1, task, compared: [output] })
  const step = (distillation: number) =>
    Model.encode(Step.make(trainable, float, objective(distillation), Augment.noAugmentation, settings).step)
  const forward = yield* milliseconds(Model.encode(float), 15)
  const simulated = yield* milliseconds(Model.encode(trainable.graph), 15)
  const byTask = yield* milliseconds(step(0), 9)
  const distilled = yield* milliseconds(step(1), 9)
  const times = [forward, simulated, byTask, distilled].map((ms) => ms.toFixed(0)).join(" | ")
  console.log(`| ${name} | ${text} | ${times} | ${(byTask / forward).toFixed(1)} |`)
})

const everything = Effect.gen(function* () {
  if (wantedModel === "time") {
    console.log(
      "| network | plan | float forward, ms | rounded forward | step, labels | step, distilled | step / forward |"
    )
    for (const [name, text] of [
      ["resnet8", "w3a8"],
      ["resnet8", "w4a4"],
      ["dscnn", "w3a8"]
    ] as const)
      yield* timed(name, text)
    return
  }
  console.log("| network | plan | loss | float | untuned | tuned | bytes | s |")
  const wanted = rows.filter(
    ([name, text]) => (wantedModel ?? name) === name && (wantedPlan ?? text) === text
  )
  for (const [name, text] of wanted) yield* tuned(name, text, wantedLoss === "task" ? "task" : undefined)
})

await Effect.runPromise(Effect.provide(everything, Layer.empty))

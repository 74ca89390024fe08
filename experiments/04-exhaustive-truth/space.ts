/** The space whose every plan is measured: ResNet-8, the six convolutions of its blocks free, at three widths. */
import { Profiles } from "@bitbudget/device"
import { Layer, Model } from "@bitbudget/graph"
import { type Budget, Choice, type Plan } from "@bitbudget/lab"
import { cook } from "@bitbudget/lab/job/cook"
import type { Job } from "@bitbudget/lab/job/job"
import { open } from "@bitbudget/lab/job/open"
import { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { here } from "../bitbudget.ts"

/** The device that latency budgets are about: one whose latency depends on the weights' width. */
const DEVICE = "gap9"

const widths = ["w2a8", "w4a8", "w8a8"]

/** Samples of the tuning data that plans are compared on, and of the test data that judge them. */
export const SAMPLES = 1000

/** Layers with something to choose: those of the blocks, without the shortcuts. */
export const isFree = ({ name }: Layer.Layer): boolean => /^layer\d\/conv/.test(name)

/** What the space is searched for. */
export const requestFor = (budgets: ReadonlyArray<Budget.Budget>) =>
  Effect.gen(function* () {
    const model = yield* Model.read(here("models/resnet8.onnx"))
    const layers = Layer.layersOf(model.graph)
    const [free, locked] = [layers.filter(isFree), layers.filter((layer) => !isFree(layer))]
    const choices = widths.map((id) => Choice.parse(id)!)
    const request: Plan.Request = {
      model,
      profile: yield* Profiles.load(DEVICE, fileURLToPath(new URL("../../hw-profiles", import.meta.url))),
      data: yield* Data.open(here("data/fashion-mnist/fashion-mnist.json")),
      budgets,
      offers: free.map(({ id }) => ({ pattern: id, choices })),
      locks: locked.map(({ id }) => ({ pattern: id, choice: Choice.wa(8, 8) })),
      ties: "shared",
      ignoreCapacity: false,
      metric: "auto",
      samples: SAMPLES,
      threads: 1,
      seed: 0,
      out: here("out"),
      force: false
    }
    return request
  })

/** The stages that no budget changes: choices opened, layers rounded. Nothing is stored. */
export const kitchen = Effect.fnUntraced(function* (request: Plan.Request) {
  const opened = yield* open(request)
  const job: Job = {
    run: "exhaustive truth",
    request,
    data: yield* Data.fingerprint(request.data),
    stage: (_stage, _inputs, work) => work
  }
  const cookery = yield* cook(job, opened)
  return { opened, job, cookery }
})

/** A plan as the table's rows name it: the weight bits of the free layers, in order. */
export const rowOf = (
  opened: { readonly layers: ReadonlyArray<Layer.Layer> },
  plan: Choice.Choices
): string =>
  opened.layers
    .filter(isFree)
    .map(({ id }) => Choice.show(plan.get(id)!).slice(1, -2))
    .join("")

/**
 * What a cost is asked of: a network of an ONNX file, or the work of a layer list. Both become a workload at the
 * wanted batch and a function from a plan's name to the precision of every step.
 */
import { Batch, type Simulate } from "@bitbudget/device"
import { Model, Precision, type Work } from "@bitbudget/graph"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { planFor } from "./formats.ts"
import { isLayerList, readLayerList } from "./model.ts"

export interface Request {
  readonly model: string
  readonly batch: number
  readonly reading?: Model.ReadOptions
}

interface Subject {
  readonly workload: Work.Workload
  readonly precisionsOf: (plan: string) => Effect.Effect<Simulate.PrecisionOf, RequestFailure>
}

const layerList = Effect.fn(function* ({ model, batch }: Request): Effect.fn.Return<Subject, RequestFailure> {
  const workload = yield* readLayerList(model, batch)
  const precisionsOf = (plan: string) =>
    Effect.gen(function* () {
      const precision = Precision.parsePrecision(plan)
      if (precision !== undefined) return (): Precision.Precision => precision
      return yield* new UnusableRequest({
        why: `a layer list has no named layers to plan for: it takes shorthand like w8a8, not "${plan}"`
      })
    })
  return { workload, precisionsOf }
})

const network = Effect.fn(function* ({
  model,
  batch,
  reading
}: Request): Effect.fn.Return<Subject, RequestFailure> {
  const { graph, name } = yield* Model.read(model, reading)
  const workload = { ...Batch.workloadAt(graph, batch), name }
  const precisionsOf = (plan: string) =>
    Effect.map(planFor(graph, plan), (formats): Simulate.PrecisionOf => {
      // Steps without weights go with the layers around them; only their activation width matters.
      const first = [...formats.values()][0]?.precision ?? Precision.wa(8, 8)
      return (step) => formats.get(step.id)?.precision ?? first
    })
  return { workload, precisionsOf }
})

/** The workload of a model file or layer list, and the precisions a plan gives its steps. */
export const subject = (request: Request): Effect.Effect<Subject, RequestFailure> =>
  isLayerList(request.model) ? layerList(request) : network(request)

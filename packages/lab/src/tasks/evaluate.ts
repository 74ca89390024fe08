/** `evaluate`: a network, or a plan for it, on real data; a plan also as the packed file that would be deployed. */
import type { Intervals } from "@bitbudget/numerics"
import { Model } from "@bitbudget/graph"
import { FakeQuant, Pack } from "@bitbudget/quant"
import { Data, Evaluate, Metrics } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { RequestFailure } from "../errors.ts"
import { planFor, rangesFor } from "./formats.ts"
import { readModel } from "./model.ts"

interface Evaluated {
  readonly n: number
  readonly metrics: Evaluate.Evaluation["metrics"]
  /** Share of samples with the same prediction as the float network, and as the packed file; null without classes. */
  readonly agreement?: {
    readonly withFloat: Intervals.Estimate | null
    readonly withPacked: Intervals.Estimate | null
  }
  readonly seconds: number
}

export const evaluate = Effect.fn("evaluate")(function* (request: {
  readonly model: string
  readonly reading?: Model.ReadOptions
  readonly data: string
  readonly plan: string | undefined
  readonly samples: number | undefined
}): Effect.fn.Return<Evaluated, RequestFailure> {
  const start = performance.now()
  const { graph } = yield* readModel(request.model, request.reading)
  const data = yield* Data.open(request.data)
  const split = data.whole ?? (yield* data.split("test"))
  const limit = request.samples === undefined ? {} : { limit: request.samples }
  const float = yield* Evaluate.run(Model.encode(graph), split, { ...limit, stage: "evaluating" })
  const seconds = () => (performance.now() - start) / 1e3
  if (request.plan === undefined) return { n: float.n, metrics: float.metrics, seconds: seconds() }
  const formats = yield* planFor(graph, request.plan)
  const ranges = yield* rangesFor(graph, formats, data)
  const simulated = yield* Evaluate.run(Model.encode(FakeQuant.rewrite(graph, formats, ranges)), split, {
    ...limit,
    stage: `evaluating ${request.plan}`
  })
  const packed = yield* Evaluate.run(Pack.encode(graph, formats, ranges), split, {
    ...limit,
    stage: "evaluating packed"
  })
  const agreementWith = (other: Evaluate.Evaluation) =>
    simulated.classification === undefined || other.classification === undefined
      ? null
      : Metrics.agreement(simulated.classification.predicted, other.classification.predicted)
  return {
    n: simulated.n,
    metrics: simulated.metrics,
    agreement: { withFloat: agreementWith(float), withPacked: agreementWith(packed) },
    seconds: seconds()
  }
})

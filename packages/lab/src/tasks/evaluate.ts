/** `evaluate`: a network, or a plan for it, on real data; a plan also as the packed file that would be deployed. */
import type { Intervals } from "@bitbudget/numerics"
import { Model } from "@bitbudget/graph"
import { FakeQuant, Pack } from "@bitbudget/quant"
import { Data, Evaluate, Metrics } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { RequestFailure } from "../errors.ts"
import { scoresOf } from "../scores.ts"
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
  readonly notes: ReadonlyArray<string>
  readonly seconds: number
}

export const evaluate = Effect.fn("evaluate")(function* (request: {
  readonly model: string
  readonly reading?: Model.ReadOptions
  readonly data: string
  readonly plan: string | undefined
  readonly samples: number | undefined
  readonly threads: number | undefined
}): Effect.fn.Return<Evaluated, RequestFailure> {
  const start = performance.now()
  const model = yield* readModel(request.model, request.reading)
  const { graph } = model
  const data = yield* Data.open(request.data)
  const split = data.whole ?? (yield* data.split("test"))
  const limit = {
    scores: scoresOf(graph),
    ...(request.samples === undefined ? {} : { limit: request.samples }),
    ...(request.threads === undefined ? {} : { threads: request.threads })
  }
  const float = yield* Evaluate.run(Model.encode(graph), split, { ...limit, stage: "evaluating" })
  const seconds = () => (performance.now() - start) / 1e3
  if (request.plan === undefined) return { n: float.n, metrics: float.metrics, notes: [], seconds: seconds() }
  const plan = yield* planFor(model, request.plan)
  const { choices } = plan
  const ranges = yield* rangesFor(graph, plan, data, request.threads)
  const simulated = yield* Evaluate.run(Model.encode(FakeQuant.rewrite(graph, choices, ranges)), split, {
    ...limit,
    stage: `evaluating ${request.plan}`
  })
  const packed = yield* Evaluate.run(Pack.encode(graph, choices, ranges), split, {
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
    notes: plan.notes,
    seconds: seconds()
  }
})

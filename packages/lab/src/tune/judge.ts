/** What a tuned plan does on samples nothing was chosen on, beside the float network and the plan as it was rounded. */
import { Model } from "@bitbudget/graph"
import { FakeQuant, Pack, type QuantizedNetwork } from "@bitbudget/quant"
import { Compare, type Data, Evaluate, Metrics } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { TuneResult } from "../results/tune.ts"
import { probabilitiesOf, scoresOf } from "../scores.ts"
import type { Request } from "./Request.ts"

type Network = QuantizedNetwork.QuantizedNetwork

export interface Judgement extends Pick<TuneResult, "measured" | "paired" | "agreementWithPacked"> {
  readonly notes: ReadonlyArray<string>
}

const metricsOf = (found: Pick<Evaluate.Evaluation, "metrics">): TuneResult["measured"]["after"] => ({
  ...found.metrics
})

/** By labels: every network scored. */
const byLabels = Effect.fn(function* (request: Request, test: Data.Split, before: Network, after: Network) {
  const { graph } = request.model
  const threads = request.threads === undefined ? {} : { threads: request.threads }
  const scored = (bytes: Uint8Array, stage: string) =>
    Evaluate.run(bytes, test, { ...threads, scores: scoresOf(graph), stage })
  const float = yield* scored(Model.encode(graph), "measuring the float network")
  const untuned = yield* scored(Model.encode(FakeQuant.simulate(before)), "measuring the untuned plan")
  const tuned =
    before === after
      ? untuned
      : yield* scored(Model.encode(FakeQuant.simulate(after)), "measuring the tuned plan")
  const packed = yield* scored(Pack.write(after), "measuring the packed file")
  const [a, b] = [tuned.classification, untuned.classification]
  const pairs =
    a?.labelled === undefined || b?.labelled === undefined
      ? undefined
      : Metrics.mcNemar(rights(a.predicted, a.labelled.labels), rights(b.predicted, b.labelled.labels))
  const judgement: Judgement = {
    measured: { float: metricsOf(float), before: metricsOf(untuned), after: metricsOf(tuned) },
    paired:
      pairs === undefined
        ? null
        : { onlyTuned: pairs.onlyFirst, onlyUntuned: pairs.onlySecond, pValue: pairs.pValue },
    agreementWithPacked:
      a === undefined || packed.classification === undefined
        ? null
        : Metrics.agreement(a.predicted, packed.classification.predicted),
    notes: []
  }
  return judgement
})

const rights = (predicted: Int32Array, labels: ArrayLike<number>): Uint8Array =>
  Uint8Array.from(predicted, (label, i) => Number(label === labels[i]))

/** By the float network's outputs, where there are no labels or several outputs. */
const byOutputs = Effect.fn(function* (request: Request, test: Data.Split, before: Network, after: Network) {
  const { graph } = request.model
  const options = {
    ...(request.threads === undefined ? {} : { threads: request.threads }),
    outputs: request.data.descriptor.outputs,
    probabilities: probabilitiesOf(graph)
  }
  const compared = (reference: Uint8Array, other: Uint8Array, stage: string) =>
    Compare.run(reference, other, test, { ...options, stage })
  const float = Model.encode(graph)
  const simulated = Model.encode(FakeQuant.simulate(after))
  const untuned = yield* compared(
    float,
    Model.encode(FakeQuant.simulate(before)),
    "comparing the untuned plan"
  )
  const tuned = yield* compared(float, simulated, "comparing the tuned plan")
  const packed = yield* compared(simulated, Pack.write(after), "comparing the packed file")
  const figures = ({ distortion, outputs }: Compare.Comparison) => {
    const [agreement] = outputs.flatMap((output) => output.agreement ?? [])
    return { distortion, ...(agreement === undefined ? {} : { agreement }) }
  }
  const judgement: Judgement = {
    measured: { float: {}, before: figures(untuned), after: figures(tuned) },
    paired: null,
    agreementWithPacked: packed.outputs[0]?.agreement ?? null,
    notes: ["without labels of the one output there is, plans are held against the float network's outputs"]
  }
  return judgement
})

/** `heldOut` stands in where the data name no test split. */
export const judge = Effect.fn("judge")(function* (
  request: Request,
  test: Data.Split | undefined,
  heldOut: Data.Split,
  before: Network,
  after: Network
) {
  const split = test ?? heldOut
  const judgement =
    split.hasLabels && request.model.graph.outputs.length === 1
      ? yield* byLabels(request, split, before, after)
      : yield* byOutputs(request, split, before, after)
  const note = `the data name no test split: figures are of the ${heldOut.size} samples held out, by which the epoch was chosen`
  return test === undefined ? { ...judgement, notes: [...judgement.notes, note] } : judgement
})

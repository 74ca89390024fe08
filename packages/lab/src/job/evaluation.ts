/** A whole plan, simulated on data: its metrics, and which samples it gets right for paired comparisons. */
import { Model } from "@bitbudget/graph"
import { Choice, FakeQuant } from "@bitbudget/quant"
import { Compare, type Data, Evaluate, type Metrics } from "@bitbudget/runtime"
import { Effect, Schema } from "effect"
import { probabilitiesOf, scoresOf } from "../scores.ts"
import * as Stage from "../store/Stage.ts"
import type { Prepared } from "./cook.ts"
import type { Job } from "./job.ts"
import type { Opened } from "./open.ts"

type Scores = Metrics.Classification.Scores
type Labelled = Metrics.Classification.Labelled

export const Estimate = Schema.Struct({
  value: Schema.Number,
  low: Schema.Number,
  high: Schema.Number,
  n: Schema.Number
})
export const Estimates = Schema.Record(Schema.String, Estimate)
export type Estimates = typeof Estimates.Type

const Evaluation = Schema.Struct({
  metrics: Estimates,
  /** Targets predicted right, a bit each, base64; null where the data have no classes. */
  hits: Schema.NullOr(Schema.String)
})
export type Evaluation = typeof Evaluation.Type

const stage = Stage.make("evaluation", 5, Evaluation)

const hitsOf = ({ predicted }: Scores, { labels }: Labelled): string => {
  const bytes = new Uint8Array(Math.ceil(labels.length / 8))
  for (let i = 0; i < labels.length; i++) if (predicted[i] === labels[i]) bytes[i >> 3]! |= 1 << (i & 7)
  return Buffer.from(bytes).toString("base64")
}

/** The flags of `n` targets. */
export const unpackedBits = (text: string, n: number): Uint8Array => {
  const bytes = Buffer.from(text, "base64")
  return Uint8Array.from({ length: n }, (_, i) => (bytes[i >> 3]! >> (i & 7)) & 1)
}

/** `what` names the evaluation in progress lines and in the run. */
export const evaluate = (
  job: Job,
  opened: Opened,
  { key, network }: Prepared,
  on: { readonly split: Data.Split; readonly samples?: number },
  what: string
) => {
  const { model, threads } = job.request
  const plan = [...network.choices].map(([id, choice]) => [id, Choice.show(choice)])
  const inputs = [model.sha256, job.data, plan, key, on.split.name, on.samples ?? null]
  const planned = Model.encode(FakeQuant.simulate(network))
  const options = {
    stage: what,
    ...(threads === undefined ? {} : { threads }),
    ...(on.samples === undefined ? {} : { limit: on.samples })
  }
  const scored = on.split.hasLabels
    ? Effect.map(
        Evaluate.run(planned, on.split, { ...options, scores: scoresOf(opened.graph) }),
        ({ metrics, classification }): Evaluation => ({
          metrics: { ...metrics },
          hits:
            classification?.labelled === undefined ? null : hitsOf(classification, classification.labelled)
        })
      )
    : Effect.succeed<Evaluation>({ metrics: {}, hits: null })
  return job.stage(
    stage,
    inputs,
    judgedByLabels(opened, on.split)
      ? scored
      : Effect.zipWith(
          scored,
          Compare.run(Model.encode(opened.graph), planned, on.split, {
            ...options,
            outputs: job.request.data.descriptor.outputs,
            probabilities: probabilitiesOf(opened.graph)
          }),
          ({ metrics, hits }, { distortion, outputs }): Evaluation => {
            const [agreement] = outputs.flatMap((output) => output.agreement ?? [])
            return {
              metrics: { ...metrics, distortion, ...(agreement === undefined ? {} : { agreement }) },
              hits
            }
          }
        ),
    what
  )
}

/** Labels say how good one output is; of several, or without labels, the float network's outputs are what is held on to. */
const judgedByLabels = ({ graph }: Opened, split: Data.Split): boolean =>
  split.hasLabels && graph.outputs.length === 1

/** What plans are compared by: the distortion of all outputs where it was measured, else the loss, or the squared error. */
export const lossOf = ({ metrics }: Evaluation): number | undefined =>
  (metrics["distortion"] ?? metrics["loss"] ?? metrics["mse"])?.value

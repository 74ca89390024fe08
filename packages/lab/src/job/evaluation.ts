/** A whole plan, simulated on data: its metrics, and which samples it gets right for paired comparisons. */
import { Model } from "@bitbudget/graph"
import { Choice, FakeQuant, type Ranges } from "@bitbudget/quant"
import { type Data, Evaluate, type Metrics } from "@bitbudget/runtime"
import { Effect, Schema } from "effect"
import { scoresOf } from "../scores.ts"
import * as Stage from "../store/Stage.ts"
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

const stage = Stage.make("evaluation", 1, Evaluation)

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
  ranges: Ranges.Ranges,
  choices: Choice.Choices,
  on: { readonly split: Data.Split; readonly samples?: number },
  what: string
) => {
  const { model, threads } = job.request
  const plan = [...choices].map(([id, choice]) => [id, Choice.show(choice)])
  const reads = [...choices.values()].some(({ activations }) => activations.kind === "int")
  const inputs = [model.sha256, job.data, plan, reads ? [...ranges] : [], on.split.name, on.samples ?? null]
  return job.stage(
    stage,
    inputs,
    Effect.map(
      Evaluate.run(Model.encode(FakeQuant.rewrite(opened.graph, choices, ranges)), on.split, {
        stage: what,
        scores: scoresOf(opened.graph),
        ...(threads === undefined ? {} : { threads }),
        ...(on.samples === undefined ? {} : { limit: on.samples })
      }),
      ({ metrics, classification }): Evaluation => ({
        metrics: { ...metrics },
        hits: classification?.labelled === undefined ? null : hitsOf(classification, classification.labelled)
      })
    ),
    what
  )
}

/** What plans are compared by: the loss, or the squared error; undefined without labels. */
export const lossOf = ({ metrics }: Evaluation): number | undefined =>
  (metrics["loss"] ?? metrics["mse"])?.value

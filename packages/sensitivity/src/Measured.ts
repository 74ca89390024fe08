/**
 * The truth every metric is judged by: the loss's increase when one layer is rounded, all else float.
 * With it, from the same runs, how far the outputs move: divergence from the float network, signal to noise.
 *
 * The same samples are scored before and after, so the increase is a mean of paired differences, and its standard
 * error is far below that of either loss. One session a layer and activation format serves all weight formats: the
 * layer's weights are an input of it, the other layers' stay constants, which ONNX Runtime lays out in advance (all weights as inputs cost
 * 2.6 times the run time on a depthwise network).
 */
import { Means } from "@bitbudget/numerics"
import type { Graph } from "@bitbudget/graph"
import { Gradient, Layer, Model } from "@bitbudget/graph"
import { ActivationFormat, Choice, FakeQuant, type Ranges, WeightFormat } from "@bitbudget/quant"
import type { Data, Evaluate } from "@bitbudget/runtime"
import { Progress, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as Divergence from "./Divergence.ts"
import type { LossName } from "./Loss.ts"
import { defaultFor } from "./Loss.ts"
import * as Rounding from "./Rounding.ts"
import * as Samples from "./Samples.ts"

export interface Options {
  readonly graph: Graph.Graph
  /** All layers when absent. */
  readonly layers?: ReadonlyArray<Layer.Layer>
  readonly choices: Rounding.LayerChoices
  /** Of layers' inputs; those of integer activations are needed. */
  readonly ranges: Ranges.Ranges
  /** How layers are rounded; to nearest when absent. */
  readonly rounder?: Rounding.Rounder
  readonly split: Data.Split
  /** Position of the first sample in the split; 0 when absent. */
  readonly from?: number
  readonly samples: number
  /** What the data's labels allow when absent. */
  readonly loss?: LossName
  /** Whether the outputs are compared with the float network's too, which takes one more run a batch and layer. */
  readonly outputs?: boolean
  /** Samples a run, 128 when absent. */
  readonly batchSize?: number
  readonly threads?: number
  /** Name under which progress is reported. */
  readonly stage?: string
}

/** How far the outputs move. */
export interface OutputChange {
  /** KL(float ‖ rounded) in nats, the mean over samples; null where the outputs are values, not classes. */
  readonly klDivergence: Means.Estimate | null
  /** Σ z² / Σ (z − ẑ)² in decibels; null where nothing changes. */
  readonly sqnrDb: { readonly value: number | null; readonly stdErr: number | null }
}

/** Mean increase of the loss with the standard error of the mean over samples. */
export interface Increase {
  readonly deltaLoss: number
  /** Null below two samples. */
  readonly stdErr: number | null
  readonly outputs?: OutputChange
}

export interface LayerIncrease {
  readonly id: string
  readonly params: number
  readonly byChoice: Readonly<Record<string, Increase>>
}

export interface LossIncrease {
  readonly loss: LossName
  readonly samples: number
  /** The float model's mean loss. */
  readonly floatLoss: number
  readonly layers: ReadonlyArray<LayerIncrease>
}

/** Gathers what the outputs of one candidate differ by, batch after batch. */
const outputComparison = (samples: number, classAxis: number | undefined) => {
  const [kl, signal, noise] = [0, 1, 2].map(() => new Float64Array(samples)) as [
    Float64Array,
    Float64Array,
    Float64Array
  ]
  return {
    add: ({ from, to }: Samples.Batch, reference: Value.Value, output: Value.Value) => {
      if (!(reference.data instanceof Float32Array && output.data instanceof Float32Array)) return
      // Rows that fill up the last batch are left out.
      const shape = [to - from, ...output.shape.slice(1)]
      const real = (output.data.length / output.shape[0]!) * (to - from)
      const [z, perturbed] = [reference.data.subarray(0, real), output.data.subarray(0, real)]
      if (classAxis !== undefined) kl.set(Divergence.klDivergences(z, perturbed, shape, classAxis), from)
      const parts = Divergence.signalAndNoise(z, perturbed, shape[0]!)
      signal.set(parts.signal, from)
      noise.set(parts.noise, from)
    },
    result: (): OutputChange => ({
      klDivergence: classAxis === undefined ? null : Means.estimate(kl),
      sqnrDb: Means.decibels(signal, noise)
    })
  }
}

/** Choices with the same activation format together. */
const byActivations = (
  choices: ReadonlyArray<Choice.Choice>
): ReadonlyArray<ReadonlyArray<Choice.Choice>> => [
  ...Map.groupBy(choices, ({ activations }) => ActivationFormat.show(activations)).values()
]

export const lossIncrease = Effect.fn("Measured.lossIncrease")(function* (options: Options) {
  return yield* Effect.scoped(measure(options))
})

const measure = (options: Options) =>
  Effect.gen(function* () {
    const { graph, split, choices, ranges, rounder = Rounding.nearest(graph) } = options
    const layers = options.layers ?? Layer.layersOf(graph)
    const loss = options.loss ?? defaultFor(graph, split)
    const threads = options.threads === undefined ? {} : { threads: options.threads }
    const samples = yield* Samples.open({
      ...threads,
      graph,
      split,
      loss,
      from: options.from ?? 0,
      samples: options.samples,
      batchSize: options.batchSize ?? 128
    })
    const { kind } = samples.loss
    const lossy = Gradient.withLoss(graph, kind, samples.labelShape)
    const classAxis = kind === "meanSquaredError" ? undefined : lossy.classAxis
    const floatSession = yield* Session.make(Model.encode(lossy.graph), { name: graph.name, ...threads })
    const stage = options.stage ?? "loss increase of each layer"
    const tried = layers.map((layer) => byActivations(Rounding.choicesOf(choices, layer)))
    const reference = options.outputs === true ? 1 : 0
    const runsPerBatch = 1 + tried.flat().reduce((runs, { length }) => runs + length + reference, 0)
    const runs = Math.ceil(samples.count / samples.batchSize) * runsPerBatch
    let done = 0

    const feedsOf = (batch: Samples.Batch) => ({
      ...batch.inputs,
      [lossy.target]: batch.target
    })
    const run = (session: Session.Session, feeds: Readonly<Record<string, Value.Value>>, names: string[]) =>
      Effect.andThen(Progress.step({ stage, done: done++, total: runs }), session.run(feeds, names))
    const put = (losses: Float64Array, batch: Samples.Batch, { data }: Value.Value) => {
      if (Value.isNumeric(data)) losses.set(data.subarray(0, batch.to - batch.from), batch.from)
    }

    const before = new Float64Array(samples.count)
    yield* Samples.each(samples, (batch) =>
      Effect.map(run(floatSession, feedsOf(batch), [lossy.losses]), (results) =>
        put(before, batch, results[lossy.losses]!)
      )
    )

    /** The increases of one layer at choices that have their activation format in common. */
    const increases = (layer: Layer.Layer, alike: ReadonlyArray<Choice.Choice>) =>
      Effect.scoped(
        Effect.gen(function* () {
          const read = new Map([[layer.id, Choice.make(WeightFormat.float32, alike[0]!.activations)]])
          const candidates = alike.map((choice) => {
            const { weights, bias } = rounder(layer, choice)
            const moved = bias === undefined ? {} : { [bias.constant]: Value.fromTensor(bias.values) }
            return {
              choice,
              constants: { [layer.weight]: Value.fromTensor(weights), ...moved },
              losses: new Float64Array(samples.count),
              comparison: outputComparison(samples.count, classAxis)
            }
          })
          const names = [...new Set(candidates.flatMap(({ constants }) => Object.keys(constants)))]
          const unmoved = Object.fromEntries(
            names.map((name) => [name, Value.fromTensor(graph.constants.get(name)!)])
          )
          const freed = Gradient.freeConstants(FakeQuant.rewrite(lossy.graph, read, ranges), names)
          const session = yield* Session.make(Model.encode(freed), { name: graph.name, ...threads })
          yield* Samples.each(samples, (batch) =>
            Effect.gen(function* () {
              const feeds = feedsOf(batch)
              const reference =
                options.outputs === true
                  ? (yield* run(floatSession, feeds, [lossy.output]))[lossy.output]
                  : undefined
              const wanted = reference === undefined ? [lossy.losses] : [lossy.losses, lossy.output]
              for (const { constants, losses, comparison } of candidates) {
                const results = yield* run(session, { ...feeds, ...unmoved, ...constants }, wanted)
                put(losses, batch, results[lossy.losses]!)
                if (reference !== undefined) comparison.add(batch, reference, results[lossy.output]!)
              }
            })
          )
          return candidates.map(({ choice, losses, comparison }): [string, Increase] => {
            const { value: deltaLoss, stdErr } = Means.pairedDifference(before, losses)
            const outputs = options.outputs === true ? { outputs: comparison.result() } : {}
            return [Choice.show(choice), { deltaLoss, stdErr, ...outputs }]
          })
        })
      )

    const measured: Array<LayerIncrease> = []
    for (const [l, layer] of layers.entries()) {
      const found = new Map<string, Increase>()
      for (const alike of tried[l]!)
        for (const [id, increase] of yield* increases(layer, alike)) found.set(id, increase)
      const inOrder = Rounding.choicesOf(choices, layer).map((choice): [string, Increase] => {
        const id = Choice.show(choice)
        return [id, found.get(id)!]
      })
      measured.push({ id: layer.id, params: layer.weightElements, byChoice: Object.fromEntries(inOrder) })
    }
    yield* Progress.step({ stage, done: runs, total: runs })
    const result: LossIncrease = {
      loss,
      samples: samples.count,
      floatLoss: Means.mean(before),
      layers: measured
    }
    return result
  }) satisfies Effect.Effect<LossIncrease, Evaluate.Failure, unknown>

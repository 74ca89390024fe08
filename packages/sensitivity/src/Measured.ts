/**
 * The truth every metric is judged by: the loss's increase when one layer's weights are rounded, all else float.
 * With it, from the same runs, how far the outputs move: divergence from the float network, signal to noise.
 *
 * The same samples are scored before and after, so the increase is a mean of paired differences, and its standard
 * error is far below that of either loss. One session a layer serves all bit widths: the layer's weights are an
 * input of it, the other layers' stay constants, which ONNX Runtime lays out in advance (all weights as inputs cost
 * 2.6 times the run time on a depthwise network).
 */
import { Means } from "@bitbudget/numerics"
import type { Graph } from "@bitbudget/graph"
import { Gradient, Layer, Model, Tensor } from "@bitbudget/graph"
import { Affine } from "@bitbudget/quant"
import type { Data, Evaluate } from "@bitbudget/runtime"
import { Progress, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as Divergence from "./Divergence.ts"
import type { LossName } from "./Loss.ts"
import { defaultFor } from "./Loss.ts"
import * as Samples from "./Samples.ts"

export interface Options {
  readonly graph: Graph.Graph
  /** All layers when absent. */
  readonly layers?: ReadonlyArray<Layer.Layer>
  readonly bits: ReadonlyArray<number>
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
  /** ‖ΔW‖² of the rounding error. */
  readonly deltaWeightSq: number
  readonly deltaLoss: number
  /** Null below two samples. */
  readonly stdErr: number | null
  readonly outputs?: OutputChange
}

export interface LayerIncrease {
  readonly id: string
  readonly params: number
  /** By bit width. */
  readonly byBits: Readonly<Record<string, Increase>>
}

export interface LossIncrease {
  readonly loss: LossName
  readonly samples: number
  /** The float model's mean loss. */
  readonly floatLoss: number
  readonly layers: ReadonlyArray<LayerIncrease>
}

/** A layer's weights rounded to nearest: symmetric, one scale an output channel. */
export const rounded = (graph: Graph.Graph, layer: Layer.Layer, bits: number): Tensor.Tensor =>
  Affine.fakeQuantize(graph.constants.get(layer.weight)!, {
    bits,
    scheme: "symmetric",
    granularity: "channel",
    axis: layer.channelAxis
  })

/** What rounding adds to a layer's weights: ΔW = Q(W) − W. */
export const roundingError = (graph: Graph.Graph, layer: Layer.Layer, bits: number): Float32Array => {
  const weights = Tensor.values(graph.constants.get(layer.weight)!)
  const codes = Tensor.values(rounded(graph, layer, bits))
  const error = new Float32Array(codes.length)
  for (let i = 0; i < error.length; i++) error[i] = codes[i]! - weights[i]!
  return error
}

export const squaredNorm = (values: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2
  return sum
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

export const lossIncrease = Effect.fn("Measured.lossIncrease")(function* (options: Options) {
  return yield* Effect.scoped(measure(options))
})

const measure = (options: Options) =>
  Effect.gen(function* () {
    const { graph, split, bits } = options
    const layers = options.layers ?? Layer.layersOf(graph)
    const loss = options.loss ?? defaultFor(split)
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
    const runsPerBatch = 1 + layers.length * (bits.length + (options.outputs === true ? 1 : 0))
    const runs = Math.ceil(samples.count / samples.batchSize) * runsPerBatch
    let done = 0

    const feedsOf = (batch: Samples.Batch) => ({
      [samples.input]: batch.inputs,
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

    /** The increases with the given weights of one layer. */
    const increases = (layer: Layer.Layer) =>
      Effect.scoped(
        Effect.gen(function* () {
          const freed = Gradient.freeConstants(lossy.graph, [layer.weight])
          const session = yield* Session.make(Model.encode(freed), { name: graph.name, ...threads })
          const candidates = bits.map((width) => ({
            width,
            weights: Value.fromTensor(rounded(graph, layer, width)),
            losses: new Float64Array(samples.count),
            comparison: outputComparison(samples.count, classAxis)
          }))
          yield* Samples.each(samples, (batch) =>
            Effect.gen(function* () {
              const feeds = feedsOf(batch)
              const reference =
                options.outputs === true
                  ? (yield* run(floatSession, feeds, [lossy.output]))[lossy.output]
                  : undefined
              const wanted = reference === undefined ? [lossy.losses] : [lossy.losses, lossy.output]
              for (const { weights, losses, comparison } of candidates) {
                const results = yield* run(session, { ...feeds, [layer.weight]: weights }, wanted)
                put(losses, batch, results[lossy.losses]!)
                if (reference !== undefined) comparison.add(batch, reference, results[lossy.output]!)
              }
            })
          )
          return Object.fromEntries(
            candidates.map(({ width, losses, comparison }): [string, Increase] => {
              const { value: deltaLoss, stdErr } = Means.pairedDifference(before, losses)
              const deltaWeightSq = squaredNorm(roundingError(graph, layer, width))
              const outputs = options.outputs === true ? { outputs: comparison.result() } : {}
              return [String(width), { deltaWeightSq, deltaLoss, stdErr, ...outputs }]
            })
          )
        })
      )

    const measured: Array<LayerIncrease> = []
    for (const layer of layers)
      measured.push({ id: layer.id, params: layer.weightElements, byBits: yield* increases(layer) })
    yield* Progress.step({ stage, done: runs, total: runs })
    const result: LossIncrease = {
      loss,
      samples: samples.count,
      floatLoss: Means.mean(before),
      layers: measured
    }
    return result
  }) satisfies Effect.Effect<LossIncrease, Evaluate.Failure, unknown>

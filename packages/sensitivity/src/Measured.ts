/**
 * The truth every metric is judged by: the loss's increase when one layer's weights are rounded, all else float.
 *
 * The same samples are scored before and after, so the increase is a mean of paired differences, and its standard
 * error is far below that of either loss. One session a layer serves all bit widths: the layer's weights are an
 * input of it, the other layers' stay constants, which ONNX Runtime lays out in advance (all weights as inputs cost
 * 2.6 times the run time on a depthwise network).
 */
import type { Graph } from "@bitbudget/graph"
import { Gradient, Layer, Model, Tensor } from "@bitbudget/graph"
import { Affine } from "@bitbudget/quant"
import type { Data, Evaluate } from "@bitbudget/runtime"
import { Progress, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { LossName } from "./Loss.ts"
import { defaultFor } from "./Loss.ts"
import * as Samples from "./Samples.ts"

export interface Options {
  readonly graph: Graph.Graph
  /** All layers when absent. */
  readonly layers?: ReadonlyArray<Layer.Layer>
  readonly bits: ReadonlyArray<number>
  readonly split: Data.Split
  readonly samples: number
  /** What the data's labels allow when absent. */
  readonly loss?: LossName
  /** Samples a run, 128 when absent. */
  readonly batchSize?: number
  readonly threads?: number
}

/** Mean increase of the loss with the standard error of the mean over samples. */
export interface Increase {
  /** ‖ΔW‖² of the rounding error. */
  readonly deltaWeightSq: number
  readonly deltaLoss: number
  readonly stdErr: number
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

const squaredDistance = (a: Tensor.Tensor, b: Tensor.Tensor): number => {
  const [x, y] = [Tensor.values(a), Tensor.values(b)]
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += (x[i]! - y[i]!) ** 2
  return sum
}

const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** Mean and standard error of after − before; the error is unknown (NaN) below two samples. */
const pairedDifference = (before: Float64Array, after: Float64Array) => {
  const difference = after.map((value, i) => value - before[i]!)
  const centre = mean(difference)
  const squares = difference.reduce((sum, value) => sum + (value - centre) ** 2, 0)
  const n = difference.length
  return { deltaLoss: centre, stdErr: Math.sqrt(squares / (n - 1) / n) }
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
      samples: options.samples,
      batchSize: options.batchSize ?? 128
    })
    const lossy = Gradient.withLoss(graph, samples.loss.kind, samples.labelShape)
    const stage = "loss increase of each layer"
    const runs = Math.ceil(samples.count / samples.batchSize) * (layers.length * bits.length + 1)
    let done = 0

    /** The losses of all samples, one array for each of the given weights of one layer. */
    const lossesWith = (weight: string | undefined, candidates: ReadonlyArray<Tensor.Tensor>) =>
      Effect.scoped(
        Effect.gen(function* () {
          const freed = weight === undefined ? lossy.graph : Gradient.freeConstants(lossy.graph, [weight])
          const session = yield* Session.make(Model.encode(freed), { name: graph.name, ...threads })
          const feeds =
            weight === undefined ? [{}] : candidates.map((tensor) => ({ [weight]: Value.fromTensor(tensor) }))
          const losses = feeds.map(() => new Float64Array(samples.count))
          yield* Samples.each(samples, (batch) =>
            Effect.gen(function* () {
              for (const [i, feed] of feeds.entries()) {
                yield* Progress.step({ stage, done: done++, total: runs })
                const all = { [samples.input]: batch.inputs, [lossy.target]: batch.target, ...feed }
                const result = (yield* session.run(all, [lossy.losses]))[lossy.losses]!
                if (Value.isNumeric(result.data)) losses[i]!.set(result.data, batch.from)
              }
            })
          )
          return losses
        })
      )

    const before = (yield* lossesWith(undefined, []))[0]!
    const measured: Array<LayerIncrease> = []
    for (const layer of layers) {
      const weights = graph.constants.get(layer.weight)!
      const candidates = bits.map((width) => rounded(graph, layer, width))
      const after = yield* lossesWith(layer.weight, candidates)
      const byBits = Object.fromEntries(
        bits.map((width, i): [string, Increase] => [
          String(width),
          {
            deltaWeightSq: squaredDistance(weights, candidates[i]!),
            ...pairedDifference(before, after[i]!)
          }
        ])
      )
      measured.push({ id: layer.id, params: layer.weightElements, byBits })
    }
    yield* Progress.step({ stage, done: runs, total: runs })
    const result: LossIncrease = { loss, samples: samples.count, floatLoss: mean(before), layers: measured }
    return result
  }) satisfies Effect.Effect<LossIncrease, Evaluate.Failure, unknown>

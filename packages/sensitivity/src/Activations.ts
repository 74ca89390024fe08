/**
 * What rounding a layer's input costs: the loss's increase with the input of one layer at a time in an integer format,
 * all else float. Ranges are the extremes over the same samples.
 *
 * The quantized input is part of the graph, so every layer and bit width is a session of its own.
 */
import { Means } from "@bitbudget/numerics"
import type { Graph, Layer } from "@bitbudget/graph"
import { Gradient, Model, Precision } from "@bitbudget/graph"
import { Affine, FakeQuant, LayerFormat, Ranges } from "@bitbudget/quant"
import type { Data, Evaluate } from "@bitbudget/runtime"
import { Progress, Session, Value } from "@bitbudget/runtime"
import type { Scope } from "effect"
import { Effect } from "effect"
import type { LossName } from "./Loss.ts"
import * as Samples from "./Samples.ts"

export interface Options {
  readonly graph: Graph.Graph
  readonly layers: ReadonlyArray<Layer.Layer>
  /** Bit widths of the inputs. */
  readonly bits: ReadonlyArray<number>
  readonly split: Data.Split
  readonly samples: number
  readonly loss: LossName
  /** Samples a run, 128 when absent. */
  readonly batchSize?: number
  readonly threads?: number
}

export interface InputIncrease {
  /** Step of the format: rounding noise has variance step²/12 (Widrow & Kollár, Quantization Noise, 2008). */
  readonly step: number
  /** Paired mean over samples. */
  readonly deltaLoss: Means.Estimate
}

export interface LayerInput {
  readonly id: string
  /** By bit width. */
  readonly byBits: Readonly<Record<string, InputIncrease>>
}

const opened = (graph: Graph.Graph, { threads }: Options) =>
  Session.make(Model.encode(graph), { name: graph.name, ...(threads === undefined ? {} : { threads }) })

/** Extremes of every layer's input over the samples. */
const rangesOf = (
  options: Options,
  samples: Samples.Samples
): Effect.Effect<Ranges.Ranges, Evaluate.Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const observed = Ranges.observe(options.graph)
    const session = yield* opened(observed.graph, options)
    const ranges = new Map<string, Ranges.Range>()
    yield* Samples.each(samples, (batch) =>
      Effect.map(session.run({ [samples.input]: batch.inputs }), (results) => {
        for (const [value, { low, high }] of observed.outputs) {
          const range = { low: Number(results[low]!.data[0]), high: Number(results[high]!.data[0]) }
          ranges.set(value, Ranges.union(ranges.get(value), range))
        }
      })
    )
    return ranges
  })

export const inputIncreases = (
  options: Options
): Effect.Effect<ReadonlyArray<LayerInput>, Evaluate.Failure> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { graph, layers, split, bits, loss } = options
      const samples = yield* Samples.open({
        graph,
        split,
        loss,
        samples: options.samples,
        batchSize: options.batchSize ?? 128,
        ...(options.threads === undefined ? {} : { threads: options.threads })
      })
      const stage = "loss increase of each layer's input"
      const total = 1 + layers.length * bits.length
      let done = 0
      const lossesOf = (network: Graph.Graph) =>
        Effect.scoped(
          Effect.gen(function* () {
            yield* Progress.step({ stage, done: done++, total })
            const lossy = Gradient.withLoss(network, samples.loss.kind, samples.labelShape)
            const session = yield* opened(lossy.graph, options)
            const losses = new Float64Array(samples.count)
            yield* Samples.each(samples, (batch) =>
              Effect.map(
                session.run({ [samples.input]: batch.inputs, [lossy.target]: batch.target }, [lossy.losses]),
                (results) => {
                  const { data } = results[lossy.losses]!
                  if (Value.isNumeric(data)) losses.set(data.subarray(0, batch.to - batch.from), batch.from)
                }
              )
            )
            return losses
          })
        )

      const ranges = yield* Effect.scoped(rangesOf(options, samples))
      const before = yield* lossesOf(graph)
      const found: Array<LayerInput> = []
      for (const layer of layers) {
        const byBits: Record<string, InputIncrease> = {}
        for (const width of bits) {
          const precision = { weights: Precision.float(32), activations: Precision.int(width) }
          const formats = new Map([[layer.id, LayerFormat.layerFormat(precision)]])
          const after = yield* lossesOf(FakeQuant.rewrite(graph, formats, ranges))
          const { low, high } = ranges.get(layer.input)!
          const step = Affine.affineParameters(low, high, width).scale
          byBits[String(width)] = { step, deltaLoss: Means.pairedDifference(before, after) }
        }
        found.push({ id: layer.id, byBits })
      }
      yield* Progress.step({ stage, done: total, total })
      return found
    })
  )

/**
 * What rounding a layer's input costs: the loss's increase with the input of one layer at a time in an integer format,
 * all else float.
 *
 * The quantized input is part of the graph, so every layer and bit width is a session of its own.
 */
import { Means } from "@bitbudget/numerics"
import type { Graph, Layer } from "@bitbudget/graph"
import { Gradient, Model } from "@bitbudget/graph"
import { ActivationFormat, Choice, FakeQuant, Ranges, WeightFormat } from "@bitbudget/quant"
import type { Data, Evaluate } from "@bitbudget/runtime"
import { Progress, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { LossName } from "./Loss.ts"
import * as Samples from "./Samples.ts"

export interface Options {
  readonly graph: Graph.Graph
  readonly layers: ReadonlyArray<Layer.Layer>
  readonly formats: ReadonlyArray<ActivationFormat.IntegerActivations>
  /** Of the layers' inputs. */
  readonly ranges: Ranges.Ranges
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
  /** By activation format. */
  readonly byFormat: Readonly<Record<string, InputIncrease>>
}

const opened = (graph: Graph.Graph, { threads }: Options) =>
  Session.make(Model.encode(graph), { name: graph.name, ...(threads === undefined ? {} : { threads }) })

export const inputIncreases = (
  options: Options
): Effect.Effect<ReadonlyArray<LayerInput>, Evaluate.Failure> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { graph, layers, split, formats, loss, ranges } = options
      const samples = yield* Samples.open({
        graph,
        split,
        loss,
        samples: options.samples,
        batchSize: options.batchSize ?? 128,
        ...(options.threads === undefined ? {} : { threads: options.threads })
      })
      const stage = "loss increase of each layer's input"
      const total = 1 + layers.length * formats.length
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
                session.run({ ...batch.inputs, [lossy.target]: batch.target }, [lossy.losses]),
                (results) => {
                  const { data } = results[lossy.losses]!
                  if (Value.isNumeric(data)) losses.set(data.subarray(0, batch.to - batch.from), batch.from)
                }
              )
            )
            return losses
          })
        )

      const before = yield* lossesOf(graph)
      const found: Array<LayerInput> = []
      for (const layer of layers) {
        const byFormat: Record<string, InputIncrease> = {}
        for (const format of formats) {
          const choices = new Map([[layer.id, Choice.make(WeightFormat.float32, format)]])
          const after = yield* lossesOf(FakeQuant.rewrite(graph, choices, ranges))
          const step = Ranges.parametersAt(ranges, layer.input, format.bits)!.scale
          byFormat[ActivationFormat.show(format)] = { step, deltaLoss: Means.pairedDifference(before, after) }
        }
        found.push({ id: layer.id, byFormat })
      }
      yield* Progress.step({ stage, done: total, total })
      return found
    })
  )

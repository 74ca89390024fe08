/**
 * The empirical Fisher of every layer: E_n ‖∂loss_n/∂W_l‖², the trace of the mean outer product of per-sample
 * gradients. It needs labels, and one backward pass. (Kunstner et al., NeurIPS 2019, on how it differs from the Fisher,
 * which for cross-entropy is the Gauss–Newton trace.)
 */
import { Means } from "@bitbudget/numerics"
import type { Graph, Layer } from "@bitbudget/graph"
import { Gradient, GraphBuilder, Model } from "@bitbudget/graph"
import type { Evaluate } from "@bitbudget/runtime"
import { Progress, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { result } from "./Directional.ts"
import { operandsOf } from "./gaussnewton/operands.ts"
import { squaredNorms } from "./gaussnewton/squaredNorms.ts"
import * as Samples from "./Samples.ts"
import * as Setting from "./Setting.ts"

export interface LayerFisher extends Means.Estimate {
  readonly id: string
}

/** Copies of the network's values: forward, backward, and the columns of its convolutions. */
const COPIES = 6
const LARGEST_BATCH = 32

/** A graph with one result [N, 1] a layer. */
const normGraph = (
  graph: Graph.Graph,
  lossy: Gradient.Lossy,
  layers: ReadonlyArray<Layer.Layer>,
  batch: number
) => {
  const builder = GraphBuilder.from(Gradient.bindBatch(lossy.graph, batch))
  const e = new Gradient.Algebra(builder, "fisher/")
  const outputs = layers.map(({ output }) => output)
  const gradients = Gradient.reverse(e, new Map([[e.total(lossy.losses), e.number(1)]]), outputs)
  const norms = layers.map((layer, l) => {
    const squares = squaredNorms(e, operandsOf(e, graph, layer, batch), [gradients[l]!])
    return result(builder, squares, `fisher/${l}`)
  })
  return { graph: Gradient.lower(builder.finish(norms)), norms }
}

/** Mean over samples of the squared norm of each layer's gradient; the standard error is over samples. */
export const fisher = (
  options: Setting.Setting
): Effect.Effect<ReadonlyArray<LayerFisher>, Evaluate.Failure | Gradient.NotDifferentiable> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { graph, layers } = options
      const { samples, lossy, threads } = yield* Setting.open(options, COPIES, LARGEST_BATCH)
      const made = yield* Gradient.attempt(() => normGraph(graph, lossy, layers, samples.batchSize))
      const session = yield* Session.make(Model.encode(made.graph), {
        name: `gradients of ${graph.name}`,
        ...threads
      })
      const norms = layers.map(() => new Float64Array(samples.count))
      const stage = "empirical Fisher"
      yield* Samples.each(samples, (batch) =>
        Effect.gen(function* () {
          yield* Progress.step({ stage, done: batch.from, total: samples.count })
          const feeds = { ...batch.inputs, [lossy.target]: batch.target }
          const results = yield* session.run(feeds)
          made.norms.forEach((name, l) => {
            const { data } = results[name]!
            if (Value.isNumeric(data)) norms[l]!.set(data.subarray(0, batch.to - batch.from), batch.from)
          })
        })
      )
      yield* Progress.step({ stage, done: samples.count, total: samples.count })
      const figure = ({ id }: Layer.Layer, l: number): LayerFisher => ({ id, ...Means.estimate(norms[l]!) })
      return layers.map(figure)
    })
  )

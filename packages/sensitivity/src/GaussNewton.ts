/**
 * The Gauss–Newton trace of every layer's weights: tr G_l = E_n Σ_k ‖∂⟨S_k, z_n⟩/∂W_l‖², H_z = S Sᵀ the loss's Hessian
 * in the network's output z.
 *
 * One backward pass a column of S, all layers at once, with per-sample weight-gradient norms; no labels, and no random
 * probes of the weights. With few classes every column is taken and the trace is exact for the samples; with many,
 * random directions of the output's space (tens of numbers, not the millions of the weights) give it with a standard
 * error. Where a network is piecewise linear in one layer's weights (convolutions, ReLU, sums, pooling) this is the
 * trace of the layer's Hessian block itself. (Schraudolph, Neural Computation 14, 2002; Dangel et al., BackPACK, 2020.)
 */
import { Means } from "@bitbudget/numerics"
import type { Graph } from "@bitbudget/graph"
import { Dim, Gradient, Layer, Model } from "@bitbudget/graph"
import type { Data, Evaluate } from "@bitbudget/runtime"
import { Progress, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { targetOf } from "./gaussnewton/curvature.ts"
import { signs, units } from "./gaussnewton/directions.ts"
import { runOf, traceGraph } from "./gaussnewton/graph.ts"
import type { LossName } from "./Loss.ts"
import { defaultFor, named } from "./Loss.ts"
import * as Samples from "./Samples.ts"

export interface Options {
  readonly graph: Graph.Graph
  readonly split: Data.Split
  readonly samples: number
  /** Whose curvature; the labels' values do not matter. What the data's labels allow when absent. */
  readonly loss?: LossName
  /** All products when absent. */
  readonly layers?: ReadonlyArray<Layer.Layer>
  /**
   * Output directions a sample: from as many as the loss has (classes − 1, times tokens) on, the traces are exact.
   * When absent all of them up to 128, otherwise 16 random ones. At least 2, or there is no standard error.
   */
  readonly directions?: number
  /** Seed of random directions, 0 when absent. */
  readonly seed?: number
  /** Samples a run; what memory allows, up to 32, when absent. A model with a fixed batch has its own. */
  readonly batchSize?: number
  readonly threads?: number
}

export interface LayerTrace {
  readonly id: string
  readonly params: number
  readonly trace: number
  /** Whether all directions were taken: then the trace is exact for these samples. */
  readonly exact: boolean
  /** Of the random directions, for these samples; 0 when exact. */
  readonly stdErr: number
  /** Over the samples: what another draw of the data would change. Null for one sample. */
  readonly samplingStdErr: number | null
}

const exactUpTo = 128
export const randomDirections = 16

/** Running sums of one layer: of each sample's squared norms, and of their squares. */
interface Sums {
  readonly norms: Float64Array
  readonly squares: Float64Array
}

/** Trace and errors from per-sample sums over `directions` directions, all of them where `exact`. */
const estimate = ({ norms, squares }: Sums, directions: number, exact: boolean) => {
  const values = exact ? norms : norms.map((sum) => sum / directions)
  const { value: trace, stdErr: samplingStdErr } = Means.estimate(values)
  const within = values.reduce((sum, value, i) => sum + squares[i]! - directions * value ** 2, 0)
  const stdErr = exact ? 0 : Math.sqrt(Math.max(0, within) / (directions - 1) / directions) / values.length
  return { trace, stdErr, samplingStdErr }
}

/** Adds a run's squared norms [samples, directions] to the sums of the batch's samples. */
const add = (
  { norms, squares }: Sums,
  { data }: Value.Value,
  batch: Samples.Batch,
  directions: number
): void => {
  if (!Value.isNumeric(data)) throw new Error("GaussNewton: squared norms are floats")
  for (let n = 0; n < batch.to - batch.from; n++)
    for (let d = 0; d < directions; d++) {
      const value = data[n * directions + d]!
      norms[batch.from + n]! += value
      squares[batch.from + n]! += value ** 2
    }
}

/** Traces of all layers on the first samples of a split, in the order of the layers. */
export const traces = (
  options: Options
): Effect.Effect<ReadonlyArray<LayerTrace>, Evaluate.Failure | Gradient.NotDifferentiable> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { graph, split, seed = 0 } = options
      const threads = options.threads === undefined ? {} : { threads: options.threads }
      const layers = options.layers ?? Layer.productsOf(graph)
      const loss = options.loss ?? defaultFor(options.graph, split)
      const target = targetOf(graph, named(loss), split)
      const all = target.free.length
      const wanted = options.directions ?? (all <= exactUpTo ? all : randomDirections)
      const total = Math.min(all, Math.max(2, wanted))
      const exact = total === all
      const count = Math.min(options.samples, split.size)
      const run = runOf(graph, layers, { samples: count, directions: total }, options.batchSize)
      const samples = yield* Samples.open({
        ...threads,
        graph,
        split,
        loss,
        samples: count,
        batchSize: run.samples,
        filled: true
      })
      const made = yield* Gradient.attempt(() => traceGraph(graph, layers, target, run))
      const session = yield* Session.make(Model.encode(made.graph), {
        name: `traces of ${graph.name}`,
        ...threads
      })
      const size = Dim.elements(target.shape)
      const shape = [run.samples, run.directions, ...target.shape]
      const sums = layers.map((): Sums => ({
        norms: new Float64Array(count),
        squares: new Float64Array(count)
      }))
      const stage = "Gauss-Newton traces"
      yield* Samples.each(samples, (batch) =>
        Effect.gen(function* () {
          for (let first = 0; first < total; first += run.directions) {
            yield* Progress.step({ stage, done: batch.from * total + first, total: count * total })
            const block = { ...run, fromSample: batch.from, first }
            const data = exact
              ? units(block, size, target.free)
              : signs(block, size, target.free, total, seed)
            const feeds = { ...batch.inputs, [made.direction]: Value.float32(shape, data) }
            const results = yield* session.run(feeds)
            made.norms.forEach((name, l) => add(sums[l]!, results[name]!, batch, run.directions))
          }
        })
      )
      yield* Progress.step({ stage, done: count * total, total: count * total })
      return layers.map((layer, l): LayerTrace => {
        const { trace, stdErr, samplingStdErr } = estimate(sums[l]!, total, exact)
        return { id: layer.id, params: layer.weightElements, trace, exact, stdErr, samplingStdErr }
      })
    })
  )

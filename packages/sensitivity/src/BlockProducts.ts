/**
 * Products of layers' own Hessian blocks with vectors, H_ll·v_l, as ONNX graphs.
 *
 * Where Gauss–Newton is the Hessian, one graph serves all layers at once: with u_j = ⟨∂⟨s_j, z_n⟩/∂y_l, op(x_l, v_l)⟩
 * the product is the gradient of ½·Σ_n Σ_j u_j² with respect to v_l, in which layers do not mix. Elsewhere a layer
 * has a graph of its own: the gradient with respect to its weights of the loss's slope along v_l (Pearlmutter 1994).
 * A sample's part is weighted by 1/N, or 0 where it only fills up the last batch, so batches add up.
 */
import type { Graph, Layer } from "@bitbudget/graph"
import { Dim, Gradient, GraphBuilder, Model } from "@bitbudget/graph"
import type { Evaluate } from "@bitbudget/runtime"
import { Session, Value } from "@bitbudget/runtime"
import type { Scope } from "effect"
import { Effect } from "effect"
import { bySample, responseTo, result } from "./Directional.ts"
import type { Target } from "./gaussnewton/curvature.ts"
import { units } from "./gaussnewton/directions.ts"
import { passesFor } from "./Memory.ts"
import * as Samples from "./Samples.ts"

export interface Options {
  readonly graph: Graph.Graph
  /** Filled up to whole batches. */
  readonly samples: Samples.Samples
  readonly lossy: Gradient.Lossy
  readonly layers: ReadonlyArray<Layer.Layer>
  /** Output directions for Gauss–Newton products, all of them; absent for the Hessian itself, of one layer. */
  readonly target?: Target
  readonly threads?: number
}

/** One vector a layer → one product a layer. */
export type BlockProducts = (
  vectors: ReadonlyArray<Float64Array>
) => Effect.Effect<ReadonlyArray<Float64Array>, Evaluate.Failure>

export const DIRECTIONS_A_RUN = 16

interface Made {
  readonly graph: Graph.Graph
  readonly share: string
  readonly vectors: ReadonlyArray<string>
  readonly direction: string | undefined
  readonly products: ReadonlyArray<string>
}

const productGraph = ({ graph, samples, lossy, layers, target }: Options, directions: number): Made => {
  const batch = samples.batchSize
  const builder = GraphBuilder.from(Gradient.bindBatch(lossy.graph, batch))
  const e = new Gradient.Algebra(builder, "block/")
  const share = builder.input(builder.fresh("block/share"), "float32", [batch])
  const vectors = layers.map(({ weightShape }, l) =>
    builder.input(builder.fresh(`block/vector/${l}`), "float32", weightShape)
  )
  const responses = layers.map((layer, l) => responseTo(e, layer, vectors[l]!))
  const values = layers.map(({ output }) => output)
  const one = e.number(1)
  const finish = (gradients: ReadonlyArray<string>, direction: string | undefined): Made => {
    const products = gradients.map((gradient, l) => result(builder, gradient, `product/${l}`))
    return { graph: Gradient.lower(builder.finish(products)), share, vectors, direction, products }
  }
  /** ⟨gradient, response⟩ of every sample. */
  const along = (gradient: string, l: number) => {
    const [a, b] = [gradient, responses[l]!].map((name) => bySample(e, graph, name, values[l]!))
    return e.rowDots(a!, b!)
  }
  if (target === undefined) {
    const gradients = Gradient.reverse(e, new Map([[e.total(lossy.losses), one]]), values)
    const slope = gradients.map((g, l) => e.total(e.mul(along(g, l), share))).reduce((a, b) => e.add(a, b))
    const weights = layers.map(({ node, weightInput }) => node.inputs[weightInput]!)
    return finish(Gradient.reverse(e, new Map([[slope, one]]), weights), undefined)
  }
  const curvature = Gradient.curvatureOf(e, target)
  const fed = builder.fresh("block/direction")
  const direction = builder.input(fed, "float32", [batch, directions, ...target.shape])
  let energy = e.number(0)
  for (let d = 0; d < directions; d++) {
    const unit = e.reshape(e.slice(direction, [1], [d], [d + 1]), [batch, ...target.shape])
    const gradients = Gradient.reverse(e, new Map([[lossy.output, curvature(unit)]]), values)
    gradients.forEach((g, l) => {
      const u = along(g, l)
      energy = e.add(energy, e.total(e.mul(e.mul(u, u), e.scale(0.5, share))))
    })
  }
  return finish(Gradient.reverse(e, new Map([[energy, one]]), vectors), direction)
}

export const open = (
  options: Options
): Effect.Effect<BlockProducts, Evaluate.Failure | Gradient.NotDifferentiable, Scope.Scope> =>
  Effect.gen(function* () {
    const { graph, samples, lossy, layers, target } = options
    const rows = samples.batchSize
    const total = target === undefined ? 1 : target.free.length
    const directions = passesFor(graph, 2, Math.min(total, DIRECTIONS_A_RUN))
    const made = yield* Gradient.attempt(() => productGraph(options, directions))
    const session = yield* Session.make(Model.encode(made.graph), {
      name: `Hessian blocks of ${graph.name}`,
      ...(options.threads === undefined ? {} : { threads: options.threads })
    })
    const size = target === undefined ? 0 : Dim.elements(target.shape)

    /** What a run is fed beside the samples and vectors: the output directions from `first` on. */
    const directionFeed = (first: number, fromSample: number) => {
      if (target === undefined || made.direction === undefined) return {}
      const block = { fromSample, samples: rows, first, directions }
      const data = units(block, size, target.free)
      return { [made.direction]: Value.float32([rows, directions, ...target.shape], data) }
    }

    return (vectors) =>
      Effect.gen(function* () {
        const sums = vectors.map(({ length }) => new Float64Array(length))
        const fed = made.vectors.map(
          (name, l) => [name, Value.float32(layers[l]!.weightShape, Float32Array.from(vectors[l]!))] as const
        )
        yield* Samples.each(samples, (batch) =>
          Effect.gen(function* () {
            const share = Float32Array.from({ length: rows }, (_, i) =>
              batch.from + i < batch.to ? 1 / samples.count : 0
            )
            const feeds = {
              ...batch.inputs,
              [lossy.target]: batch.target,
              [made.share]: Value.float32([rows], share),
              ...Object.fromEntries(fed)
            }
            for (let first = 0; first < total; first += directions) {
              const results = yield* session.run({ ...feeds, ...directionFeed(first, batch.from) })
              made.products.forEach((name, l) => {
                const { data } = results[name]!
                const sum = sums[l]!
                for (let i = 0; i < sum.length; i++) sum[i]! += Number(data[i])
              })
            }
          })
        )
        return sums
      })
  })

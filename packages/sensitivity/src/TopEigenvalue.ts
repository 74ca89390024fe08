/**
 * The largest eigenvalue of every layer's Hessian block (HAWQ, Dong et al., ICCV 2019, ranks layers by it).
 *
 * Layers whose block is the Gauss–Newton matrix are searched side by side in one graph, as long as the outputs are few
 * enough to take all their directions; the others one after the other, by products of the Hessian itself.
 */
import { Random } from "@bitbudget/numerics"
import type { Layer } from "@bitbudget/graph"
import { Gradient } from "@bitbudget/graph"
import type { Evaluate } from "@bitbudget/runtime"
import { Progress } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as BlockProducts from "./BlockProducts.ts"
import type { Statement } from "./Curvature.ts"
import type { Eigenpair } from "./Eigenvalue.ts"
import { largest } from "./Eigenvalue.ts"
import { targetOf } from "./gaussnewton/curvature.ts"
import { named } from "./Loss.ts"
import * as Setting from "./Setting.ts"

export interface Options extends Setting.Setting {
  readonly statement: Statement
  readonly seed: number
}

export interface LayerEigenvalue extends Eigenpair {
  readonly id: string
}

/** Residual over eigenvalue at which a search ends: the eigenvalue's error is of its square. */
const TOLERANCE = 0.02
const MOST_PRODUCTS = 100
const FEW_DIRECTIONS = 64
const LARGEST_BATCH = 32
/** Copies of the network's values a Hessian's products take. */
const COPIES = 6

const stage = "top eigenvalues"

/** Searches of these layers side by side. */
const search = (
  options: Options,
  layers: ReadonlyArray<Layer.Layer>,
  gaussNewton: boolean,
  done: number
): Effect.Effect<ReadonlyArray<LayerEigenvalue>, Evaluate.Failure | Gradient.NotDifferentiable> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { graph, split, loss, seed } = options
      const copies = gaussNewton ? 2 + BlockProducts.DIRECTIONS_A_RUN : COPIES
      const { samples, lossy, threads } = yield* Setting.open(options, copies, LARGEST_BATCH)
      const target = gaussNewton ? { target: targetOf(graph, named(loss), split) } : {}
      const products = yield* BlockProducts.open({ graph, samples, lossy, layers, ...target, ...threads })
      const searches = layers.map(({ id, weightElements }) => {
        const start = Float64Array.from(Random.normal(seed, `eigenvector ${id}`, weightElements))
        return largest(start, TOLERANCE, MOST_PRODUCTS)
      })
      let states = searches.map((each) => each.next())
      while (states.some((state) => state.done !== true)) {
        const finished = states.filter((state) => state.done === true).length
        yield* Progress.step({ stage, done: done + finished, total: options.layers.length })
        const vectors = states.map((state, l) =>
          state.done === true ? new Float64Array(layers[l]!.weightElements) : state.value
        )
        const found = yield* products(vectors)
        states = states.map((state, l) => (state.done === true ? state : searches[l]!.next(found[l]!)))
      }
      return states.flatMap((state, l) => (state.done === true ? [layerPair(layers[l]!, state.value)] : []))
    })
  )

const layerPair = ({ id }: Layer.Layer, pair: Eigenpair): LayerEigenvalue => ({ id, ...pair })

export const topEigenvalues = (
  options: Options
): Effect.Effect<ReadonlyArray<LayerEigenvalue>, Evaluate.Failure | Gradient.NotDifferentiable> =>
  Effect.gen(function* () {
    const { graph, layers, split, loss, statement } = options
    const few = targetOf(graph, named(loss), split).free.length <= FEW_DIRECTIONS
    const together = few ? layers.filter(({ id }) => statement.layers.get(id) === null) : []
    const found = together.length === 0 ? [] : [...(yield* search(options, together, true, 0))]
    for (const layer of layers)
      if (!together.includes(layer)) found.push(...(yield* search(options, [layer], false, found.length)))
    yield* Progress.step({ stage, done: layers.length, total: layers.length })
    const byId = new Map(found.map((pair) => [pair.id, pair]))
    return layers.map(({ id }) => byId.get(id)!)
  })

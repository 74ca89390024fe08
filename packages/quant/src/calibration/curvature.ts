/**
 * The curvature of the divergence of class probabilities in a layer's weights, as a product of two small matrices:
 * ½·tr(G Δ H Δᵀ) for a change Δ [outputs, inputs], where GPTQ's XᵀX knows the inputs only.
 *
 * With x the inputs at a position (token) and g the gradient there of a random direction of the output's curvature,
 * the Gauss–Newton matrix is E ggᵀ ⊗ xxᵀ; G = E ggᵀ and H = E xxᵀ, as if g and x were independent and positions too
 * (Martens & Grosse, K-FAC, 2015). Nearer products, of whole samples' gradients Σ g xᵀ or with xxᵀ weighted by ‖g‖², lose less
 * on the samples and more on other text: they ask for more samples than there are.
 */
import { Dim, Gradient, type Graph, GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import { Random } from "@bitbudget/numerics"
import { Effect } from "effect"
import type { Calibration } from "./Calibration.ts"
import { sums } from "./passes.ts"

export interface Factors {
  /** H: what the inputs bring, [inputs, inputs] row-major. */
  readonly inputs: Float64Array
  /** G: what the outputs are worth, [outputs, outputs] row-major. */
  readonly outputs: Float64Array
}

/** Sides up to which a matrix is kept. */
const LARGEST_SIDE = 4096

/** Whether a layer's weights are one matrix on the right of a product. */
const isMatrix = ({ op, node, weightInput, weightShape }: Layer.Layer): boolean =>
  weightInput === 1 &&
  weightShape.length === 2 &&
  Math.max(...weightShape) <= LARGEST_SIDE &&
  (op === "MatMul" || (node.op === "Gemm" && !node.attributes.transA))

/** A value as [positions, channels]. */
const rowsOf = (e: Gradient.Algebra, name: string): string => {
  const shape = e.shape(name)
  const channels = shape.at(-1)!
  return e.reshape(name, [Dim.elements(shape) / channels, channels])
}

/** A network's factors depend on its samples only, and every plan of it asks for them. */
const found = new WeakMap<object, WeakMap<Graph.Graph, ReadonlyMap<string, Factors>>>()

/**
 * Factors by layer id, of those layers of a float network that have them; none where the output is not scores of classes or no
 * gradient leads to the layers. They are taken once for each network and samples.
 */
export const curvatures = <E>(
  graph: Graph.Graph,
  calibration: Calibration<E>
): Effect.Effect<ReadonlyMap<string, Factors>, E> =>
  Effect.suspend(() => {
    const known = found.get(calibration)?.get(graph)
    if (known !== undefined) return Effect.succeed(known)
    return Effect.tap(measured(graph, calibration), (factors) =>
      Effect.sync(() => {
        const own = found.get(calibration) ?? new WeakMap<Graph.Graph, ReadonlyMap<string, Factors>>()
        found.set(calibration, own.set(graph, factors))
      })
    )
  })

const measured = <E>(
  graph: Graph.Graph,
  calibration: Calibration<E>
): Effect.Effect<ReadonlyMap<string, Factors>, E> =>
  Effect.gen(function* () {
    const { batchSize, classAxis } = calibration
    const own = Layer.productsOf(graph).filter(isMatrix)
    if (classAxis === undefined || own.length === 0) return new Map()
    const output = Gradient.scoredOutput(graph, "crossEntropy")
    const bound = Gradient.bindBatch(graph, batchSize)
    const shape = Dim.shapeAt(bound.values.get(output)!.shape.slice(1), 1)
    const scored: Gradient.Scored = { output, shape, classAxis }
    const builder = GraphBuilder.from(bound)
    const e = new Gradient.Algebra(builder, "curvature/")
    const direction = builder.input(builder.fresh("curvature/direction"), "float32", [batchSize, ...shape])
    const names = new Map<string, { readonly inputs: string; readonly outputs: string }>()
    const differentiable = yield* Gradient.attempt(() => {
      const cotangent = Gradient.curvatureOf(e, scored)(direction)
      const slopes = Gradient.reverse(
        e,
        new Map([[output, cotangent]]),
        own.map((layer) => layer.output)
      )
      own.forEach((layer, l) => {
        const [x, g] = [rowsOf(e, layer.input), rowsOf(e, slopes[l]!)]
        names.set(layer.id, {
          inputs: e.matmul(e.transposeLast(x), x),
          outputs: e.matmul(e.transposeLast(g), g)
        })
      })
      return true
    }).pipe(Effect.catchTag("NotDifferentiable", () => Effect.succeed(false)))
    if (!differentiable || names.size === 0) return new Map()
    const free = Gradient.freePositions(scored)
    const feedsOf = (batch: number) => {
      const size = Dim.elements(shape)
      const data = new Float32Array(batchSize * size)
      for (let n = 0; n < batchSize; n++) {
        const signs = Random.rademacher(0, `curvature, sample ${batch * batchSize + n}`, free.length)
        for (let i = 0; i < free.length; i++) data[n * size + free[i]!] = signs[i]!
      }
      return new Map([[direction, Tensor.float32([batchSize, ...shape], data)]])
    }
    const asked = [...names.values()].flatMap(({ inputs, outputs }) => [inputs, outputs])
    const made = Gradient.lower(builder.finish([...new Set(asked)]))
    const totals = yield* sums(calibration, made, { feedsOf })
    return new Map(
      [...names].map(([id, { inputs, outputs }]): [string, Factors] => [
        id,
        { inputs: totals.get(inputs)!, outputs: totals.get(outputs)! }
      ])
    )
  })

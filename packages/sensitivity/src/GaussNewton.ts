/**
 * The Gauss–Newton trace of every layer's weights, exactly: tr G_l = E_n Σ_k ‖∂⟨S_k, z_n⟩/∂W_l‖², with
 * H_z = diag(p) − ppᵀ = SSᵀ the Hessian of softmax cross-entropy in the logits z and S_k = √p_k (e_k − p).
 *
 * One backward pass a class, all in one graph, with per-sample weight-gradient norms; no random probes and no
 * labels. Where a network is piecewise linear in one layer's weights (convolutions, ReLU, sums, pooling) this is
 * the trace of the layer's Hessian block itself. Weights of convolutions and two-dimensional Gemm are covered.
 */
import type { Graph } from "@bitbudget/graph"
import { Gradient, GraphBuilder, Layer, Model, Tensor } from "@bitbudget/graph"
import type { Data, Evaluate } from "@bitbudget/runtime"
import { Progress, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as Samples from "./Samples.ts"

export interface Options {
  readonly graph: Graph.Graph
  readonly split: Data.Split
  readonly samples: number
  /** Samples a run; the last one is filled up. 32 when absent. */
  readonly batchSize?: number
  readonly threads?: number
}

export interface LayerTrace {
  readonly id: string
  readonly params: number
  readonly trace: number
  /** Over the samples: what another draw of the data would change. The value itself is exact for these. */
  readonly samplingStdErr: number
}

/** Σ over weights of the squared per-sample gradient: [N]. */
const squaredNorms = (e: Gradient.Algebra, layer: Layer.Layer, g: string): string => {
  const { node } = layer
  if (node.op === "Conv") {
    const { outputPadding: _, ...window } = { outputPadding: [], ...node.attributes }
    const gradients = Gradient.sampleWeightGradients(e, layer.input, g, window)
    const axes = e.shape(gradients).flatMap((_, i) => (i === 0 ? [] : [i]))
    return e.apply("ReduceSumSquare", [gradients], { axes, keepDims: false })
  }
  if (node.op === "Gemm" && layer.weightInput === 1 && !node.attributes.transA) {
    // ‖a gᵀ‖² = ‖a‖²·‖g‖²
    const squares = (name: string) => e.apply("ReduceSumSquare", [name], { axes: [1], keepDims: false })
    return e.scale(node.attributes.alpha ** 2, e.mul(squares(layer.input), squares(g)))
  }
  throw Gradient.NotDifferentiable.at(node, "exact traces cover Conv and Gemm layers")
}

/** A graph with one result [N] a layer: Σ_k of the squared norms. */
const traceGraph = (graph: Graph.Graph, layers: ReadonlyArray<Layer.Layer>, batch: number) => {
  const logits = Gradient.scoredOutput(graph, "crossEntropy")
  const e = new Gradient.Algebra(
    GraphBuilder.from(Gradient.bindBatch({ ...graph, outputs: [logits] }, batch))
  )
  const [rows, classes, ...rest] = e.shape(logits)
  if (rows !== batch || classes === undefined || rest.length > 0)
    throw new Gradient.NotDifferentiable({
      node: logits,
      op: "output",
      why: `exact traces need logits [N, classes], and these are [${e.shape(logits).join(",")}]`
    })
  const p = e.apply("Softmax", [logits], { axis: 1 })
  const sums = layers.map((): string | undefined => undefined)
  for (let k = 0; k < classes; k++) {
    const unit = e.constant(
      Tensor.float32(
        [1, classes],
        Float32Array.from({ length: classes }, (_, i) => (i === k ? 1 : 0))
      )
    )
    const root = e.unary("Sqrt", e.slice(p, [1], [k], [k + 1]))
    const seed = e.mul(root, e.sub(unit, p))
    const gradients = Gradient.reverse(
      e,
      new Map([[logits, seed]]),
      layers.map(({ output }) => output)
    )
    gradients.forEach((g, l) => {
      const norms = squaredNorms(e, layers[l]!, g)
      sums[l] = sums[l] === undefined ? norms : e.add(sums[l], norms)
    })
  }
  const outputs = sums.map((sum) => sum!)
  return { graph: Gradient.lower(e.builder.finish(outputs)), outputs }
}

/** The value with its last row repeated until there are `rows`. */
const filledUp = (value: Value.Value, rows: number): Value.Value => {
  const have = value.shape[0]!
  if (have === rows) return value
  const length = value.data.length / have
  const data = Value.zeros(value.dtype, rows * length)
  for (let i = 0; i < data.length; i++)
    data[i] = value.data[Math.min(Math.floor(i / length), have - 1) * length + (i % length)]!
  return Value.make(value.dtype, [rows, ...value.shape.slice(1)], data)
}

/** Exact traces of all Conv and Gemm layers on the first samples of a split. */
export const traces = (
  options: Options
): Effect.Effect<ReadonlyArray<LayerTrace>, Evaluate.Failure | Gradient.NotDifferentiable> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { graph, split } = options
      const threads = options.threads === undefined ? {} : { threads: options.threads }
      const batchSize = options.batchSize ?? 32
      const samples = yield* Samples.open({
        ...threads,
        graph,
        split,
        loss: "ownPredictions",
        samples: options.samples,
        batchSize
      })
      const layers = Layer.layersOf(graph)
      const made = yield* Gradient.attempt(() => traceGraph(graph, layers, samples.batchSize))
      const session = yield* Session.make(Model.encode(made.graph), {
        name: `traces of ${graph.name}`,
        ...threads
      })
      const values = layers.map(() => new Float64Array(samples.count))
      const stage = "exact Gauss-Newton traces"
      yield* Samples.each(samples, (batch) =>
        Effect.gen(function* () {
          yield* Progress.step({ stage, done: batch.from, total: samples.count })
          const results = yield* session.run({ [samples.input]: filledUp(batch.inputs, samples.batchSize) })
          made.outputs.forEach((name, l) => {
            const { data } = results[name]!
            if (Value.isNumeric(data)) values[l]!.set(data.subarray(0, batch.to - batch.from), batch.from)
          })
        })
      )
      yield* Progress.step({ stage, done: samples.count, total: samples.count })
      return layers.map((layer, l): LayerTrace => {
        const n = samples.count
        const trace = values[l]!.reduce((sum, value) => sum + value, 0) / n
        const squares = values[l]!.reduce((sum, value) => sum + (value - trace) ** 2, 0)
        return {
          id: layer.id,
          params: layer.weightElements,
          trace,
          samplingStdErr: Math.sqrt(squares / (n - 1) / n)
        }
      })
    })
  )

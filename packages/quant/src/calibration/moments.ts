/**
 * How much each input channel of a layer carries, E[x²]: what an error of the weights that read it costs on average. The
 * diagonal of XᵀX but for the border of an image, from one cheap pass. (Lin et al., AWQ, 2024, scale by such statistics.)
 */
import { Gradient, type Graph, GraphBuilder, type Layer } from "@bitbudget/graph"
import { Effect } from "effect"
import type { Calibration } from "./Calibration.ts"
import { sums } from "./passes.ts"

/** Axis of the channels that a layer multiplies, in its input. */
const inputAxis = ({ op, node, weightInput }: Layer.Layer, rank: number): number => {
  if (op === "Conv" || op === "ConvTranspose") return 1
  if (op === "MatMul") return weightInput === 1 ? rank - 1 : rank - 2
  const transposed =
    node.op === "Gemm" && (weightInput === 1 ? node.attributes.transA : node.attributes.transB)
  return transposed === (weightInput === 1) ? rank - 2 : rank - 1
}

/** E[x²] of a layer's input channels, spread over its weights: one importance a weight, in row-major order. */
const spread = (layer: Layer.Layer, moments: Float64Array): Float64Array => {
  const { weightShape, channelAxis, op, groups } = layer
  const inner = (axis: number) => weightShape.slice(axis + 1).reduce((a, b) => a * b, 1)
  // The weights' axis of input channels: of a group in a Conv, of all in a ConvTranspose, else the other axis of two.
  const axis =
    op === "Conv"
      ? 1
      : op === "ConvTranspose"
        ? 0
        : channelAxis === weightShape.length - 1
          ? weightShape.length - 2
          : weightShape.length - 1
  const [own, size] = [inner(axis), weightShape[axis]!]
  const perGroup = weightShape[0]! / groups
  const inGroup = (i: number) => (op === "Conv" ? Math.floor(Math.floor(i / inner(0)) / perGroup) * size : 0)
  return Float64Array.from(
    { length: layer.weightElements },
    (_, i) => moments[inGroup(i) + (Math.floor(i / own) % size)]!
  )
}

/** Importance of every weight by layer id. */
export const inputImportance = <E>(
  graph: Graph.Graph,
  layers: ReadonlyArray<Layer.Layer>,
  calibration: Calibration<E>
): Effect.Effect<ReadonlyMap<string, Float64Array>, E> => {
  if (layers.length === 0) return Effect.succeed(new Map())
  const bound = Gradient.bindBatch(graph, calibration.batchSize)
  const e = new Gradient.Algebra(GraphBuilder.from(bound), "moment/")
  const outputs = layers.map((layer): readonly [Layer.Layer, string] => {
    const rank = e.rank(layer.input)
    const axes = Array.from({ length: rank }, (_, i) => i).toSpliced(inputAxis(layer, rank), 1)
    return [layer, e.apply("ReduceSumSquare", [layer.input], { axes, keepDims: false })]
  })
  return Effect.map(
    sums(calibration, e.builder.finish([...new Set(outputs.map(([, output]) => output))])),
    (totals) => new Map(outputs.map(([layer, output]) => [layer.id, spread(layer, totals.get(output)!)]))
  )
}

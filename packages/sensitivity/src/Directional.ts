/**
 * Derivatives along directions in weight space, without ever forming a weight gradient.
 *
 * With layer l's weights moved to W_l + t·V_l its output moves by t·c_l, c_l = op(x_l, V_l), because a layer is linear
 * in its weights. So gradients along V_l are ⟨∂·/∂y_l, c_l⟩, one number a sample: per-sample figures, and their spread
 * over the data, cost no more than sums, and the convolutions involved are the fast ones (a weight gradient is a
 * convolution with kernels as large as the image).
 */
import type { Graph, Layer } from "@bitbudget/graph"
import { Dim, Gradient, GraphBuilder } from "@bitbudget/graph"
import { sampleAxis } from "./gaussnewton/operands.ts"

/** c_l: what the layer makes of its input, or of another, with the direction in the weights' place, without bias. */
export const responseTo = (
  e: Gradient.Algebra,
  layer: Layer.Layer,
  direction: string,
  input = layer.input
): string => {
  const inputs = layer.weightInput === 0 ? [direction, input] : [input, direction]
  const { node } = layer
  switch (node.op) {
    case "Conv":
      return e.apply("Conv", inputs, node.attributes)
    case "ConvTranspose":
      return e.apply("ConvTranspose", inputs, node.attributes)
    case "Gemm":
      return e.apply("Gemm", inputs, node.attributes)
    case "MatMul":
      return e.apply("MatMul", inputs, node.attributes)
    // Rows that are chosen are linear in the table.
    case "Gather":
      return e.apply("Gather", inputs, node.attributes)
    default:
      throw new Error(`responseTo: ${node.op} is no layer`)
  }
}

/**
 * A value as [N, everything else of the sample]; `graph` is the network with its batch still symbolic, which tells
 * where the samples lie.
 */
export const bySample = (e: Gradient.Algebra, graph: Graph.Graph, name: string, of: string): string => {
  const batch = Dim.elementsAt([graph.inputs[0]!.shape[0]!], e.shape(graph.inputs[0]!.name)[0]!)
  const axis = sampleAxis(graph, of)
  const shape = e.shape(name)
  const rows = shape[axis]! / batch
  if (!Number.isInteger(rows))
    throw new Gradient.NotDifferentiable({ node: of, op: "value", why: "it does not keep the samples apart" })
  const apart = [...shape.slice(0, axis), batch, rows, ...shape.slice(axis + 1)]
  const order = [axis, ...apart.flatMap((_, i) => (i === axis ? [] : [i]))]
  return e.reshape(e.transpose(e.reshape(name, apart), order), [batch, Dim.elements(shape) / batch])
}

/** A result with a name of its own: the value it renames may be an input, or shared. */
export const result = (builder: GraphBuilder, value: string, name: string): string =>
  builder.add("Identity", [value], {}, { name: builder.fresh(name) })

/** Names in the graph `secondDerivatives` makes. */
export interface SecondDerivatives {
  readonly graph: Graph.Graph
  /** Inputs for the directions, of the weights' shapes. */
  readonly directions: ReadonlyArray<string>
  /** [N] for each layer: v_lᵀ(H_n v)_l, H_n being the Hessian of sample n's loss and v all directions together. */
  readonly forms: ReadonlyArray<string>
}

/** The graph of a batch's second derivatives of the losses along directions. */
export const secondDerivatives = (
  graph: Graph.Graph,
  lossy: Gradient.Lossy,
  layers: ReadonlyArray<Layer.Layer>,
  batch: number
): SecondDerivatives => {
  const builder = GraphBuilder.from(Gradient.bindBatch(lossy.graph, batch))
  const e = new Gradient.Algebra(builder)
  const directions = layers.map(({ weightShape }, l) =>
    builder.input(builder.fresh(`direction/${l}`), "float32", weightShape)
  )
  const outputs = layers.map(({ output }) => output)
  const responses = layers.map((layer, l) => responseTo(e, layer, directions[l]!))
  const gradients = Gradient.reverse(e, new Map([[e.total(lossy.losses), e.number(1)]]), outputs)
  const slope = gradients
    .map((gradient, l) => e.total(e.mul(gradient, responses[l]!)))
    .reduce((a, b) => e.add(a, b))
  const curvatures = Gradient.reverse(e, new Map([[slope, e.number(1)]]), outputs)
  const forms = curvatures.map((curvature, l) =>
    result(
      builder,
      e.rowDots(bySample(e, graph, curvature, outputs[l]!), bySample(e, graph, responses[l]!, outputs[l]!)),
      `form/${l}`
    )
  )
  return { graph: Gradient.lower(builder.finish(forms)), directions, forms }
}

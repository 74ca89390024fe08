/**
 * The graph that measures Gauss–Newton traces: samples and directions in, [samples, directions] squared norms of
 * every layer's weight gradient out.
 *
 * The network runs forward once a batch; every direction is a backward pass of its own in the same graph, so that
 * masks, columns and Gram matrices are made once for all of them. How many samples and directions go into one run
 * is set by memory.
 */
import type { Graph, Layer } from "@bitbudget/graph"
import { Dim, Gradient, GraphBuilder } from "@bitbudget/graph"
import type { Target } from "./curvature.ts"
import { operandsOf } from "./operands.ts"
import { squaredNorms } from "./squaredNorms.ts"

export interface Run {
  readonly samples: number
  readonly directions: number
}

export interface TraceGraph extends Run {
  readonly graph: Graph.Graph
  /** The input to feed directions to: float32 [samples, directions, …output of one sample]. */
  readonly direction: string
  /** One a layer: [samples, directions]. */
  readonly norms: ReadonlyArray<string>
}

/** What the graph's values may take, in bytes; ONNX Runtime frees what no later node reads. */
const memoryBytes = 2 ** 30
const mostSamples = 32
const mostDirections = 16

/** Floats of one sample: all values of the network, and the columns its convolutions read. */
const floatsPerSample = (graph: Graph.Graph, layers: ReadonlyArray<Layer.Layer>): number => {
  const values = graph.nodes
    .flatMap(({ outputs }) => outputs)
    .reduce((sum, name) => sum + Dim.elementsAt(graph.values.get(name)?.shape ?? [], 1), 0)
  const columns = layers.reduce((sum, { node, input, output }) => {
    if (node.op !== "Conv" && node.op !== "ConvTranspose") return sum
    const [image, positions] = node.op === "Conv" ? [input, output] : [output, input]
    const channels = Dim.elementsAt(graph.values.get(image)!.shape.slice(1, 2), 1)
    const places = Dim.elementsAt(graph.values.get(positions)!.shape.slice(2), 1)
    return sum + channels * places * Dim.elements(node.attributes.kernel)
  }, 0)
  return values + columns
}

/** Samples and directions of one run within the memory; a fixed batch stays what it is. */
export const runOf = (
  graph: Graph.Graph,
  layers: ReadonlyArray<Layer.Layer>,
  wanted: { readonly samples: number; readonly directions: number },
  batchSize: number | undefined
): Run => {
  const [fixed] = graph.inputs[0]!.shape
  const floats = floatsPerSample(graph, layers)
  const fitting = (directions: number) => Math.floor(memoryBytes / (4 * floats * (1 + directions)))
  let directions = Math.min(wanted.directions, mostDirections)
  // Directions share one forward pass; a few samples at once keep the products large.
  while (directions > 1 && fitting(directions) < 4) directions = Math.ceil(directions / 2)
  const samples = Math.max(1, Math.min(wanted.samples, mostSamples, fitting(directions)))
  return { samples: Dim.isStatic(fixed!) ? fixed : (batchSize ?? samples), directions }
}

/** Throws NotDifferentiable, naming node and operator, where a layer's gradient cannot be had. */
export const traceGraph = (
  graph: Graph.Graph,
  layers: ReadonlyArray<Layer.Layer>,
  target: Target,
  { samples, directions }: Run
): TraceGraph => {
  const { output, shape } = target
  // Layers that lead to other outputs only stay in the graph: their gradients are zeros.
  const builder = GraphBuilder.from(Gradient.bindBatch(graph, samples))
  const e = new Gradient.Algebra(builder, "trace/")
  const curvature = Gradient.curvatureOf(e, target)
  const name = builder.fresh("trace/direction")
  const direction = builder.input(name, "float32", [samples, directions, ...shape])
  const outputs = layers.map((layer) => layer.output)
  const gradients = Array.from({ length: directions }, (_, d) => {
    const one = e.reshape(e.slice(direction, [1], [d], [d + 1]), [samples, ...shape])
    return Gradient.reverse(e, new Map([[output, curvature(one)]]), outputs)
  })
  const norms = layers.map((layer, l) => {
    const own = gradients.map((all) => all[l]!)
    return squaredNorms(e, operandsOf(e, graph, layer, samples), own)
  })
  return { graph: Gradient.lower(builder.finish(norms)), samples, directions, direction, norms }
}

/**
 * Whether the Gauss–Newton matrix of a layer's weights is its Hessian block, read off the graph.
 *
 * H = JᵀH_zJ + Σ_i (∂L/∂z_i)·∇²z_i. The second term vanishes where the outputs z are piecewise linear in the layer's
 * weights: every operator from the layer to z is linear or piecewise linear in what depends on them. It also vanishes
 * where ∂L/∂z = 0, as for the divergence from the float model itself. (Schraudolph, "Fast Curvature Matrix-Vector
 * Products for Second-Order Gradient Descent", 2002; Botev et al., ICML 2017, section 4.)
 */
import type { Graph, Op } from "@bitbudget/graph"
import { Gradient, GraphBuilder, Layer } from "@bitbudget/graph"
import type { Loss } from "./Loss.ts"

/** Linear, piecewise linear or piecewise constant in all inputs together. */
const piecewiseLinear: ReadonlySet<Op> = new Set<Op>([
  ...(["Abs", "Ceil", "Floor", "Identity", "Neg", "Not", "Relu", "Round", "Sign"] as const),
  ...(["Add", "Sub", "Max", "Min", "And", "Or", "Equal"] as const),
  ...(["Greater", "GreaterOrEqual", "Less", "LessOrEqual"] as const),
  ...(["ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"] as const),
  ...(["Cast", "Clip", "HardSigmoid", "LeakyRelu"] as const),
  ...(["AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"] as const),
  ...(["ArgMax", "TopK", "OneHot", "Shape", "ConstantOfShape", "Range"] as const),
  ...(["Concat", "DepthToSpace", "Expand", "Flatten", "Pad", "Reshape", "Resize", "Slice"] as const),
  ...(["SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"] as const)
])

/** Linear in the inputs at these positions as long as no other input depends on the weights. */
const linearInOne: { readonly [K in Op]?: ReadonlyArray<number> } = {
  Conv: [0, 1, 2],
  ConvTranspose: [0, 1, 2],
  Gemm: [0, 1, 2],
  MatMul: [0, 1],
  Mul: [0, 1],
  Div: [0],
  PRelu: [0, 1],
  BatchNormalization: [0, 1, 2],
  Gather: [0],
  GatherElements: [0],
  Where: [1, 2]
}

const isPiecewiseLinear = (node: Graph.AnyNode, active: ReadonlySet<string>): boolean => {
  if (piecewiseLinear.has(node.op)) return true
  const positions = linearInOne[node.op]
  if (positions === undefined) return false
  const moving = node.inputs.flatMap((input, i) => (active.has(input) ? [i] : []))
  // Both branches of Where are taken as they are; two factors that move make a product of them.
  return moving.every((i) => positions.includes(i)) && (moving.length === 1 || node.op === "Where")
}

export interface Breach {
  readonly node: string
  readonly op: Op
}

/** The first operator in which the outputs bend smoothly with a value, if there is one. */
const breachBehind = (nodes: ReadonlyArray<Graph.AnyNode>, value: string): Breach | undefined => {
  const active = new Set([value])
  for (const node of nodes) {
    if (!node.inputs.some((input) => active.has(input))) continue
    if (!isPiecewiseLinear(node, active)) return { node: node.name, op: node.op }
    for (const output of node.outputs) active.add(output)
  }
  return undefined
}

export interface Statement {
  /** Whether Gauss–Newton is the Hessian block of every product. */
  readonly holds: boolean
  /** The first operator of the network, in execution order, that breaks it for a product before it. */
  readonly brokenBy: Breach | null
  /** What breaks it for a layer's weights, by layer id. */
  readonly layers: ReadonlyMap<string, Breach | null>
  /** What breaks it for a layer's input. */
  readonly inputs: ReadonlyMap<string, Breach | null>
}

/** The statement for the loss taken of the graph's scored output. */
export const gaussNewtonEqualsHessian = (graph: Graph.Graph, loss: Loss): Statement => {
  const layers = Layer.layersOf(graph)
  if (loss.target === "outputs") {
    const none = new Map(layers.map(({ id }) => [id, null]))
    return { holds: true, brokenBy: null, layers: none, inputs: none }
  }
  const output = Gradient.scoredOutput(graph, loss.kind)
  const { nodes } = GraphBuilder.from(graph).finish([output])
  const breachesOf = (value: (layer: Layer.Layer) => string) =>
    new Map(layers.map((layer) => [layer.id, breachBehind(nodes, value(layer)) ?? null]))
  const breaches = breachesOf(({ node, weightInput }) => node.inputs[weightInput]!)
  // Of products alone, which traces are taken of.
  const products = new Set(layers.filter(Layer.isProduct).map(({ id }) => id))
  const broken = new Set(
    [...breaches].flatMap(([id, breach]) => (breach === null || !products.has(id) ? [] : [breach.node]))
  )
  const first = nodes.find(({ name }) => broken.has(name))
  return {
    holds: first === undefined,
    brokenBy: first === undefined ? null : { node: first.name, op: first.op },
    layers: breaches,
    inputs: breachesOf(({ input }) => input)
  }
}

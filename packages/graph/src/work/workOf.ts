/**
 * Node → work, one row an operator: loop bounds of products, operations and elements of the rest.
 *
 * A transcendental function counts 8 operations, a division or root 4, everything else 1. Views (Reshape, …) move
 * nothing and are no work at all.
 */
import type { Dim } from "../ir/Dim.ts"
import { dimAt, elements, elementsAt, shapeAt } from "../ir/Dim.ts"
import type { AnyNode, Graph, Node } from "../ir/Graph.ts"
import { shapeOf } from "../ir/Graph.ts"
import type { BinaryOps, Op, ReduceOps, UnaryOps } from "../ir/Op.ts"
import type { VectorWork, Work } from "./Work.ts"

interface Context {
  readonly graph: Graph
  readonly batch: number
}

type WorkRule<K extends Op> = (node: Node<K>, context: Context) => Work | "view"

const TRANSCENDENTAL = 8
const DIVISION = 4

const shape = ({ graph, batch }: Context, name: string): ReadonlyArray<number> =>
  shapeAt(shapeOf(graph, name), batch)

const elementsIn = (node: Node, { graph, batch }: Context): number =>
  node.inputs
    .filter((name) => name !== "" && !graph.constants.has(name))
    .reduce((sum, name) => sum + elementsAt(shapeOf(graph, name), batch), 0)

const elementsOut = (node: Node, { graph, batch }: Context): number =>
  node.outputs
    .filter((name) => name !== "")
    .reduce((sum, name) => sum + elementsAt(shapeOf(graph, name), batch), 0)

const vector = (
  kind: VectorWork["kind"],
  node: Node,
  context: Context,
  opsOf: (inElements: number, outElements: number) => number
): VectorWork => {
  const [inElements, outElements] = [elementsIn(node, context), elementsOut(node, context)]
  return { kind, batch: context.batch, ops: opsOf(inElements, outElements), inElements, outElements }
}

const elementwise =
  (opsPerElement: number) =>
  (node: Node, context: Context): Work =>
    vector("elementwise", node, context, (_, out) => opsPerElement * out)

const reduction = (node: Node, context: Context): Work => vector("reduction", node, context, (count) => count)
const movement = (node: Node, context: Context): Work => vector("movement", node, context, () => 0)
const lookup = (node: Node, context: Context): Work => vector("lookup", node, context, () => 0)
const normalization = (node: Node, context: Context): Work =>
  vector("normalization", node, context, (_, out) => 6 * out)
/** Maximum, difference, exponential, sum, quotient. */
const softmax = (node: Node, context: Context): Work =>
  vector("softmax", node, context, (_, out) => (3 + TRANSCENDENTAL + DIVISION) * out)
const pool = (node: Node<"MaxPool" | "AveragePool">, context: Context): Work =>
  vector("pool", node, context, (_, out) => elements(node.attributes.kernel) * out)
const globalPool = (node: Node, context: Context): Work => vector("pool", node, context, (count) => count)
const view = (): "view" => "view"

const conv = (
  node: Node<"Conv" | "ConvTranspose" | "ConvWeightGradient">,
  context: Context,
  transposed: boolean,
  y = shape(context, node.outputs[0]!)
): Work => {
  const x = shape(context, node.inputs[0]!)
  return {
    kind: "conv",
    batch: x[0]!,
    groups: node.attributes.groups,
    outChannels: y[1]!,
    inChannels: x[1]!,
    kernel: node.attributes.kernel,
    inSpatial: x.slice(2),
    outSpatial: y.slice(2),
    stride: node.attributes.strides,
    dilation: node.attributes.dilations,
    transposed
  }
}

/** A constant right operand of rank 2 turns all leading dimensions of the left one into rows. */
const matmul = (node: Node<"MatMul">, context: Context): Work => {
  const [a, b] = [shape(context, node.inputs[0]!), shape(context, node.inputs[1]!)]
  const left = a.length === 1 ? [1, ...a] : a
  const right = b.length === 1 ? [...b, 1] : b
  const [m, k, n] = [left.at(-2)!, left.at(-1)!, right.at(-1)!]
  const constantWeights = node.inputs.some((name) => context.graph.constants.has(name))
  if (right.length === 2) {
    return { kind: "matmul", batch: 1, m: elements(left.slice(0, -1)), n, k, constantWeights }
  }
  const batch = elementsOut(node, context) / (m * n)
  return { kind: "matmul", batch, m, n, k, constantWeights }
}

const gemm = (node: Node<"Gemm">, context: Context): Work => {
  const [a, b] = [shape(context, node.inputs[0]!), shape(context, node.inputs[1]!)]
  const { transA, transB } = node.attributes
  const constantWeights = node.inputs.slice(0, 2).some((name) => context.graph.constants.has(name))
  return {
    kind: "matmul",
    batch: 1,
    m: a[transA ? 1 : 0]!,
    k: a[transA ? 0 : 1]!,
    n: b[transB ? 0 : 1]!,
    constantWeights
  }
}

/** Every step multiplies [batch, C + hidden] by the gates' [C + hidden, gates · hidden]. */
const recurrent = (node: Node<"LSTM" | "GRU" | "RNN">, context: Context): Work => {
  const [x, w] = [shape(context, node.inputs[0]!), shape(context, node.inputs[1]!)]
  const { hidden } = node.attributes
  return {
    kind: "matmul",
    batch: w[0]!,
    m: x[0]! * x[1]!,
    n: w[1]!,
    k: w[2]! + hidden,
    constantWeights: context.graph.constants.has(node.inputs[1]!)
  }
}

/** What is known of a carried node's multiplications, else only what it moves. */
const opaque = (node: Node<"Opaque">, context: Context): Work => {
  const { work } = node.attributes
  if (work === undefined) return movement(node, context)
  const at = (dim: Dim) => dimAt(dim, context.batch)
  return {
    kind: "matmul",
    batch: at(work.batch),
    m: at(work.m),
    n: at(work.n),
    k: at(work.k),
    constantWeights: node.inputs.slice(1).some((name) => context.graph.constants.has(name))
  }
}

const unaryRows: { readonly [K in keyof UnaryOps]: WorkRule<K> } = {
  Abs: elementwise(1),
  Ceil: elementwise(1),
  Cos: elementwise(TRANSCENDENTAL),
  Erf: elementwise(TRANSCENDENTAL),
  Exp: elementwise(TRANSCENDENTAL),
  Floor: elementwise(1),
  HardSwish: elementwise(4),
  Identity: view,
  Log: elementwise(TRANSCENDENTAL),
  Neg: elementwise(1),
  Not: elementwise(1),
  Reciprocal: elementwise(DIVISION),
  Relu: elementwise(1),
  Round: elementwise(1),
  Sigmoid: elementwise(TRANSCENDENTAL + DIVISION),
  Sign: elementwise(1),
  Sin: elementwise(TRANSCENDENTAL),
  Softplus: elementwise(2 * TRANSCENDENTAL),
  Sqrt: elementwise(DIVISION),
  Tanh: elementwise(TRANSCENDENTAL)
}

const binaryRows: { readonly [K in keyof BinaryOps]: WorkRule<K> } = {
  Add: elementwise(1),
  Sub: elementwise(1),
  Mul: elementwise(1),
  Div: elementwise(DIVISION),
  Pow: elementwise(TRANSCENDENTAL),
  Max: elementwise(1),
  Min: elementwise(1),
  Mod: elementwise(DIVISION),
  And: elementwise(1),
  Or: elementwise(1),
  Equal: elementwise(1),
  Greater: elementwise(1),
  GreaterOrEqual: elementwise(1),
  Less: elementwise(1),
  LessOrEqual: elementwise(1),
  PRelu: elementwise(2)
}

const reduceRows: { readonly [K in keyof ReduceOps]: WorkRule<K> } = {
  ReduceMax: reduction,
  ReduceMean: reduction,
  ReduceMin: reduction,
  ReduceProd: reduction,
  ReduceSum: reduction,
  ReduceSumSquare: reduction,
  ReduceL2: reduction
}

export const workRules: { readonly [K in Op]: WorkRule<K> } = {
  ...unaryRows,
  ...binaryRows,
  ...reduceRows,

  Cast: elementwise(1),
  Clip: elementwise(2),
  Elu: elementwise(TRANSCENDENTAL),
  Gelu: elementwise(TRANSCENDENTAL + 4),
  HardSigmoid: elementwise(4),
  LeakyRelu: elementwise(2),
  Where: elementwise(1),

  Conv: (node, context) => conv(node, context, false),
  ConvTranspose: (node, context) => conv(node, context, true),
  /** As many products as the convolution itself, whose output g has the shape of. */
  ConvWeightGradient: (node, context) => conv(node, context, false, shape(context, node.inputs[1]!)),
  Gemm: gemm,
  MatMul: matmul,

  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,

  BatchNormalization: elementwise(2),
  LayerNormalization: normalization,
  InstanceNormalization: normalization,
  LRN: (node, context) =>
    vector("normalization", node, context, (_, out) => (node.attributes.size + TRANSCENDENTAL) * out),
  Softmax: softmax,
  LogSoftmax: softmax,

  AveragePool: pool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  MaxPool: pool,

  ArgMax: reduction,
  Gather: lookup,
  GatherElements: lookup,
  GatherND: lookup,
  /** Every pair of boxes of a class, at worst. */
  NonMaxSuppression: (node, context) =>
    vector("reduction", node, context, () => {
      const [, boxes] = shape(context, node.inputs[0]!)
      const classes = elements(shape(context, node.inputs[1]!).slice(0, 2))
      return (classes * boxes! * (boxes! - 1)) / 2
    }),
  NonZero: reduction,
  /** Four neighbours a sample; two samples along each side where their number follows the box. */
  RoiAlign: (node, context) =>
    vector("lookup", node, context, (_, out) => 8 * out * (node.attributes.samplingRatio || 2) ** 2),
  ScatterElements: lookup,
  ScatterND: lookup,
  OneHot: lookup,
  TopK: reduction,

  CumSum: elementwise(1),
  /** Four neighbours, weighted; sixteen for cubic. */
  GridSample: (node, context) =>
    vector("lookup", node, context, (_, out) => (node.attributes.mode === "cubic" ? 32 : 8) * out),
  Trilu: movement,
  Concat: movement,
  DepthToSpace: movement,
  Expand: movement,
  Flatten: view,
  Pad: movement,
  Reshape: view,
  /** Bilinear weights four neighbours, nearest copies one. */
  Resize: (node, context) =>
    vector("movement", node, context, (_, out) => (node.attributes.mode === "nearest" ? 0 : 4 * out)),
  Slice: movement,
  SpaceToDepth: movement,
  Split: movement,
  Squeeze: view,
  Tile: movement,
  Transpose: movement,
  Unsqueeze: view,

  ConstantOfShape: movement,
  Range: movement,
  Shape: view,

  QuantizeLinear: elementwise(3),
  DequantizeLinear: elementwise(2),

  Opaque: opaque
}

export const workOf = (node: AnyNode, graph: Graph, batch: number): Work | "view" =>
  (workRules[node.op] as (node: AnyNode, context: Context) => Work | "view")(node, { graph, batch })

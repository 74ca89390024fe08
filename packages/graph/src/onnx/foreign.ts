/**
 * Shapes and work of operators that are carried as the file has them: of ONNX Runtime's own domain, of integer
 * arithmetic, and the less common ones of ONNX. A row here is all an operator needs to be costed and passed through;
 * one that is to be differentiated or folded gets a row in `ir/Op.ts` instead.
 */
import type { Dim, Shape } from "../ir/Dim.ts"
import { divDim, elementsAt, elementsOf, isStatic, mulDim, openDim } from "../ir/Dim.ts"
import type { Value } from "../ir/Graph.ts"
import { node } from "../ir/Graph.ts"
import type { OpaqueWork } from "../ir/Op.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"
import type { Result } from "../ir/shapeRule.ts"
import { broadcast, inferNode } from "../ir/shapes.ts"
import type { DType } from "../ir/Tensor.ts"
import { parsers } from "./parse.ts"
import { targetOf } from "./parseShapes.ts"
import type { RawNode } from "./rawNode.ts"
import { has, input } from "./rawNode.ts"

interface Foreign {
  readonly results: ReadonlyArray<Result>
  readonly work?: OpaqueWork
}
type ForeignRule = (raw: RawNode) => Foreign

const like =
  (index = 0, dtype?: DType): ForeignRule =>
  (raw) => {
    const value = input(raw, index)
    return { results: [{ dtype: dtype ?? value.dtype, shape: value.shape }] }
  }

const times = (...dims: ReadonlyArray<Dim>): Dim =>
  dims.reduce((product, dim) => mulDim(product, dim) ?? unsupported("its size is no multiple of the batch"))

const over = (dim: Dim, by: Dim): Dim => divDim(dim, by) ?? refuse("its heads do not divide its width")

/** [.., m, k]·[k, n] or batched, with its work. */
const product = (a: Value, b: Value, dtype: DType): Foreign => {
  const [{ shape }] = inferNode(node("MatMul", "", ["a", "b"], ["y"], {}), [a, b]) as [Result]
  const k = a.shape.at(-1)!
  const [m, n] = [a.shape.at(-2) ?? 1, b.shape.at(-1)!]
  const rows = elementsOf(shape) ?? 1
  return { results: [{ dtype, shape }], work: { batch: over(rows, times(m, n)), m, n, k } }
}

/** A convolution whose x and w are these inputs. */
const convolution =
  (x: number, w: number, dtype: (raw: RawNode) => DType): ForeignRule =>
  (raw) => {
    const inner: RawNode = { ...raw, inputs: [raw.inputs[x] ?? "", raw.inputs[w] ?? ""] }
    const { attributes } = parsers.Conv(inner)
    const operands = [input(raw, x), input(raw, w)] as const
    const [{ shape }] = inferNode(node("Conv", "", ["x", "w"], ["y"], attributes), operands) as [Result]
    const weights = operands[1].shape
    return {
      results: [{ dtype: dtype(raw), shape }],
      work: {
        batch: shape[0]!,
        m: shape.slice(2).reduce((product, dim) => times(product, dim), 1 as Dim),
        n: weights[0]!,
        k: weights.slice(1).reduce((product, dim) => times(product, dim), 1 as Dim)
      }
    }
  }

const pointwise =
  (dtype: DType | "first", a = 0, b = 1): ForeignRule =>
  (raw) => {
    const [x, y] = [input(raw, a), input(raw, b)]
    return { results: [{ dtype: dtype === "first" ? x.dtype : dtype, shape: broadcast(x.shape, y.shape) }] }
  }

const needInt = (raw: RawNode, name: string): number =>
  raw.attributes.int(name, undefined) ?? refuse(`has no attribute \`${name}\``)

/** Scores and their product with the values, of all heads: twice [S, head]·[head, T]. */
const attentionWork = (batch: Dim, heads: number, queries: Dim, keys: Dim, head: Dim): OpaqueWork => ({
  batch: times(batch, heads),
  m: queries,
  n: keys,
  k: times(head, 2)
})

/** query [B,S,H], key [B,T,H], value [B,T,V], or packed ones → [B,S,V]. */
const multiHeadAttention: ForeignRule = (raw) => {
  const query = input(raw, 0)
  const heads = needInt(raw, "num_heads")
  if (query.shape.length !== 3 || !has(raw, 1)) return unsupported("packed queries, keys and values")
  const [batch, length, width] = query.shape as readonly [Dim, Dim, Dim]
  const key = input(raw, 1).shape
  const value = has(raw, 2) ? input(raw, 2).shape : key
  const keys = key.length === 4 ? key[2]! : key[1]!
  const out = value.length === 3 ? value[2]! : value.length === 4 ? times(value[1]!, value[3]!) : width
  const shape = [batch, length, out]
  const past: Shape = [batch, heads, keys, over(width, heads)]
  const present = { dtype: query.dtype, shape: past }
  return {
    results: [{ dtype: query.dtype, shape }, present, present],
    work: attentionWork(batch, heads, length, keys, over(width, heads))
  }
}

/** x [B,S,C], weights [C,3H] of query, key and value together → [B,S,H]. */
const fusedAttention: ForeignRule = (raw) => {
  const [x, w] = [input(raw, 0), input(raw, 1)]
  const heads = needInt(raw, "num_heads")
  const [batch, length] = x.shape as readonly [Dim, Dim]
  const width = over(w.shape.at(-1)!, 3)
  return {
    results: [
      { dtype: has(raw, 2) ? input(raw, 2).dtype : x.dtype, shape: [batch, length, width] },
      { dtype: x.dtype, shape: [2, batch, heads, length, over(width, heads)] }
    ],
    work: { batch, m: length, n: times(width, 3), k: x.shape.at(-1)! }
  }
}

const groupQueryAttention: ForeignRule = (raw) => {
  const query = input(raw, 0)
  const [heads, kvHeads] = [needInt(raw, "num_heads"), needInt(raw, "kv_num_heads")]
  const [batch, length, width] = query.shape as readonly [Dim, Dim, Dim]
  const head = has(raw, 1) ? over(width, heads) : over(width, heads + 2 * kvHeads)
  const past = has(raw, 3) ? input(raw, 3).shape : undefined
  const before = past?.[2] ?? 0
  const keys = isStatic(before) && isStatic(length) ? before + length : openDim(Number.NaN)
  const present = { dtype: query.dtype, shape: [batch, kvHeads, keys, head] }
  return {
    results: [{ dtype: query.dtype, shape: [batch, length, times(head, heads)] }, present, present],
    work: attentionWork(batch, heads, length, keys, head)
  }
}

/** a [..,K] times packed weights of K × N → [..,N]. */
const matMulNBits: ForeignRule = (raw) => {
  const { dtype, shape } = input(raw, 0)
  const [n, k] = [needInt(raw, "N"), needInt(raw, "K")]
  const rows = shape.slice(0, -1).reduce<Dim>((product, dim) => times(product, dim), 1)
  return { results: [{ dtype, shape: [...shape.slice(0, -1), n] }], work: { batch: 1, m: rows, n, k } }
}

const globalPool: ForeignRule = (raw) => {
  const { dtype, shape } = input(raw, 0)
  return { results: [{ dtype, shape: shape.map((dim, i) => (i < 2 ? dim : 1)) }] }
}

/** Sequences and optional values: nothing is known of them but that they are passed on. */
const hidden = (...names: ReadonlyArray<string>): ReadonlyArray<readonly [string, ForeignRule]> =>
  names.map((name) => [name, () => ({ results: [{ dtype: "opaque", shape: [] }] })])

const same = (...names: ReadonlyArray<string>): ReadonlyArray<readonly [string, ForeignRule]> =>
  names.map((name) => [name, like()])

const standard = new Map<string, ForeignRule>([
  // Targets with several sizes that only a run knows: where dimensions stay open.
  ["Reshape", (raw) => ({ results: [{ dtype: input(raw, 0).dtype, shape: targetOf(raw) }] })],
  ...same("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cosh", "Hardmax", "Sinh", "Tan"),
  ...same(
    "Bernoulli",
    "RandomNormalLike",
    "RandomUniformLike",
    "Dropout",
    "BatchNormalization",
    "Clip",
    "CumSum"
  ),
  ...hidden("SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SplitToSequence"),
  ["SequenceLength", () => ({ results: [{ dtype: "int64", shape: [] }] })],
  ["IsNaN", like(0, "bool")],
  ["IsInf", like(0, "bool")],
  ["BitShift", pointwise("first")],
  ["BitwiseAnd", pointwise("first")],
  ["BitwiseOr", pointwise("first")],
  ["BitwiseXor", pointwise("first")],
  ["GlobalLpPool", globalPool],
  ["Softmax", like()],
  ["LogSoftmax", like()],
  [
    "NonMaxSuppression",
    (raw) => {
      const [boxes, scores] = [input(raw, 0).shape, input(raw, 1).shape]
      const most = elementsAt(scores.slice(0, 2), 1) * elementsAt(boxes.slice(1, 2), 1)
      return { results: [{ dtype: "int64", shape: [openDim(most, "kept"), 3] }] }
    }
  ],
  ["MatMulInteger", (raw) => product(input(raw, 0), input(raw, 1), "int32")],
  ["ConvInteger", convolution(0, 1, () => "int32")]
])

const microsoft = new Map<string, ForeignRule>([
  ["MultiHeadAttention", multiHeadAttention],
  ["Attention", fusedAttention],
  ["QAttention", fusedAttention],
  ["GroupQueryAttention", groupQueryAttention],
  ["MatMulNBits", matMulNBits],
  ["MatMulFpQ4", matMulNBits],
  ...same("Inverse"),
  ["FusedConv", convolution(0, 1, (raw) => input(raw, 0).dtype)]
])

/** What a carried node makes, where a row knows it. Throws a Refusal where the inputs do not fit. */
export const foreign = (domain: string, raw: RawNode): Foreign | undefined => {
  const table =
    domain === "" || domain === "ai.onnx" ? standard : domain === "com.microsoft" ? microsoft : undefined
  return table?.get(raw.opType)?.(raw)
}

/** Names of the operators with a row: for the support table. */
export const foreignOps: ReadonlyArray<string> = [
  ...standard.keys(),
  ...[...microsoft.keys()].map((name) => `com.microsoft.${name}`)
]

/**
 * Attention and rotary position embeddings written out: softmax(scale · Q·Kᵀ + mask)·V per head, and pairs of
 * features turned by their position's angle (Su et al., RoFormer, 2021). Caches of earlier keys and values have no
 * formula here; nodes with them are carried.
 */
import type { Dim } from "../ir/Dim.ts"
import { divDim, isStatic } from "../ir/Dim.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"
import { filled } from "../ir/Tensor.ts"
import { has } from "./rawNode.ts"
import type { Formula } from "./rewrite.ts"

/** [B,S,heads·D] or [B,heads,S,D] as [B,heads,S,D]. */
const headsFirst = (e: Formula, x: string, heads: number | undefined): string => {
  const shape = e.settled(x)
  if (shape.length === 4) return x
  if (shape.length !== 3 || heads === undefined)
    return refuse("needs rank 4, or rank 3 and the number of heads")
  const [batch, length, width] = shape as readonly [Dim, Dim, Dim]
  const head = divDim(width, heads) ?? refuse(`its width does not divide into ${heads} heads`)
  return e.transpose(e.reshape(x, [batch, length, heads, head]), [0, 2, 1, 3])
}

/** Every key head serves a group of query heads: [B,k,T,D] → [B,q,T,D]. */
const repeated = (e: Formula, x: string, heads: Dim): string => {
  const [batch, own, length, head] = e.shape(x) as readonly [Dim, Dim, Dim, Dim]
  const times = divDim(heads, own) ?? refuse("its query heads are no multiple of its key heads")
  if (times === 1) return x
  const spread = e.add("Expand", [e.reshape(x, [batch, own, 1, length, head])], {
    shape: [batch, own, times, length, head]
  })
  return e.reshape(spread, [batch, heads, length, head])
}

/** Ones on and below the diagonal of the scores, as truths. */
const causal = (e: Formula, scores: string): string => {
  const [rows, columns] = e.shape(scores).slice(-2)
  if (!isStatic(rows!) || !isStatic(columns!)) return unsupported("its causal mask has an open size")
  const ones = e.add("Cast", [e.constant(filled("uint8", [rows, columns], 1))], { to: "float32" })
  return e.add("Cast", [e.add("Trilu", [ones], { upper: false, k: 0 })], { to: "bool" })
}

interface Heads {
  /** [B,heads,S,D], [B,heads,T,D], [B,heads,T,V]. */
  readonly q: string
  readonly k: string
  readonly v: string
  /** Undefined: 1/√D. */
  readonly scale: number | undefined
  readonly isCausal: boolean
  /** Added to the scores, or truths where they count; "" where there is none. */
  readonly mask: string
}

/** softmax(scale · Q·Kᵀ + mask)·V, [B,heads,S,V]. */
const attended = (e: Formula, { q, k, v, scale, isCausal, mask }: Heads): string => {
  const head = e.shape(q)[3]!
  if (!isStatic(head)) return unsupported("its heads have an open width")
  const scaled = e.scale(scale ?? 1 / Math.sqrt(head), q)
  let scores = e.add("MatMul", [scaled, e.transpose(k, [0, 1, 3, 2])], {})
  const lowest = e.number(Number.NEGATIVE_INFINITY, scores)
  if (isCausal) scores = e.add("Where", [causal(e, scores), scores, lowest], {})
  if (mask !== "")
    scores =
      e.dtype(mask) === "bool" ? e.add("Where", [mask, scores, lowest], {}) : e.binary("Add", scores, mask)
  return e.add("MatMul", [e.add("Softmax", [scores], { axis: 3 }), v], {})
}

/** [B,heads,S,V] as the result [B,S,heads·V]. */
const headsLast = (e: Formula, y: string): void => {
  const [batch, count, length, width] = e.shape(y) as readonly [Dim, Dim, Dim, Dim]
  if (!isStatic(width) || !isStatic(count)) return unsupported("its heads have an open width")
  e.result("Reshape", [e.transpose(y, [0, 2, 1, 3])], { shape: [batch, length, count * width] })
}

const refuseMore = (e: Formula): void => {
  if (e.raw.outputs.slice(1).some((name) => name !== "")) unsupported("more than its result is used")
}

export const attention = (e: Formula): void => {
  const { attributes } = e.raw
  if (has(e.raw, 4) || has(e.raw, 5) || has(e.raw, 6)) unsupported("it keeps earlier keys and values")
  refuseMore(e)
  if (attributes.float("softcap", 0) !== 0) unsupported("it caps its scores")
  const own = attributes.int("kv_num_heads", undefined)
  const q = headsFirst(e, e.x(0), attributes.int("q_num_heads", undefined))
  const count = e.shape(q)[1]!
  const y = attended(e, {
    q,
    k: repeated(e, headsFirst(e, e.x(1), own), count),
    v: repeated(e, headsFirst(e, e.x(2), own), count),
    scale: attributes.float("scale", undefined),
    isCausal: attributes.flag("is_causal", false),
    mask: e.x(3)
  })
  if (e.rank(e.x(0)) === 4) e.result("Identity", [y], {})
  else headsLast(e, y)
}

/** A scale of 0 stands for the usual one in ONNX Runtime's own operators. */
const statedScale = (e: Formula): number | undefined => e.raw.attributes.float("scale", 0) || undefined

/** query, key, value [B,S,heads·D], optional bias of the three in a row, –, added mask. */
export const msMultiHeadAttention = (e: Formula): void => {
  const { attributes } = e.raw
  if (![0, 1, 2].every((i) => has(e.raw, i) && e.rank(e.x(i)) === 3)) unsupported("its inputs are packed")
  if ([4, 6, 7, 8, 9].some((i) => has(e.raw, i)))
    unsupported("it keeps earlier keys, or masks them by length")
  refuseMore(e)
  const heads = attributes.int("num_heads", 0)
  let start = 0
  const [q, k, v] = [0, 1, 2].map((i) => {
    const width = e.shape(e.x(i))[2]!
    if (!isStatic(width)) return unsupported("its heads have an open width")
    const from = start
    start += width
    const own = has(e.raw, 3) ? e.binary("Add", e.x(i), e.slice(e.x(3), 0, from, start)) : e.x(i)
    return headsFirst(e, own, heads)
  }) as [string, string, string]
  const isCausal = attributes.flag("unidirectional", false)
  headsLast(e, attended(e, { q, k, v, scale: statedScale(e), isCausal, mask: e.x(5) }))
}

/** x [B,S,C], weights [C,3H] and bias [3H] of query, key and value in a row. */
export const msAttention = (e: Formula): void => {
  const { attributes } = e.raw
  if ([3, 4, 6].some((i) => has(e.raw, i))) unsupported("it keeps earlier keys, or masks them by length")
  if (attributes.ints("qkv_hidden_sizes", undefined) !== undefined) unsupported("its parts differ in width")
  if (attributes.flag("do_rotary", false)) unsupported("it turns its queries and keys")
  refuseMore(e)
  const heads = attributes.int("num_heads", 0)
  const product = e.add("MatMul", [e.x(0), e.x(1)], {})
  const sum = has(e.raw, 2) ? e.binary("Add", product, e.x(2)) : product
  const width = e.shape(sum).at(-1)!
  if (!isStatic(width) || width % 3 !== 0) return unsupported("its parts differ in width")
  const [q, k, v] = [0, 1, 2].map((i) =>
    headsFirst(e, e.slice(sum, 2, (i * width) / 3, ((i + 1) * width) / 3), heads)
  ) as [string, string, string]
  const isCausal = attributes.flag("unidirectional", false)
  headsLast(e, attended(e, { q, k, v, scale: statedScale(e), isCausal, mask: e.x(5) }))
}

/** The first `turned` features of every head of x, [B,S,heads,D], turned by cos and sin [B,S,turned/2]. */
const rotated = (e: Formula, x: string, cos: string, sin: string, turned: number, pairs: boolean): string => {
  const [batch, length, heads, head] = e.shape(x) as readonly [Dim, Dim, Dim, Dim]
  if (!isStatic(head)) return unsupported("its heads have an open width")
  const half = turned / 2
  const part = turned === head ? x : e.slice(x, 3, 0, turned)
  const [a, b] = pairs
    ? [e.slice(part, 3, 0, turned, 2), e.slice(part, 3, 1, turned, 2)]
    : [e.slice(part, 3, 0, half), e.slice(part, 3, half, turned)]
  const [c, s] = [cos, sin].map((list) => e.add("Unsqueeze", [list], { axes: [2] })) as [string, string]
  const real = e.binary("Sub", e.binary("Mul", c, a), e.binary("Mul", s, b))
  const imaginary = e.binary("Add", e.binary("Mul", s, a), e.binary("Mul", c, b))
  const joined = pairs
    ? e.reshape(
        e.add(
          "Concat",
          [real, imaginary].map((side) => e.add("Unsqueeze", [side], { axes: [4] })),
          { axis: 4 }
        ),
        [batch, length, heads, turned]
      )
    : e.add("Concat", [real, imaginary], { axis: 3 })
  return turned === head ? joined : e.add("Concat", [joined, e.slice(x, 3, turned, head)], { axis: 3 })
}

const rotary = (e: Formula, cosTable: string, sinTable: string, positions: string): void => {
  const x = e.x(0)
  const { attributes } = e.raw
  const isFlat = e.rank(x) === 3
  const heads = attributes.int("num_heads", 0)
  const first = headsFirst(e, x, heads === 0 ? undefined : heads)
  const byPosition = e.transpose(first, [0, 2, 1, 3])
  const head = e.shape(first)[3]!
  if (!isStatic(head)) return unsupported("its heads have an open width")
  const given = attributes.int("rotary_embedding_dim", 0)
  const turned = given === 0 ? head : given
  if (turned > head || turned % 2 !== 0) refuse(`cannot turn ${turned} of ${head} features`)
  const angles = (table: string) =>
    positions === "" ? table : e.add("Gather", [table, positions], { axis: 0 })
  const y = rotated(
    e,
    byPosition,
    angles(cosTable),
    angles(sinTable),
    turned,
    attributes.flag("interleaved", false)
  )
  if (isFlat) e.result("Reshape", [y], { shape: e.shape(x) })
  else e.result("Transpose", [y], { perm: [0, 2, 1, 3] })
}

/** x, cos, sin, optional positions. */
export const rotaryEmbedding = (e: Formula): void => rotary(e, e.x(1), e.x(2), e.x(3))

/** x, positions, cos, sin. */
export const msRotaryEmbedding = (e: Formula): void => {
  if (e.rank(e.x(1)) !== 2) unsupported("its positions are an offset")
  if (e.raw.attributes.float("scale", 1) !== 1) unsupported("it scales its angles")
  rotary(e, e.x(2), e.x(3), e.x(1))
}

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

const masked = (e: Formula, scores: string): string => {
  const lowest = e.number(Number.NEGATIVE_INFINITY, scores)
  let out = scores
  if (e.raw.attributes.flag("is_causal", false)) {
    const [rows, columns] = e.shape(scores).slice(-2)
    if (!isStatic(rows!) || !isStatic(columns!)) return unsupported("its causal mask has an open size")
    const ones = e.add("Cast", [e.constant(filled("uint8", [rows, columns], 1))], { to: "float32" })
    const lower = e.add("Cast", [e.add("Trilu", [ones], { upper: false, k: 0 })], { to: "bool" })
    out = e.add("Where", [lower, out, lowest], {})
  }
  if (!has(e.raw, 3)) return out
  const mask = e.x(3)
  return e.dtype(mask) === "bool" ? e.add("Where", [mask, out, lowest], {}) : e.binary("Add", out, mask)
}

export const attention = (e: Formula): void => {
  const { attributes, outputs } = e.raw
  if (has(e.raw, 4) || has(e.raw, 5) || has(e.raw, 6)) unsupported("it keeps earlier keys and values")
  if (outputs.slice(1).some((name) => name !== "")) unsupported("more than its result is used")
  if (attributes.float("softcap", 0) !== 0) unsupported("it caps its scores")
  const heads = attributes.int("q_num_heads", undefined)
  const q = headsFirst(e, e.x(0), heads)
  const count = e.shape(q)[1]!
  const k = repeated(e, headsFirst(e, e.x(1), attributes.int("kv_num_heads", undefined)), count)
  const v = repeated(e, headsFirst(e, e.x(2), attributes.int("kv_num_heads", undefined)), count)
  const head = e.shape(q)[3]!
  if (!isStatic(head)) return unsupported("its heads have an open width")
  const scale = attributes.float("scale", 1 / Math.sqrt(head))
  const scores = e.add("MatMul", [e.scale(scale, q), e.transpose(k, [0, 1, 3, 2])], {})
  const weights = e.add("Softmax", [masked(e, scores)], { axis: 3 })
  const y = e.add("MatMul", [weights, v], {})
  if (e.rank(e.x(0)) === 4) return e.result("Identity", [y], {})
  const [batch, , length, width] = e.shape(y) as readonly [Dim, Dim, Dim, Dim]
  if (!isStatic(width) || !isStatic(count)) return unsupported("its heads have an open width")
  e.result("Reshape", [e.transpose(y, [0, 2, 1, 3])], { shape: [batch, length, count * width] })
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

/**
 * The k-quants of llama.cpp: blocks of 256 values along a channel with a half-precision scale (and a half-precision least
 * value), in sub-blocks of 16 or 32 values with a small integer scale (and least value) each.
 *
 *   ŵ = (d·s)·q − (dmin·m)   or   ŵ = (d·s)·q with signed q and s
 */
import { blockIndex, blockSizes } from "../Blocks.ts"
import type { WeightShape } from "../WeightKind.ts"

export const kQuantNames = ["q2_K", "q3_K", "q4_K", "q5_K", "q6_K"] as const
export type KQuantName = (typeof kQuantNames)[number]

export interface KQuantType {
  readonly bits: number
  /** Values of a sub-block. */
  readonly sub: number
  /** Bits of a sub-block's scale, and of its least value. */
  readonly scaleBits: number
  /** Whether sub-blocks have a least value; else codes and scales are signed. */
  readonly hasMins: boolean
}

export const kQuantTypes: { readonly [N in KQuantName]: KQuantType } = {
  q2_K: { bits: 2, sub: 16, scaleBits: 4, hasMins: true },
  q3_K: { bits: 3, sub: 16, scaleBits: 6, hasMins: false },
  q4_K: { bits: 4, sub: 32, scaleBits: 6, hasMins: true },
  q5_K: { bits: 5, sub: 32, scaleBits: 6, hasMins: true },
  q6_K: { bits: 6, sub: 16, scaleBits: 8, hasMins: false }
}

/** Values of a block. */
export const SUPER = 256

/** The bounds of codes or scales of so many bits. */
export const boundsOf = (bits: number, signed: boolean): { readonly low: number; readonly high: number } =>
  signed ? { low: -(2 ** (bits - 1)), high: 2 ** (bits - 1) - 1 } : { low: 0, high: 2 ** bits - 1 }

/** How weights fall into blocks and sub-blocks; the last of a channel may be shorter. */
export interface Layout {
  readonly channels: number
  /** Sub-blocks of a channel. */
  readonly subs: number
  /** Blocks of a channel. */
  readonly supers: number
  /** The sub-block of a value, by its position in row-major order; they are numbered channel by channel. */
  readonly subOf: (i: number) => number
  /** The block of a sub-block, numbered likewise. */
  readonly superOf: (sub: number) => number
}

export const layoutOf = (of: WeightShape, { sub }: KQuantType): Layout => {
  const { channels, reduction, blocks: subs } = blockSizes(of, { block: sub })
  const supers = Math.ceil(reduction / SUPER)
  const perSuper = SUPER / sub
  return {
    channels,
    subs,
    supers,
    subOf: blockIndex(of, { block: sub }),
    superOf: (at) => Math.floor(at / subs) * supers + Math.floor((at % subs) / perSuper)
  }
}

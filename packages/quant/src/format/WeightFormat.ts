/**
 * How a layer's weights are represented: a tagged union, each member with an id that people type, plans hold, the
 * store indexes and tables show. The grammar is described in docs/formats.md.
 *
 *   w4        4-bit integers, zero point 0, one scale an output channel
 *   w4.t      one scale for the whole tensor
 *   w4.g32    one scale for every 32 values along the reduction of a channel
 *   w4.asym   a zero point beside every scale; combines: w4.g32.asym
 *   wf16 wf32 floating point
 *
 * The other kinds (small floats, codebooks, ternary, …) are listed there with their ids.
 *
 * What a kind means (codes, bytes, ONNX, device) stands in its row of `weights/kinds.ts`.
 */

import type { KQuantName } from "../weights/kQuant/types.ts"

/** What shares one scale: the tensor, an output channel, or a block of so many values of a channel. */
export type Scale = "tensor" | "channel" | { readonly block: number }

export interface IntegerWeights {
  readonly kind: "int"
  /** 1 to 16; one bit is a sign. */
  readonly bits: number
  readonly scale: Scale
  /** Whether a zero point is stored beside every scale. */
  readonly zeroPoint: boolean
}

export interface FloatWeights {
  readonly kind: "float"
  readonly bits: 16 | 32
}

/** Floats of 4 or 8 bits, by exponent and mantissa: e2m1, e4m3 (to 448), e5m2 (to 57344). */
export type SmallFloat = "e2m1" | "e4m3" | "e5m2"

export interface SmallFloatWeights {
  readonly kind: "smallFloat"
  readonly element: SmallFloat
  readonly scale: Scale
}

/** Small floats in blocks of 32 whose scale is a power of two, one byte. */
export interface MxWeights {
  readonly kind: "mx"
  readonly element: SmallFloat
}

/** Quantiles of the normal distribution. */
export interface NormalFloatWeights {
  readonly kind: "normalFloat"
  readonly scale: Scale
}

/** Signed powers of two, or of √2, and 0. */
export interface LogarithmicWeights {
  readonly kind: "logarithmic"
  /** 2 to 6. */
  readonly bits: number
  /** Levels an octave. */
  readonly steps: 1 | 2
  readonly scale: Scale
}

/** 2^bits values of its own. */
export interface CodebookWeights {
  readonly kind: "codebook"
  /** 1 to 8. */
  readonly bits: number
  readonly scale: Scale
}

/** −α, 0, α. */
export interface TernaryWeights {
  readonly kind: "ternary"
  readonly scale: Scale
}

/** −α, 0, β. */
export interface TwoSidedTernaryWeights {
  readonly kind: "twoSidedTernary"
  readonly scale: Scale
}

/** ±α₁ ± α₂ ± …, one sign a bit. */
export interface BinarySumWeights {
  readonly kind: "binarySum"
  /** 1 to 4. */
  readonly bits: number
  readonly scale: Scale
}

/** A k-quant of llama.cpp. */
export interface KQuantWeights {
  readonly kind: "kQuant"
  readonly type: KQuantName
}

export type WeightFormat =
  | IntegerWeights
  | FloatWeights
  | SmallFloatWeights
  | MxWeights
  | NormalFloatWeights
  | LogarithmicWeights
  | CodebookWeights
  | TernaryWeights
  | TwoSidedTernaryWeights
  | BinarySumWeights
  | KQuantWeights

export type WeightKindName = WeightFormat["kind"]

/** A member of the union by its kind. */
export type OfKind<K extends WeightKindName> = Extract<WeightFormat, { readonly kind: K }>

export const float32: FloatWeights = { kind: "float", bits: 32 }
export const float16: FloatWeights = { kind: "float", bits: 16 }

/** Integers with one scale a channel and no zero point. */
export const int = (bits: number, scale: Scale = "channel", zeroPoint = false): IntegerWeights => ({
  kind: "int",
  bits,
  scale,
  zeroPoint
})

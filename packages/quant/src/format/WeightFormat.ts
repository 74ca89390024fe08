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
 * What a kind means (codes, bytes, ONNX, device) stands in its row of `weights/kinds.ts`.
 */

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

export type WeightFormat = IntegerWeights | FloatWeights

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

/**
 * Weights in the blocks that ggml computes on: rows of channels, each of whole blocks. What a block holds is what the format's
 * values are made of, so reading it back gives the very values that were simulated.
 *
 * Layouts are those of ggml's `block_q4_0`, `block_q8_0`, `block_q2_K`, … (MIT). Integers with a half-precision scale for 32
 * values are its q4_0, q5_0 and q8_0.
 */
import { Dim } from "@bitbudget/graph"
import type { WeightFormat } from "../format/WeightFormat.ts"
import { channelsFirst } from "../weights/Blocks.ts"
import type { IntegerCodes } from "../weights/integer.ts"
import { type KQuantCodes } from "../weights/kQuant.ts"
import { kQuantTypes, SUPER, type KQuantName } from "../weights/kQuant/types.ts"
import type { Encoded } from "../weights/kinds.ts"
import type { WeightShape } from "../weights/WeightKind.ts"

export interface GgmlType {
  readonly name: string
  /** Its number in a GGUF file. */
  readonly number: number
  /** Values of a block. */
  readonly values: number
  /** Bytes of a block. */
  readonly bytes: number
}

const type = (name: string, number: number, values: number, bytes: number): GgmlType => ({
  name,
  number,
  values,
  bytes
})

const kTypes: { readonly [N in KQuantName]: GgmlType } = {
  q2_K: type("q2_K", 10, SUPER, 84),
  q3_K: type("q3_K", 11, SUPER, 110),
  q4_K: type("q4_K", 12, SUPER, 144),
  q5_K: type("q5_K", 13, SUPER, 176),
  q6_K: type("q6_K", 14, SUPER, 210)
}

const integerTypes: ReadonlyMap<number, GgmlType> = new Map([
  [4, type("q4_0", 2, 32, 18)],
  [5, type("q5_0", 6, 32, 22)],
  [8, type("q8_0", 8, 32, 34)]
])

export const float32Type = type("f32", 0, 1, 4)
export const float16Type = type("f16", 1, 1, 2)

/** The type that holds a format's values exactly; undefined where none does. */
export const typeOf = (format: WeightFormat): GgmlType | undefined => {
  if (format.kind === "kQuant") return kTypes[format.type]
  if (format.kind === "float") return format.bits === 16 ? float16Type : float32Type
  const { kind } = format
  if (kind !== "int" || format.zeroPoint || typeof format.scale !== "object" || format.scale.block !== 32)
    return undefined
  return integerTypes.get(format.bits)
}

/** Why weights of a shape cannot stand in a type's blocks; undefined where they can. */
export const obstacle = ({ shape, axis }: WeightShape, { name, values }: GgmlType): string | undefined => {
  const reduction = Dim.elements(shape) / shape[axis]!
  return reduction % values === 0
    ? undefined
    : `rows of ${reduction} values are no multiple of the ${values} of a ${name} block`
}

const half = (view: DataView, at: number, value: number): void => view.setFloat16(at, value, true)

/** A block of 32 integers with their scale: halves of bytes side by side, fifth bits apart. */
const integerBlock = (view: DataView, at: number, bits: number, codes: Int16Array, scale: number): void => {
  half(view, at, scale)
  if (bits === 8) return void codes.forEach((code, i) => view.setInt8(at + 2 + i, code))
  const unsigned = (i: number) => codes[i]! + 2 ** (bits - 1)
  const first = at + (bits === 5 ? 6 : 2)
  if (bits === 5) {
    let high = 0
    for (let i = 0; i < 32; i++) high += (unsigned(i) >> 4) * 2 ** i
    view.setUint32(at + 2, high, true)
  }
  for (let i = 0; i < 16; i++) view.setUint8(first + i, (unsigned(i) & 15) | ((unsigned(i + 16) & 15) << 4))
}

/** What one block of a k-quant is made of. */
interface Parts {
  /** 256, from 0. */
  readonly codes: Int16Array
  readonly scales: Int16Array
  readonly mins: Int16Array
  readonly d: number
  readonly dmin: number
}

type Writer = (view: DataView, at: number, parts: Parts) => void

/** Two-bit fields: value 128·n + 32·j + l is field j of byte 32·n + l. */
const pairs = (view: DataView, at: number, codes: Int16Array, shift: number): void => {
  for (let n = 0; n < 2; n++)
    for (let l = 0; l < 32; l++) {
      let byte = 0
      for (let j = 0; j < 4; j++) byte |= ((codes[128 * n + 32 * j + l]! >> shift) & 3) << (2 * j)
      view.setUint8(at + 32 * n + l, byte)
    }
}

/** Half bytes: values 64·n + l and 64·n + 32 + l share byte 32·n + l. */
const nibbles = (view: DataView, at: number, codes: Int16Array): void => {
  for (let n = 0; n < 4; n++)
    for (let l = 0; l < 32; l++)
      view.setUint8(at + 32 * n + l, (codes[64 * n + l]! & 15) | ((codes[64 * n + 32 + l]! & 15) << 4))
}

/** Bit `bit` of value 32·j + l is bit j of byte l. */
const plane = (view: DataView, at: number, codes: Int16Array, bit: number): void => {
  for (let l = 0; l < 32; l++) {
    let byte = 0
    for (let j = 0; j < 8; j++) byte |= ((codes[32 * j + l]! >> bit) & 1) << j
    view.setUint8(at + l, byte)
  }
}

/** Eight scales and eight least values of 6 bits in 12 bytes: the lower four each whole, the upper ones' high bits in them. */
const sixBits = (view: DataView, at: number, scales: Int16Array, mins: Int16Array): void => {
  for (let j = 0; j < 4; j++) {
    view.setUint8(at + j, scales[j]! | ((scales[j + 4]! >> 4) << 6))
    view.setUint8(at + 4 + j, mins[j]! | ((mins[j + 4]! >> 4) << 6))
    view.setUint8(at + 8 + j, (scales[j + 4]! & 15) | ((mins[j + 4]! & 15) << 4))
  }
}

const writers: { readonly [N in KQuantName]: Writer } = {
  q2_K: (view, at, { codes, scales, mins, d, dmin }) => {
    scales.forEach((scale, j) => view.setUint8(at + j, scale | (mins[j]! << 4)))
    pairs(view, at + 16, codes, 0)
    half(view, at + 80, d)
    half(view, at + 82, dmin)
  },
  q3_K: (view, at, { codes, scales, d }) => {
    plane(view, at, codes, 2)
    pairs(view, at + 32, codes, 0)
    const biased = scales.map((scale) => scale + 32)
    for (let j = 0; j < 8; j++) view.setUint8(at + 96 + j, (biased[j]! & 15) | ((biased[j + 8]! & 15) << 4))
    for (let j = 0; j < 4; j++)
      view.setUint8(
        at + 104 + j,
        [0, 4, 8, 12].reduce((byte, k, field) => byte | ((biased[j + k]! >> 4) << (2 * field)), 0)
      )
    half(view, at + 108, d)
  },
  q4_K: (view, at, { codes, scales, mins, d, dmin }) => {
    half(view, at, d)
    half(view, at + 2, dmin)
    sixBits(view, at + 4, scales, mins)
    nibbles(view, at + 16, codes)
  },
  q5_K: (view, at, { codes, scales, mins, d, dmin }) => {
    half(view, at, d)
    half(view, at + 2, dmin)
    sixBits(view, at + 4, scales, mins)
    plane(view, at + 16, codes, 4)
    nibbles(view, at + 48, codes)
  },
  q6_K: (view, at, { codes, scales, d }) => {
    // Values 128·n + l and 128·n + 64 + l share a byte, l below 64.
    for (let n = 0; n < 2; n++)
      for (let l = 0; l < 64; l++)
        view.setUint8(at + 64 * n + l, (codes[128 * n + l]! & 15) | ((codes[128 * n + 64 + l]! & 15) << 4))
    pairs(view, at + 128, codes, 4)
    scales.forEach((scale, j) => view.setInt8(at + 192 + j, scale))
    half(view, at + 208, d)
  }
}

const kQuantBytes = (encoded: KQuantCodes, own: GgmlType): Uint8Array<ArrayBuffer> => {
  const { bits, sub, hasMins } = kQuantTypes[encoded.format.type]
  const rows = channelsFirst(encoded.codes, encoded)
  const bytes = new Uint8Array((rows.length / SUPER) * own.bytes)
  const view = new DataView(bytes.buffer)
  const offset = hasMins ? 0 : 2 ** (bits - 1)
  const subs = SUPER / sub
  for (let block = 0; block < rows.length / SUPER; block++)
    writers[encoded.format.type](view, block * own.bytes, {
      codes: rows.subarray(block * SUPER, (block + 1) * SUPER).map((code) => code + offset),
      scales: encoded.subScales.subarray(block * subs, (block + 1) * subs),
      mins: encoded.subMins.subarray(block * subs, (block + 1) * subs),
      d: encoded.d[block]!,
      dmin: encoded.dmin[block] ?? 0
    })
  return bytes
}

const integerBytes = (encoded: IntegerCodes, own: GgmlType): Uint8Array<ArrayBuffer> => {
  const rows = channelsFirst(encoded.codes, encoded)
  const bytes = new Uint8Array((rows.length / own.values) * own.bytes)
  const view = new DataView(bytes.buffer)
  for (let block = 0; block < rows.length / own.values; block++)
    integerBlock(
      view,
      block * own.bytes,
      encoded.format.bits,
      Int16Array.from(rows.subarray(block * own.values, (block + 1) * own.values)),
      encoded.scales[block]!
    )
  return bytes
}

/** The blocks of encoded weights, channel after channel. `typeOf` must know their format and `obstacle` allow their shape. */
export const blocksOf = (encoded: Encoded): Uint8Array<ArrayBuffer> => {
  const own = typeOf(encoded.format)
  if (own !== undefined && "subScales" in encoded) return kQuantBytes(encoded, own)
  if (own !== undefined && "zeroPoints" in encoded) return integerBytes(encoded, own)
  throw new Error(`no block of ggml's holds ${encoded.format.kind}`)
}

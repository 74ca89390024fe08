/**
 * How integer codes stand in a file: at their own width, truly packed, in standard operators on constants that are
 * computed once, when the file is loaded.
 *
 * ONNX has types of 2, 4, 8 and 16 bits. Other widths are cut into such types and a plane of single bits, the highest
 * part signed (in small layers, where the nodes for that take more than it saves, the next type holds them): a 3-bit code is 2·(int2) + (1 bit), 7 bits are 8·(int4) + 2·(uint2) + (1 bit). A plane is bytes of eight
 * codes, taken apart by division: bit k of p is ⌊p / 2^k⌋ mod 2. What comes out is int8 (int16 above 8 bits), so a
 * product is the same as with plain 8-bit weights. See docs/decisions/0002-packed-weights.md.
 */
import { Dim, type GraphBuilder, Tensor } from "@bitbudget/graph"

type Codes = Int16Array | Uint16Array

interface Part {
  /** Bits of the part: an ONNX type's, or 1 for a plane. */
  readonly bits: 1 | 2 | 4 | 8 | 16
  /** Position of its lowest bit in the code. */
  readonly shift: number
}

const widths = [16, 8, 4, 2, 1] as const

/** What the nodes of a plane and its sums take in a file, about: below it a wider type is smaller. */
const PLANE_BYTES = 700

/** Parts of so many codes of a width, the highest first: its own bits, or the next type's where that is no larger. */
export const partsOf = (count: number, bits: number): ReadonlyArray<Part> => {
  const container = widths.findLast((width) => width >= Math.max(2, bits))!
  if (bits === container || (count * (container - bits)) / 8 < PLANE_BYTES)
    return [{ bits: container, shift: 0 }]
  const parts: Array<Part> = []
  let left = bits
  for (const width of widths) {
    if (left < width) continue
    left -= width
    parts.push({ bits: width, shift: left })
  }
  return parts
}

/** Bytes of so many codes of a width. */
export const packedBytes = (count: number, bits: number): number =>
  partsOf(count, bits).reduce((sum, part) => sum + Math.ceil((count * part.bits) / 8), 0)

const typeOf = (bits: 2 | 4 | 8 | 16, signed: boolean): Tensor.DType => `${signed ? "int" : "uint"}${bits}`

/** A constant with the numbers given, or, for a size only, none. */
export const stored = (
  dtype: Tensor.DType,
  shape: ReadonlyArray<number>,
  data: ArrayLike<number>
): Tensor.Tensor =>
  data.length === 0 ? { dtype, shape, data: Tensor.numbers(dtype, 0) } : Tensor.tensor(dtype, shape, data)

const bitPlane = (codes: Codes, shift: number): Uint8Array => {
  const plane = new Uint8Array(Math.ceil(codes.length / 8))
  for (let i = 0; i < codes.length; i++) plane[i >> 3]! |= ((codes[i]! >> shift) & 1) << (i & 7)
  return plane
}

/** Adds a plane of bits and returns the name of its codes 0 and 1, int32 of `shape`. */
const emitPlane = (
  builder: GraphBuilder,
  name: string,
  shape: ReadonlyArray<number>,
  plane: Uint8Array
): string => {
  const count = Dim.elements(shape)
  const bytes = Math.ceil(count / 8)
  const packed = builder.constant(stored("uint8", [bytes, 1], plane), `${name}/b`)
  const wide = builder.add("Cast", [packed], { to: "int32" }, { name: `${name}/b32` })
  const shared = (wanted: string, made: Tensor.Tensor) =>
    builder.constantOf(wanted) === undefined ? builder.constant(made, wanted) : wanted
  const powers = shared("bits/powers", Tensor.tensor("int32", [8], [1, 2, 4, 8, 16, 32, 64, 128]))
  const two = shared("bits/two", Tensor.tensor("int32", [], [2]))
  const shifted = builder.add("Div", [wide, powers], {}, { name: `${name}/bs` })
  const bits = builder.add("Mod", [shifted, two], {}, { name: `${name}/bm` })
  if (count % 8 === 0) return builder.add("Reshape", [bits], { shape }, { name: `${name}/br` })
  const flat = builder.add("Reshape", [bits], { shape: [bytes * 8] }, { name: `${name}/bf` })
  const cut = { axes: [0], starts: [0], ends: [count], steps: [1] }
  const exact = builder.add("Slice", [flat], cut, { name: `${name}/bc` })
  return builder.add("Reshape", [exact], { shape }, { name: `${name}/br` })
}

const emitPart = (
  builder: GraphBuilder,
  name: string,
  shape: ReadonlyArray<number>,
  codes: Codes,
  { bits, shift }: Part,
  signed: boolean
): string => {
  if (bits === 1) return emitPlane(builder, name, shape, bitPlane(codes, shift))
  const half = 2 ** (bits - 1)
  const part = codes.map((code) => {
    const field = (code >> shift) & (2 ** bits - 1)
    return signed && field >= half ? field - 2 * half : field
  })
  const constant = builder.constant(stored(typeOf(bits, signed), shape, part), `${name}/${bits}`)
  return builder.add("Cast", [constant], { to: "int32" }, { name: `${name}/${bits}w` })
}

const power = (builder: GraphBuilder, shift: number): string => {
  const wanted = `bits/${2 ** shift}`
  return builder.constantOf(wanted) === undefined
    ? builder.constant(Tensor.tensor("int32", [], [2 ** shift]), wanted)
    : wanted
}

/**
 * Adds codes of a width and returns the name of their value in `to` (or in the type they are stored in, where that is
 * the same): signed ones in two's complement, unsigned ones from 0, single signed bits as −1 and 1.
 */
export const emitCodes = (
  builder: GraphBuilder,
  name: string,
  shape: ReadonlyArray<number>,
  codes: Codes,
  bits: number,
  signed: boolean,
  to: Tensor.DType
): string => {
  const parts = partsOf(Dim.elements(shape), bits)
  const [whole, ...more] = parts
  if (more.length === 0 && whole!.bits !== 1) {
    const dtype = typeOf(whole!.bits, signed)
    const constant = builder.constant(stored(dtype, shape, codes), `${name}/int${whole!.bits}`)
    return dtype === to ? constant : builder.add("Cast", [constant], { to }, { name: `${name}/wide` })
  }
  if (bits === 1 && signed) {
    const positive = codes.map((code) => (code > 0 ? 1 : 0))
    const bit = emitPart(builder, name, shape, positive, whole!, false)
    const twice = builder.add("Mul", [bit, power(builder, 1)], {}, { name: `${name}/twice` })
    const sign = builder.add("Sub", [twice, power(builder, 0)], {}, { name: `${name}/sign` })
    return builder.add("Cast", [sign], { to }, { name: `${name}/wide` })
  }
  const sum = parts
    .map((part, k) => {
      const value = emitPart(builder, name, shape, codes, part, signed && k === 0)
      return part.shift === 0
        ? value
        : builder.add("Mul", [value, power(builder, part.shift)], {}, { name: `${name}/${part.bits}s` })
    })
    .reduce((a, b) => builder.add("Add", [a, b], {}, { name: `${name}/sum` }))
  return builder.add("Cast", [sum], { to }, { name: `${name}/wide` })
}

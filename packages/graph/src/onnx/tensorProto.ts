/**
 * TensorProto ↔ Tensor: every dtype of `DType` but text, raw or typed fields, sub-byte packing (first element in the
 * low bits), external data.
 *
 * Nothing is allocated for a shape before the data it needs has been seen: a header can claim 2^50 elements.
 */
import { create } from "@bufbuild/protobuf"
import type { TensorProto } from "onnx-buf"
import {
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType as Proto,
  TensorProtoSchema
} from "onnx-buf"
import { LARGEST_RANK } from "../ir/Budget.ts"
import { elements } from "../ir/Dim.ts"
import type { DType, Numbers, Tensor } from "../ir/Tensor.ts"
import { bitsOf, numbers, values } from "../ir/Tensor.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"

const protoOf: { readonly [K in DType]: Proto } = {
  float32: Proto.FLOAT,
  float16: Proto.FLOAT16,
  bfloat16: Proto.BFLOAT16,
  float64: Proto.DOUBLE,
  int64: Proto.INT64,
  uint64: Proto.UINT64,
  int32: Proto.INT32,
  uint32: Proto.UINT32,
  int16: Proto.INT16,
  uint16: Proto.UINT16,
  int8: Proto.INT8,
  uint8: Proto.UINT8,
  int4: Proto.INT4,
  uint4: Proto.UINT4,
  int2: Proto.INT2,
  uint2: Proto.UINT2,
  bool: Proto.BOOL,
  opaque: Proto.STRING
}

const dtypes = new Map<number, DType>(
  (Object.keys(protoOf) as ReadonlyArray<DType>).map((dtype) => [protoOf[dtype], dtype])
)

export const protoType = (dtype: DType): Proto => protoOf[dtype]

export const knownType = (proto: number): DType | undefined => dtypes.get(proto)

export const dtypeOf = (proto: number): DType =>
  dtypes.get(proto) ?? unsupported(`element type ${Proto[proto] ?? proto} is not supported`)

/** `length` bytes of external data at `offset`; `location` is relative to the model's folder. */
export type LoadExternal = (location: string, offset: number, length: number) => Uint8Array

const MAX_INT64 = 2n ** 63n - 1n
const MIN_INT64 = -(2n ** 63n)

/** Saturating, because "to the end" is written as the largest integer and doubles round it up. */
export const toInt64 = (value: number): bigint => {
  const rounded = BigInt(Math.trunc(value))
  return rounded > MAX_INT64 ? MAX_INT64 : rounded < MIN_INT64 ? MIN_INT64 : rounded
}

const unpackSubByte = (raw: Uint8Array, count: number, bits: 2 | 4, signed: boolean, out: Numbers): void => {
  const perByte = 8 / bits
  const mask = (1 << bits) - 1
  const sign = 1 << (bits - 1)
  for (let i = 0; i < count; i++) {
    const code = (raw[Math.floor(i / perByte)]! >> (bits * (i % perByte))) & mask
    out[i] = signed && (code & sign) !== 0 ? code - (1 << bits) : code
  }
}

/** `values` as `bits`-bit codes, first element in the low bits; two's complement for negative ones. */
export const packSubByte = (codes: ArrayLike<number>, bits: 2 | 4): Uint8Array => {
  const perByte = 8 / bits
  const mask = (1 << bits) - 1
  const packed = new Uint8Array(Math.ceil(codes.length / perByte))
  for (let i = 0; i < codes.length; i++)
    packed[Math.floor(i / perByte)]! |= (codes[i]! & mask) << (bits * (i % perByte))
  return packed
}

const bytesFor = (dtype: DType, count: number): number => Math.ceil((count * bitsOf[dtype]) / 8)

/** A bfloat16 is the upper half of a float32. */
const fromBfloat16 = (codes: ArrayLike<number>, out: Numbers): void => {
  const word = new DataView(new ArrayBuffer(4))
  for (let i = 0; i < out.length; i++) {
    word.setUint16(0, codes[i]!)
    out[i] = word.getFloat32(0)
  }
}

/** To the nearest bfloat16, ties to even. NaN stays NaN. */
const toBfloat16 = (value: number): number => {
  const word = new DataView(new ArrayBuffer(4))
  word.setFloat32(0, value)
  const bits = word.getUint32(0)
  if (Number.isNaN(value)) return (bits >>> 16) | 0x40
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

const decodeRaw = (dtype: DType, raw: Uint8Array, count: number): Numbers => {
  const needed = bytesFor(dtype, count)
  if (raw.byteLength !== needed) {
    refuse(`holds ${raw.byteLength} bytes where its shape and type need ${needed}`)
  }
  const out = numbers(dtype, count)
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  switch (dtype) {
    case "float64":
      for (let i = 0; i < count; i++) out[i] = view.getFloat64(8 * i, true)
      return out
    case "int64":
      for (let i = 0; i < count; i++) out[i] = Number(view.getBigInt64(8 * i, true))
      return out
    case "uint64":
      for (let i = 0; i < count; i++) out[i] = Number(view.getBigUint64(8 * i, true))
      return out
    case "float16":
      for (let i = 0; i < count; i++) out[i] = view.getFloat16(2 * i, true)
      return out
    case "bfloat16":
      fromBfloat16(
        Uint16Array.from({ length: count }, (_, i) => view.getUint16(2 * i, true)),
        out
      )
      return out
    case "int16":
      for (let i = 0; i < count; i++) out[i] = view.getInt16(2 * i, true)
      return out
    case "uint16":
      for (let i = 0; i < count; i++) out[i] = view.getUint16(2 * i, true)
      return out
    case "int4":
    case "uint4":
    case "int2":
    case "uint2":
      unpackSubByte(raw, count, bitsOf[dtype] as 2 | 4, dtype.startsWith("i"), out)
      return out
    case "float32":
    case "int32":
    case "uint32":
    case "int8":
    case "uint8":
    case "bool":
      // Machines this runs on are little-endian, as the format is; the copy also aligns.
      new Uint8Array(out.buffer).set(raw)
      return out
    case "opaque":
      return unsupported("holds text")
  }
}

/** The field of a TensorProto that holds a dtype's elements, unless they are raw bytes. */
const typedField = (dtype: DType, proto: TensorProto): ReadonlyArray<number | bigint> => {
  switch (dtype) {
    case "float32":
      return proto.floatData
    case "float64":
      return proto.doubleData
    case "int64":
      return proto.int64Data
    case "uint64":
    case "uint32":
      return proto.uint64Data
    case "opaque":
      return unsupported("holds text")
    default:
      return proto.int32Data
  }
}

const decodeTyped = (dtype: DType, proto: TensorProto, count: number): Numbers => {
  const given = typedField(dtype, proto)
  const isPacked = bitsOf[dtype] < 8
  const expected = isPacked ? bytesFor(dtype, count) : count
  if (given.length !== expected) refuse(`holds ${given.length} values where its shape needs ${expected}`)
  const out = numbers(dtype, count)
  if (isPacked) {
    unpackSubByte(Uint8Array.from(given, Number), count, bitsOf[dtype] as 2 | 4, dtype.startsWith("i"), out)
  } else if (dtype === "float16") {
    const view = new DataView(new ArrayBuffer(2))
    for (let i = 0; i < count; i++) {
      view.setUint16(0, Number(given[i]!))
      out[i] = view.getFloat16(0)
    }
  } else if (dtype === "bfloat16") fromBfloat16(Uint16Array.from(given, Number), out)
  else for (let i = 0; i < count; i++) out[i] = Number(given[i]!)
  return out
}

/** A number of bytes as external data states it, in decimal. */
const byteCount = (what: string, text: string): number => {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(value) ? value : refuse(`has the impossible external ${what} "${text}"`)
}

const loadRaw = (proto: TensorProto, needed: number, loadExternal: LoadExternal): Uint8Array => {
  const entry = (key: string) => proto.externalData.find((pair) => pair.key === key)?.value
  const location = entry("location") ?? refuse("is external but names no file")
  const length = byteCount("length", entry("length") ?? String(needed))
  const offset = byteCount("offset", entry("offset") ?? "0")
  if (length !== needed)
    refuse(`has ${length} bytes of external data where its shape and type need ${needed}`)
  return loadExternal(location, offset, needed)
}

export const readTensor = (proto: TensorProto, loadExternal: LoadExternal): Tensor => {
  const dtype = dtypeOf(proto.dataType)
  if (proto.dims.length > LARGEST_RANK) refuse(`has ${proto.dims.length} dimensions`)
  const shape = proto.dims.map(Number)
  const count = elements(shape)
  if (!Number.isSafeInteger(count) || shape.some((dim) => dim < 0))
    refuse(`has the impossible shape [${shape.join(",")}]`)
  if (proto.segment !== undefined) refuse("is one segment of a tensor, which is not supported")
  if (proto.dataLocation === TensorProto_DataLocation.EXTERNAL) {
    const raw = loadRaw(proto, bytesFor(dtype, count), loadExternal)
    return { dtype, shape, data: decodeRaw(dtype, raw, count) }
  }
  const isRaw = proto.rawData.byteLength > 0 || count === 0
  return {
    dtype,
    shape,
    data: isRaw ? decodeRaw(dtype, proto.rawData, count) : decodeTyped(dtype, proto, count)
  }
}

const encodeRaw = (tensor: Tensor): Uint8Array<ArrayBuffer> => {
  const data = values(tensor)
  const raw = new Uint8Array(bytesFor(tensor.dtype, data.length))
  const view = new DataView(raw.buffer)
  switch (tensor.dtype) {
    case "int64":
      for (let i = 0; i < data.length; i++) view.setBigInt64(8 * i, toInt64(data[i]!), true)
      return raw
    case "uint64":
      for (let i = 0; i < data.length; i++)
        view.setBigUint64(8 * i, BigInt.asUintN(64, toInt64(data[i]!)), true)
      return raw
    case "float16":
      for (let i = 0; i < data.length; i++) view.setFloat16(2 * i, data[i]!, true)
      return raw
    case "bfloat16":
      for (let i = 0; i < data.length; i++) view.setUint16(2 * i, toBfloat16(data[i]!), true)
      return raw
    case "int4":
    case "uint4":
    case "int2":
    case "uint2":
      raw.set(packSubByte(data, bitsOf[tensor.dtype] as 2 | 4))
      return raw
    case "float64":
      for (let i = 0; i < data.length; i++) view.setFloat64(8 * i, data[i]!, true)
      return raw
    case "float32":
    case "int32":
    case "uint32":
    case "int16":
    case "uint16":
    case "int8":
    case "uint8":
    case "bool":
      raw.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
      return raw
    case "opaque":
      throw new Error("text is carried by its own node and has no tensor to write")
  }
}

export const writeTensor = (name: string, tensor: Tensor): TensorProto =>
  create(TensorProtoSchema, {
    name,
    dims: tensor.shape.map(BigInt),
    dataType: protoOf[tensor.dtype],
    rawData: encodeRaw(tensor)
  })

/** A file beside the model's that takes large constants, one after the other. */
export interface ExternalData {
  /** Its name, relative to the model's folder. */
  readonly location: string
  /** Puts bytes at its end, and returns where they begin. */
  readonly append: (bytes: Uint8Array) => number
}

/** The constant with its elements in that file. */
export const writeExternally = (
  name: string,
  tensor: Tensor,
  { location, append }: ExternalData
): TensorProto => {
  const raw = encodeRaw(tensor)
  const place = { location, offset: append(raw), length: raw.byteLength }
  return create(TensorProtoSchema, {
    name,
    dims: tensor.shape.map(BigInt),
    dataType: protoOf[tensor.dtype],
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: Object.entries(place).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value: String(value) })
    )
  })
}

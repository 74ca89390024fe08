/**
 * TensorProto ↔ Tensor: every dtype of `DType`, raw or typed fields, sub-byte packing (first element in the low
 * bits), external data.
 */
import { create } from "@bufbuild/protobuf"
import type { TensorProto } from "onnx-buf"
import { TensorProto_DataLocation, TensorProto_DataType as Proto, TensorProtoSchema } from "onnx-buf"
import { elements } from "../ir/Dim.ts"
import type { DType, Numbers, Tensor } from "../ir/Tensor.ts"
import { bitsOf, numbers, values } from "../ir/Tensor.ts"
import { refuse } from "../ir/Refusal.ts"

const protoOf: { readonly [K in DType]: Proto } = {
  float32: Proto.FLOAT,
  float16: Proto.FLOAT16,
  float64: Proto.DOUBLE,
  int64: Proto.INT64,
  int32: Proto.INT32,
  int16: Proto.INT16,
  uint16: Proto.UINT16,
  int8: Proto.INT8,
  uint8: Proto.UINT8,
  int4: Proto.INT4,
  uint4: Proto.UINT4,
  int2: Proto.INT2,
  uint2: Proto.UINT2,
  bool: Proto.BOOL
}

const dtypes = new Map<number, DType>(
  (Object.keys(protoOf) as ReadonlyArray<DType>).map((dtype) => [protoOf[dtype], dtype])
)

export const protoType = (dtype: DType): Proto => protoOf[dtype]

export const dtypeOf = (proto: number): DType =>
  dtypes.get(proto) ?? refuse(`element type ${Proto[proto] ?? proto} is not supported`)

/** Bytes of external data: `location` relative to the model's folder. */
export type LoadExternal = (location: string, offset: number, length: number | undefined) => Uint8Array

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

const decodeRaw = (dtype: DType, raw: Uint8Array, count: number): Numbers => {
  const out = numbers(dtype, count)
  const needed = Math.ceil((count * bitsOf[dtype]) / 8)
  if (raw.byteLength !== needed) {
    refuse(`holds ${raw.byteLength} bytes where its shape and type need ${needed}`)
  }
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  switch (dtype) {
    case "float64":
      for (let i = 0; i < count; i++) out[i] = view.getFloat64(8 * i, true)
      return out
    case "int64":
      for (let i = 0; i < count; i++) out[i] = Number(view.getBigInt64(8 * i, true))
      return out
    case "float16":
      for (let i = 0; i < count; i++) out[i] = view.getFloat16(2 * i, true)
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
    case "int8":
    case "uint8":
    case "bool":
      // Machines this runs on are little-endian, as the format is; the copy also aligns.
      new Uint8Array(out.buffer).set(raw)
      return out
  }
}

const decodeTyped = (dtype: DType, proto: TensorProto, count: number): Numbers => {
  const out = numbers(dtype, count)
  const check = (length: number) =>
    length === count ? undefined : refuse(`holds ${length} values where its shape needs ${count}`)
  switch (dtype) {
    case "float32":
      check(proto.floatData.length)
      out.set(proto.floatData)
      return out
    case "float64":
      check(proto.doubleData.length)
      out.set(proto.doubleData)
      return out
    case "int64":
      check(proto.int64Data.length)
      for (let i = 0; i < count; i++) out[i] = Number(proto.int64Data[i]!)
      return out
    case "float16": {
      check(proto.int32Data.length)
      const view = new DataView(new ArrayBuffer(2))
      for (let i = 0; i < count; i++) {
        view.setUint16(0, proto.int32Data[i]!, true)
        out[i] = view.getFloat16(0, true)
      }
      return out
    }
    case "int4":
    case "uint4":
    case "int2":
    case "uint2":
      unpackSubByte(
        Uint8Array.from(proto.int32Data),
        count,
        bitsOf[dtype] as 2 | 4,
        dtype.startsWith("i"),
        out
      )
      return out
    case "int32":
    case "int16":
    case "uint16":
    case "int8":
    case "uint8":
    case "bool":
      check(proto.int32Data.length)
      out.set(proto.int32Data)
      return out
  }
}

export const readTensor = (proto: TensorProto, loadExternal: LoadExternal): Tensor => {
  const dtype = dtypeOf(proto.dataType)
  const shape = proto.dims.map(Number)
  const count = elements(shape)
  if (!Number.isSafeInteger(count) || count < 0) refuse(`has the impossible shape [${shape.join(",")}]`)
  if (proto.dataLocation === TensorProto_DataLocation.EXTERNAL) {
    const entry = (key: string) => proto.externalData.find((pair) => pair.key === key)?.value
    const location = entry("location") ?? refuse("is external but names no file")
    const length = entry("length")
    const raw = loadExternal(
      location,
      Number(entry("offset") ?? 0),
      length === undefined ? undefined : Number(length)
    )
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
  const raw = new Uint8Array(Math.ceil((data.length * bitsOf[tensor.dtype]) / 8))
  const view = new DataView(raw.buffer)
  switch (tensor.dtype) {
    case "int64":
      for (let i = 0; i < data.length; i++) view.setBigInt64(8 * i, toInt64(data[i]!), true)
      return raw
    case "float16":
      for (let i = 0; i < data.length; i++) view.setFloat16(2 * i, data[i]!, true)
      return raw
    case "int4":
    case "uint4":
    case "int2":
    case "uint2":
      raw.set(packSubByte(data, bitsOf[tensor.dtype] as 2 | 4))
      return raw
    case "float64":
    case "float32":
    case "int32":
    case "int16":
    case "uint16":
    case "int8":
    case "uint8":
    case "bool":
      raw.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
      return raw
  }
}

export const writeTensor = (name: string, tensor: Tensor): TensorProto =>
  create(TensorProtoSchema, {
    name,
    dims: tensor.shape.map(BigInt),
    dataType: protoOf[tensor.dtype],
    rawData: encodeRaw(tensor)
  })

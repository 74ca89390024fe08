/**
 * Constant tensors: weights, biases, shape arguments.
 *
 * The data is a typed array in row-major order, or one value for all elements (`fill`): architectures
 * without weights (ConstantOfShape) describe 7-billion-parameter networks, and reading them must cost nothing.
 * 64-bit integers are held as doubles, exact up to 2^53 and saturating beyond, which is all that shapes,
 * indices and "to the end" markers need. Weights of networks too large to be held stay in their files until they are
 * asked for (`Kept`).
 *
 * Analyses see float32 only: what a file keeps as float16, bfloat16 or float64 is read as float32 and the file's
 * type is remembered beside the graph (`Graph.stored`).
 */
import { elements } from "./Dim.ts"

export type DType =
  | "float32"
  | "float16"
  | "bfloat16"
  | "float64"
  | "int64"
  | "uint64"
  | "int32"
  | "uint32"
  | "int16"
  | "uint16"
  | "int8"
  | "uint8"
  | "int4"
  | "uint4"
  | "int2"
  | "uint2"
  | "bool"
  /** Text, sequences and whatever else no table knows: only between nodes that are carried as they are. */
  | "opaque"

/** Bits one element takes in a file. */
export const bitsOf: { readonly [K in DType]: number } = {
  float64: 64,
  int64: 64,
  uint64: 64,
  float32: 32,
  int32: 32,
  uint32: 32,
  float16: 16,
  bfloat16: 16,
  int16: 16,
  uint16: 16,
  int8: 8,
  uint8: 8,
  bool: 8,
  int4: 4,
  uint4: 4,
  int2: 2,
  uint2: 2,
  /** Not counted: it has no fixed width. */
  opaque: 0
}

export type FloatType = "float32" | "float16" | "bfloat16" | "float64"

export const isFloat = (dtype: DType): dtype is FloatType =>
  dtype === "float32" || dtype === "float16" || dtype === "bfloat16" || dtype === "float64"

/** The array that holds a dtype's elements in memory, one element an entry (sub-byte types unpacked). */
const arrayOf = {
  float64: Float64Array,
  float32: Float32Array,
  float16: Float32Array,
  bfloat16: Float32Array,
  int64: Float64Array,
  uint64: Float64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int4: Int8Array,
  uint4: Uint8Array,
  int2: Int8Array,
  uint2: Uint8Array,
  opaque: Uint8Array
} as const

export type Numbers =
  | Float64Array
  | Float32Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array

export interface Tensor {
  readonly dtype: DType
  readonly shape: ReadonlyArray<number>
  readonly data: Numbers | { readonly fill: number } | Kept
}

/** Elements that are read or made anew whenever they are asked for, and held by nobody. */
export interface Kept {
  readonly read: () => Numbers
}

// Typed arrays have a method called `fill`, so the property's presence would tell nothing.
export const isFill = (data: Tensor["data"]): data is { readonly fill: number } =>
  !ArrayBuffer.isView(data) && "fill" in data

export const isKept = (data: Tensor["data"]): data is Kept => !ArrayBuffer.isView(data) && "read" in data

export const numbers = (dtype: DType, length: number): Numbers => new arrayOf[dtype](length)

export const tensor = (dtype: DType, shape: ReadonlyArray<number>, values: ArrayLike<number>): Tensor => {
  const length = elements(shape)
  if (values.length !== length)
    throw new Error(`tensor: ${values.length} values for shape [${shape.join(",")}]`)
  return { dtype, shape, data: new arrayOf[dtype](values) }
}

export const float32 = (shape: ReadonlyArray<number>, values: ArrayLike<number>): Tensor =>
  tensor("float32", shape, values)

export const int64 = (shape: ReadonlyArray<number>, values: ArrayLike<number>): Tensor =>
  tensor("int64", shape, values)

export const scalar = (dtype: DType, value: number): Tensor => tensor(dtype, [], [value])

export const filled = (dtype: DType, shape: ReadonlyArray<number>, fill: number): Tensor => ({
  dtype,
  shape,
  data: { fill }
})

export const size = (tensor: Tensor): number => elements(tensor.shape)

export const kept = (dtype: DType, shape: ReadonlyArray<number>, read: () => Numbers): Tensor => ({
  dtype,
  shape,
  data: { read }
})

/** The elements as an array; a filled tensor is materialised, a kept one read. */
export const values = (tensor: Tensor): Numbers => {
  const { data } = tensor
  if (isFill(data)) return numbers(tensor.dtype, size(tensor)).fill(data.fill)
  return isKept(data) ? data.read() : data
}

/** Bytes the elements take in a file, sub-byte types packed. */
export const bytes = (tensor: Tensor): number => Math.ceil((size(tensor) * bitsOf[tensor.dtype]) / 8)

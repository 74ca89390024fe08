/**
 * Tensors as ONNX Runtime takes and gives them: dtype, shape, typed array in row-major order.
 *
 * They differ from the graph's `Tensor` (a constant of a model) in one thing: 64-bit integers are
 * `BigInt64Array`, ONNX Runtime's own form, so that nothing is copied at the border. Sub-byte types never
 * cross it: they live inside models only. Neither do 16-bit floats: ONNX Runtime's Node binding (1.30)
 * fails on every `Float16Array`, so a model has to cast them on its own side.
 */
import { Dim, Tensor } from "@bitbudget/graph"

/** The typed array of every element type. Booleans are bytes, 0 or 1. */
export interface Arrays {
  readonly float32: Float32Array
  readonly float64: Float64Array
  readonly int64: BigInt64Array
  readonly uint64: BigUint64Array
  readonly int32: Int32Array
  readonly uint32: Uint32Array
  readonly int16: Int16Array
  readonly uint16: Uint16Array
  readonly int8: Int8Array
  readonly uint8: Uint8Array
  readonly bool: Uint8Array
}

export type DType = keyof Arrays

export type Data = Arrays[DType]

export type Value = {
  readonly [K in DType]: {
    readonly dtype: K
    readonly shape: ReadonlyArray<number>
    readonly data: Arrays[K]
  }
}[DType]

/** Element types in memory: how to make an array, and its bytes an element. */
const constructors = {
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array
} as const

export const isDType = (name: string): name is DType => name in constructors

export const bytesPerElement = (dtype: DType): number => constructors[dtype].BYTES_PER_ELEMENT

/** `count` zeros of a type. */
export const zeros = (dtype: DType, count: number): Data => new constructors[dtype](count)

/** The bytes read as elements of a type (little endian); copied only where they are not aligned. */
export const view = (dtype: DType, bytes: Uint8Array<ArrayBuffer>): Data => {
  const array = constructors[dtype]
  const aligned = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice()
  return new array(aligned.buffer, aligned.byteOffset, aligned.byteLength / array.BYTES_PER_ELEMENT)
}

const holds: { readonly [K in DType]: (data: unknown) => boolean } = {
  float32: (data) => data instanceof Float32Array,
  float64: (data) => data instanceof Float64Array,
  int64: (data) => data instanceof BigInt64Array,
  uint64: (data) => data instanceof BigUint64Array,
  int32: (data) => data instanceof Int32Array,
  uint32: (data) => data instanceof Uint32Array,
  int16: (data) => data instanceof Int16Array,
  uint16: (data) => data instanceof Uint16Array,
  int8: (data) => data instanceof Int8Array,
  uint8: (data) => data instanceof Uint8Array,
  bool: (data) => data instanceof Uint8Array
}

/** A value of the given type; the array must be of that type and have the shape's number of elements. */
export const make = (dtype: DType, shape: ReadonlyArray<number>, data: Data): Value => {
  if (!holds[dtype](data)) throw new Error(`Value: a ${data.constructor.name} is not ${dtype}`)
  if (data.length !== Dim.elements(shape))
    throw new Error(`Value: ${data.length} elements for shape [${shape.join(",")}]`)
  // The dtype was checked against the array just above; TypeScript does not correlate the two.
  return { dtype, shape, data } as Value
}

export const float32 = (shape: ReadonlyArray<number>, data: Float32Array): Value =>
  make("float32", shape, data)

export const int64 = (shape: ReadonlyArray<number>, data: BigInt64Array): Value => make("int64", shape, data)

/** Whether the elements are JavaScript numbers, not big integers. */
export const isNumeric = (data: Data): data is Exclude<Data, BigInt64Array | BigUint64Array> =>
  !(data instanceof BigInt64Array || data instanceof BigUint64Array)

/** `float32 [4,1,28,28]` */
export const describe = (dtype: string, shape: ReadonlyArray<number | string>): string =>
  `${dtype} [${shape.join(",")}]`

/** A model's constant as a value. Sub-byte types have no form outside a model: a caller's mistake. */
export const fromTensor = (tensor: Tensor.Tensor): Value => {
  const { dtype, shape } = tensor
  if (!isDType(dtype)) throw new Error(`Value.fromTensor: ${dtype} exists inside models only`)
  const values = Tensor.values(tensor)
  if (holds[dtype](values)) return make(dtype, shape, values)
  const converted = zeros(dtype, values.length)
  if (isNumeric(converted)) converted.set(values)
  else converted.set(Array.from(values, BigInt))
  return make(dtype, shape, converted)
}

/**
 * A GGUF file: facts by name, then tensors. Little-endian; tensors begin at multiples of 32 bytes. Their bytes are made when
 * the file is written, one tensor at a time.
 *
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import type { GgmlType } from "./blocks.ts"

export type Fact =
  | { readonly uint32: number }
  | { readonly float32: number }
  | { readonly string: string }
  | { readonly strings: ReadonlyArray<string> }
  | { readonly int32s: ReadonlyArray<number> }

export interface GgufTensor {
  readonly name: string
  /** Row-major, the rows' length last; a file has them the other way round. */
  readonly shape: ReadonlyArray<number>
  readonly type: GgmlType
  readonly bytes: () => Uint8Array
}

export interface Gguf {
  readonly facts: ReadonlyMap<string, Fact>
  readonly tensors: ReadonlyArray<GgufTensor>
}

const VERSION = 3
const ALIGNMENT = 32

/** Numbers of the types of facts. */
const types = { uint32: 4, int32: 5, float32: 6, string: 8, array: 9 } as const

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}
const uint64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
const float32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return bytes
}
const text = (value: string): Buffer => {
  const bytes = Buffer.from(value, "utf8")
  return Buffer.concat([uint64(bytes.length), bytes])
}

const listed = (type: number, items: ReadonlyArray<Buffer>): Buffer =>
  Buffer.concat([uint32(types.array), uint32(type), uint64(items.length), ...items])

const factBytes = (fact: Fact): Buffer => {
  if ("uint32" in fact) return Buffer.concat([uint32(types.uint32), uint32(fact.uint32)])
  if ("float32" in fact) return Buffer.concat([uint32(types.float32), float32(fact.float32)])
  if ("string" in fact) return Buffer.concat([uint32(types.string), text(fact.string)])
  return "strings" in fact
    ? listed(types.string, fact.strings.map(text))
    : listed(types.int32, fact.int32s.map(int32))
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT

export const tensorBytes = ({ shape, type }: GgufTensor): number =>
  (shape.reduce((product, size) => product * size, 1) / type.values) * type.bytes

const headerOf = ({ facts, tensors }: Gguf): Buffer => {
  let offset = 0
  const places = tensors.map((tensor) => {
    const own = offset
    offset = aligned(offset + tensorBytes(tensor))
    return own
  })
  return Buffer.concat([
    Buffer.from("GGUF"),
    uint32(VERSION),
    uint64(tensors.length),
    uint64(facts.size),
    ...[...facts].flatMap(([name, fact]) => [text(name), factBytes(fact)]),
    ...tensors.flatMap(({ name, shape, type }, i) => [
      text(name),
      uint32(shape.length),
      ...shape.toReversed().map(uint64),
      uint32(type.number),
      uint64(places[i]!)
    ])
  ])
}

/** Bytes of the whole file. */
export const sizeOf = (file: Gguf): number =>
  file.tensors.reduce((sum, tensor) => sum + aligned(tensorBytes(tensor)), aligned(headerOf(file).length))

/** Gives the file to `write`, part by part. */
export const write = (file: Gguf, write: (part: Uint8Array) => void): void => {
  const padded = (bytes: Uint8Array) => {
    write(bytes)
    const rest = aligned(bytes.length) - bytes.length
    if (rest > 0) write(new Uint8Array(rest))
  }
  padded(headerOf(file))
  for (const tensor of file.tensors) {
    const bytes = tensor.bytes()
    if (bytes.length !== tensorBytes(tensor))
      throw new Error(`tensor ${tensor.name} has ${bytes.length} bytes instead of ${tensorBytes(tensor)}`)
    padded(bytes)
  }
}

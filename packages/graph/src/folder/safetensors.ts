/**
 * Weights of a model folder: `*.safetensors`, one file or the shards that an index names. A file is the length of its header
 * (8 bytes), the header in JSON (type, shape and bytes of every tensor), and the bytes. Tensors are widened to float32.
 *
 * https://github.com/huggingface/safetensors#format
 */
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { Faults } from "@bitbudget/words"
import { elements } from "../ir/Dim.ts"
import { refuse } from "../ir/Refusal.ts"

export interface Weights {
  readonly names: ReadonlyArray<string>
  readonly shapeOf: (name: string) => ReadonlyArray<number>
  /** float32, row-major. */
  readonly read: (name: string) => Float32Array<ArrayBuffer>
  /** Hex digest of all tensors, each looked at: a NaN or an infinite number is refused. */
  readonly sha256: () => string
}

interface Entry {
  readonly file: string
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  readonly start: number
  readonly end: number
}

interface Type {
  readonly bytes: number
  /** The bits of the exponent in the highest 16. */
  readonly exponent: number
}

const types: Readonly<Record<string, Type>> = {
  F32: { bytes: 4, exponent: 0x7f80 },
  F16: { bytes: 2, exponent: 0x7c00 },
  BF16: { bytes: 2, exponent: 0x7f80 },
  F64: { bytes: 8, exponent: 0x7ff0 }
}

const half = (bits: number): number => {
  const [sign, exponent, fraction] = [bits >> 15 === 0 ? 1 : -1, (bits >> 10) & 31, bits & 1023]
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

const widened = (dtype: string, bytes: Uint8Array<ArrayBuffer>, count: number): Float32Array<ArrayBuffer> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const values = new Float32Array(count)
  if (dtype === "F32") for (let i = 0; i < count; i++) values[i] = view.getFloat32(4 * i, true)
  else if (dtype === "F64") for (let i = 0; i < count; i++) values[i] = view.getFloat64(8 * i, true)
  else if (dtype === "F16") for (let i = 0; i < count; i++) values[i] = half(view.getUint16(2 * i, true))
  else {
    // The upper half of a float32.
    const wide = new Uint32Array(values.buffer)
    for (let i = 0; i < count; i++) wide[i] = view.getUint16(2 * i, true) << 16
  }
  return values
}

/** Bytes that are looked at together: whole elements of every type. */
const PART_BYTES = 1 << 24

/** The first element that is infinite or no number: its exponent is all ones; -1 where there is none. */
const notFinite = (type: Type, bytes: Uint8Array<ArrayBuffer>): number => {
  const words = new Uint16Array(bytes.buffer)
  const every = type.bytes / 2
  // Little-endian: the last word of an element has its exponent.
  for (let i = every - 1; i < words.length; i += every)
    if ((words[i]! & type.exponent) === type.exponent) return (i + 1) / every - 1
  return -1
}

const readAt = (file: string, start: number, length: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(length)
  const descriptor = fs.openSync(file, "r")
  try {
    if (fs.readSync(descriptor, bytes, 0, length, start) < length)
      refuse(`${path.basename(file)} ends early: it is truncated; download it again`)
  } finally {
    fs.closeSync(descriptor)
  }
  return bytes
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isCounts = (value: unknown): value is ReadonlyArray<number> =>
  Array.isArray(value) && value.every((each) => Number.isSafeInteger(each) && each >= 0)

const entriesOf = (file: string): ReadonlyArray<readonly [string, Entry]> => {
  const name = path.basename(file)
  const { size } = fs.statSync(file)
  const damaged = (why: string) =>
    refuse(`${name} is no safetensors file, or is damaged (${why}); download it again`)
  if (size < 8) return damaged("it is too short")
  const length = Number(new DataView(readAt(file, 0, 8).buffer).getBigUint64(0, true))
  if (length > size - 8) return damaged("its header is longer than the file")
  const json = Faults.parseJson(Buffer.from(readAt(file, 8, length)).toString("utf8"))
  if ("why" in json || !isRecord(json.value)) return damaged("its header is no JSON object")
  return Object.entries(json.value).flatMap(([tensor, entry]) => {
    if (tensor === "__metadata__") return []
    if (!isRecord(entry) || typeof entry["dtype"] !== "string") return damaged(`tensor ${tensor} has no type`)
    const { dtype, shape, data_offsets: offsets } = entry
    if (!isCounts(shape) || !isCounts(offsets) || offsets.length !== 2)
      return damaged(`tensor ${tensor} has no shape or place`)
    const type = types[dtype]
    if (type === undefined)
      return refuse(
        `${name}: tensor ${tensor} is ${dtype}, and ${Object.keys(types).join(", ")} are read: give the model in one of them`
      )
    const [from, to] = [offsets[0]!, offsets[1]!]
    const [start, end] = [8 + length + from, 8 + length + to]
    if (to - from !== type.bytes * elements(shape) || end > size)
      return damaged(`tensor ${tensor} lies beyond its end`)
    return [[tensor, { file, dtype, shape, start, end }] as const]
  })
}

/** The files that hold the weights: those that an index names, or all there are. */
const filesIn = (folder: string): ReadonlyArray<string> => {
  const index = path.join(folder, "model.safetensors.index.json")
  const found = fs.readdirSync(folder).filter((name) => name.endsWith(".safetensors"))
  if (!fs.existsSync(index)) {
    if (found.length === 0) return refuse("has no .safetensors file")
    return found.toSorted().map((name) => path.join(folder, name))
  }
  const json = Faults.parseJson(fs.readFileSync(index, "utf8"))
  const map = "why" in json || !isRecord(json.value) ? undefined : json.value["weight_map"]
  if (!isRecord(map)) return refuse("model.safetensors.index.json has no weight_map")
  const named = [...new Set(Object.values(map).map(String))].toSorted()
  const missing = named.filter((name) => !found.includes(name))
  return missing.length > 0
    ? refuse(
        `lacks ${missing.join(", ")}, which model.safetensors.index.json names: download the missing shards`
      )
    : named.map((name) => path.join(folder, name))
}

/** The weights of a folder. Throws a Refusal that names the file and the tensor. */
export const open = (folder: string): Weights => {
  const files = filesIn(folder)
  const entries = new Map(files.flatMap(entriesOf))
  const entry = (name: string): Entry =>
    entries.get(name) ?? refuse(`has no tensor ${name} in its .safetensors files`)
  return {
    names: [...entries.keys()],
    shapeOf: (name) => entry(name).shape,
    read: (name) => {
      const { file, dtype, shape, start, end } = entry(name)
      return widened(dtype, readAt(file, start, end - start), elements(shape))
    },
    sha256: () => {
      const hash = createHash("sha256")
      for (const [name, { file, dtype, shape, start, end }] of entries) {
        const type = types[dtype]!
        hash.update(`${name} ${dtype} ${shape.join()}\n`)
        for (let at = start; at < end; at += PART_BYTES) {
          const bytes = readAt(file, at, Math.min(PART_BYTES, end - at))
          const bad = notFinite(type, bytes)
          if (bad >= 0)
            refuse(
              `tensor ${name} holds an infinite value or no number at element ${(at - start) / type.bytes + bad}; the training run has probably diverged`
            )
          hash.update(bytes)
        }
      }
      return hash.digest("hex")
    }
  }
}

/**
 * An n-dimensional array in a file: the two formats, NumPy's `.npy` and MNIST's IDX, differ only in the
 * header. Rows along the first axis are read by number; the array itself is never held as a whole.
 *
 * Formats: NEP 1 (numpy.lib.format), and http://yann.lecun.com/exdb/mnist (IDX).
 */
import { Effect } from "effect"
import * as Value from "../Value.ts"
import * as Archive from "./Archive.ts"
import * as Blob from "./Blob.ts"
import { DataFailure } from "./DataFailure.ts"

export interface ArrayFile {
  /** The file, with the member's name when it is in an archive. */
  readonly file: string
  readonly dtype: Value.DType
  /** Rows first. */
  readonly shape: ReadonlyArray<number>
  /** Elements `rows[0]`, `rows[1]`, … along the first axis, one after the other. */
  readonly rows: (rows: ReadonlyArray<number>) => Effect.Effect<Value.Data, DataFailure>
}

interface Header {
  readonly dtype: Value.DType
  readonly shape: ReadonlyArray<number>
  readonly dataOffset: number
  readonly bigEndian: boolean
}

/** Puts big-endian elements into this machine's order, in place. */
const swap = (bytes: Uint8Array<ArrayBuffer>, size: number): void => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (size === 2) buffer.swap16()
  else if (size === 4) buffer.swap32()
  else if (size === 8) buffer.swap64()
}

const product = (dims: ReadonlyArray<number>): number => dims.reduce((a, b) => a * b, 1)

const fromHeader = (blob: Blob.Blob, header: Header): Effect.Effect<ArrayFile, DataFailure> => {
  const size = Value.bytesPerElement(header.dtype)
  const rowBytes = product(header.shape.slice(1)) * size
  const expected = header.dataOffset + (header.shape[0] ?? 0) * rowBytes
  const wrong = (problem: string, mend: string) =>
    Effect.fail(new DataFailure({ file: blob.file, problem, mend }))
  if (header.shape.length === 0)
    return wrong("the array is a single number, not one row a sample", "Give it a first axis of samples")
  if (expected === header.dataOffset)
    return wrong(`the array is empty: its shape is [${header.shape.join(",")}]`, "Give at least one sample")
  if (blob.bytes !== expected)
    return wrong(
      `the header announces ${Value.describe(header.dtype, header.shape)}, ${expected} bytes in all, but the file ` +
        `has ${blob.bytes}: it is ${blob.bytes < expected ? "truncated" : "longer than it says"}`,
      "Copy or write the file again"
    )
  return Effect.succeed({
    file: blob.file,
    dtype: header.dtype,
    shape: header.shape,
    rows: (rows) =>
      Effect.map(blob.read(Blob.records(rows, header.dataOffset, rowBytes)), (bytes) => {
        if (!header.bigEndian || size === 1) return Value.view(header.dtype, bytes)
        const copy = bytes.slice()
        swap(copy, size)
        return Value.view(header.dtype, copy)
      })
  })
}

// IDX ----------------------------------------------------------------------------------------------------

const idxTypes: Readonly<Record<number, Value.DType>> = {
  0x08: "uint8",
  0x09: "int8",
  0x0b: "int16",
  0x0c: "int32",
  0x0d: "float32",
  0x0e: "float64"
}

export const isIdx = (start: Uint8Array): boolean =>
  start[0] === 0 && start[1] === 0 && idxTypes[start[2] ?? 0] !== undefined && (start[3] ?? 0) > 0

/** `[N,28,28]` images or `[N]` labels, big endian. */
export const idx = (blob: Blob.Blob): Effect.Effect<ArrayFile, DataFailure> =>
  Effect.gen(function* () {
    const start = yield* blob.read([{ offset: 0, length: Math.min(blob.bytes, 4 + 4 * 255) }])
    const dtype = idxTypes[start[2] ?? 0]
    const rank = start[3] ?? 0
    if (!isIdx(start) || dtype === undefined)
      return yield* new DataFailure({
        file: blob.file,
        problem: "it is no IDX file: those begin with two zero bytes, a type and a number of dimensions",
        mend: "Give the images and labels as images.gz,labels.gz"
      })
    const dataOffset = 4 + 4 * rank
    if (start.length < dataOffset)
      return yield* new DataFailure({
        file: blob.file,
        problem: `the file is truncated inside its header of ${dataOffset} bytes`,
        mend: "Copy or download the file again"
      })
    const header = new DataView(start.buffer, start.byteOffset, dataOffset)
    const shape = Array.from({ length: rank }, (_, axis) => header.getUint32(4 + 4 * axis))
    return yield* fromHeader(blob, { dtype, shape, dataOffset, bigEndian: true })
  })

// NPY ----------------------------------------------------------------------------------------------------

const npyTypes: Readonly<Record<string, Value.DType>> = {
  f4: "float32",
  f8: "float64",
  i1: "int8",
  i2: "int16",
  i4: "int32",
  i8: "int64",
  u1: "uint8",
  u2: "uint16",
  u4: "uint32",
  u8: "uint64",
  b1: "bool"
}

export const isNpy = (start: Uint8Array): boolean =>
  start[0] === 0x93 && Buffer.from(start.subarray(1, 6)).toString("latin1") === "NUMPY"

const npyHeader = (file: string, text: string, dataOffset: number): Effect.Effect<Header, DataFailure> => {
  const descr = /'descr':\s*'([<>|=])([a-zA-Z]\d*)/.exec(text)
  const order = /'fortran_order':\s*(True|False)/.exec(text)
  const shape = /'shape':\s*\(([^)]*)\)/.exec(text)
  const wrong = (problem: string, mend: string) => Effect.fail(new DataFailure({ file, problem, mend }))
  const dtype = npyTypes[descr?.[2] ?? ""]
  if (order === null || shape === null)
    return wrong("its NumPy header cannot be read", "Write it again with numpy.save")
  if (descr === null || dtype === undefined)
    return wrong(
      `its element type ${/'descr':\s*('[^']*'|\[[^\]]*\])/.exec(text)?.[1] ?? "is missing"} is not supported`,
      `Save it as one of ${Object.values(npyTypes).join(", ")}, for example x.astype("float32")`
    )
  if (order[1] === "True") return wrong("the array is in Fortran order", "Save numpy.ascontiguousarray(x)")
  const dims = (shape[1] ?? "")
    .split(",")
    .map((dim) => dim.trim())
    .filter((dim) => dim !== "")
  return Effect.succeed({ dtype, shape: dims.map(Number), dataOffset, bigEndian: descr[1] === ">" })
}

export const npy = (blob: Blob.Blob): Effect.Effect<ArrayFile, DataFailure> =>
  Effect.gen(function* () {
    const start = yield* blob.read([{ offset: 0, length: Math.min(blob.bytes, 12) }])
    if (!isNpy(start) || start.length < 12)
      return yield* new DataFailure({
        file: blob.file,
        problem: "it is no .npy file: the NumPy signature is missing",
        mend: "Write it with numpy.save"
      })
    const view = new DataView(start.buffer, start.byteOffset, 12)
    // Version 1 has a 16-bit header length, later ones 32 bits.
    const [headerStart, length] =
      start[6] === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)]
    if (headerStart + length > blob.bytes)
      return yield* new DataFailure({
        file: blob.file,
        problem: "the file is truncated inside its header",
        mend: "Copy or write the file again"
      })
    const text = Buffer.from(yield* blob.read([{ offset: headerStart, length }])).toString("latin1")
    return yield* fromHeader(blob, yield* npyHeader(blob.file, text, headerStart + length))
  })

/** The arrays of an `.npz` archive by name. It is decompressed into memory: there are no positions in it. */
export const npz = (file: string): Effect.Effect<ReadonlyMap<string, ArrayFile>, DataFailure> =>
  Effect.gen(function* () {
    const members = yield* Archive.members(file, yield* Blob.whole(file), (name) => name.endsWith(".npy"))
    const arrays = new Map<string, ArrayFile>()
    for (const [name, content] of members)
      arrays.set(name.slice(0, -".npy".length), yield* npy(Blob.inMemory(`${file}:${name}`, content)))
    return arrays
  })

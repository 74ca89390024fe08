/**
 * The members of a ZIP archive, such as NumPy's `.npz`: read from its directory, checked against its checksums.
 *
 * An archive is small beside what it holds (3 MB of zeros are 3 GB), so the sizes it states are added up and held
 * against a limit before anything is decompressed, and no member may yield more than it states.
 *
 * Format: PKWARE APPNOTE 6.3.10, with the 64-bit fields that NumPy writes for large arrays.
 */
import { Context, Effect } from "effect"
import { crc32, inflateRawSync } from "node:zlib"
import { DataFailure } from "./DataFailure.ts"

/** Bytes that the content of one compressed file may have in memory; `BITBUDGET_UNPACK_LIMIT`, or 1 GiB, when not provided. */
export const Limit = Context.Reference<number | undefined>("@bitbudget/runtime/Archive/Limit", {
  defaultValue: () => undefined
})

const usualLimit = 2 ** 30
const limitVariable = "BITBUDGET_UNPACK_LIMIT"

/** The limit that holds. */
export const limit: Effect.Effect<number, DataFailure> = Effect.gen(function* () {
  const provided = yield* Effect.service(Limit)
  const said = process.env[limitVariable] ?? ""
  if (provided !== undefined || said === "") return provided ?? usualLimit
  const bytes = Number(said)
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes
  return yield* new DataFailure({
    file: limitVariable,
    problem: `"${said}" is not a number of bytes`,
    mend: "Write a whole number, as 4000000000"
  })
})

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`

/** What is said of a compressed file whose content does not fit the limit. */
export const tooLarge = (file: string, bytes: number | undefined, limit: number): DataFailure =>
  new DataFailure({
    file,
    problem: `unpacked it has ${bytes === undefined ? "more than the" : `${megabytes(bytes)}, more than the`} ${megabytes(limit)} that a compressed file may have`,
    mend: `Unpack it: plain .npy and IDX files are read from disk a batch at a time. Or raise the limit: ${limitVariable}=BYTES`
  })

interface Entry {
  readonly name: string
  readonly encrypted: boolean
  readonly method: number
  readonly checksum: number
  readonly packedBytes: number
  readonly bytes: number
  readonly offset: number
}

const signature = {
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
  entry: 0x02014b50,
  local: 0x04034b50
}
const endBytes = 22
const longestComment = 0xffff
const inExtra = 0xffffffff

/** Thrown by the parser and told as a fault of the file; anything else (reads past the end) counts as one too. */
const broken = (what: string): Error => new Error(what)

const safe = (value: bigint): number => {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw broken("it states a size beyond every file")
  return Number(value)
}

/** Where the directory begins and how many entries it has. */
const directoryOf = (archive: DataView): { readonly offset: number; readonly entries: number } => {
  const last = archive.byteLength - endBytes
  let end = last
  while (end >= 0 && archive.getUint32(end, true) !== signature.end) {
    end--
    if (last - end > longestComment) end = -1
  }
  if (end < 0) throw broken("its directory is missing: the file is truncated, or not a ZIP archive")
  const found = { entries: archive.getUint16(end + 10, true), offset: archive.getUint32(end + 16, true) }
  const locator = end - 20
  if (locator < 0 || archive.getUint32(locator, true) !== signature.locator64) return found
  const end64 = safe(archive.getBigUint64(locator + 8, true))
  if (archive.getUint32(end64, true) !== signature.end64) throw broken("its directory is damaged")
  return {
    entries: safe(archive.getBigUint64(end64 + 32, true)),
    offset: safe(archive.getBigUint64(end64 + 48, true))
  }
}

/** Fields that did not fit into 32 bits, in the order of the header: size, packed size, offset. */
const widened = (
  archive: DataView,
  start: number,
  length: number,
  fields: ReadonlyArray<number>
): ReadonlyArray<number> => {
  if (!fields.includes(inExtra)) return fields
  for (let at = start; at + 4 <= start + length; at += 4 + archive.getUint16(at + 2, true)) {
    if (archive.getUint16(at, true) !== 1) continue
    let next = at + 4
    return fields.map((field) => {
      if (field !== inExtra) return field
      next += 8
      return safe(archive.getBigUint64(next - 8, true))
    })
  }
  return fields
}

const entriesOf = (bytes: Uint8Array): ReadonlyArray<Entry> => {
  const archive = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const directory = directoryOf(archive)
  const entries: Array<Entry> = []
  let at = directory.offset
  for (let i = 0; i < directory.entries; i++) {
    if (archive.getUint32(at, true) !== signature.entry) throw broken("its directory is damaged")
    const nameBytes = archive.getUint16(at + 28, true)
    const extraBytes = archive.getUint16(at + 30, true)
    const nameStart = at + 46
    const [size, packedBytes, offset] = widened(archive, nameStart + nameBytes, extraBytes, [
      archive.getUint32(at + 24, true),
      archive.getUint32(at + 20, true),
      archive.getUint32(at + 42, true)
    ])
    entries.push({
      name: Buffer.from(bytes.subarray(nameStart, nameStart + nameBytes)).toString("utf8"),
      encrypted: (archive.getUint16(at + 8, true) & 1) === 1,
      method: archive.getUint16(at + 10, true),
      checksum: archive.getUint32(at + 16, true),
      packedBytes: packedBytes!,
      bytes: size!,
      offset: offset!
    })
    at = nameStart + nameBytes + extraBytes + archive.getUint16(at + 32, true)
  }
  return entries
}

const contentOf = (archive: Uint8Array<ArrayBuffer>, entry: Entry): Uint8Array<ArrayBuffer> => {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength)
  const { name, offset } = entry
  if (view.getUint32(offset, true) !== signature.local) throw broken(`the header of ${name} is damaged`)
  const start = offset + 30 + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true)
  const packed = archive.subarray(start, start + entry.packedBytes)
  if (packed.length < entry.packedBytes) throw broken(`${name} is truncated`)
  if (entry.encrypted) throw broken(`${name} is encrypted`)
  if (entry.method !== 0 && entry.method !== 8)
    throw broken(`${name} is compressed by method ${entry.method}; only deflate is read`)
  // One byte more than stated is enough to see that it states too few.
  const content =
    entry.method === 0 ? packed : new Uint8Array(inflateRawSync(packed, { maxOutputLength: entry.bytes + 1 }))
  if (content.length !== entry.bytes)
    throw broken(`${name} has ${content.length} bytes where the directory says ${entry.bytes}`)
  if (crc32(content) !== entry.checksum) throw broken(`the checksum of ${name} does not match its content`)
  return content
}

/** The members whose names `wanted` takes, by name. Fails on any that is damaged, or if all are too much for memory. */
export const members = (
  file: string,
  archive: Uint8Array<ArrayBuffer>,
  wanted: (name: string) => boolean
): Effect.Effect<ReadonlyMap<string, Uint8Array<ArrayBuffer>>, DataFailure> =>
  Effect.gen(function* () {
    const attempt = <A>(read: () => A) =>
      Effect.try({
        try: read,
        catch: (error) =>
          new DataFailure({
            file,
            problem: `the archive is broken: ${error instanceof Error ? error.message : String(error)}`,
            mend: "Copy or write it again (numpy.savez)"
          })
      })
    const most = yield* limit
    const entries = (yield* attempt(() => entriesOf(archive))).filter(({ name }) => wanted(name))
    const total = entries.reduce((sum, { bytes }) => sum + bytes, 0)
    if (total > most) return yield* tooLarge(file, total, most)
    const found = new Map<string, Uint8Array<ArrayBuffer>>()
    for (const entry of entries) {
      if (found.has(entry.name))
        return yield* new DataFailure({
          file,
          problem: `two members are named ${entry.name}`,
          mend: "Write it again with one array of each name"
        })
      found.set(entry.name, yield* attempt(() => contentOf(archive, entry)))
    }
    return found
  })

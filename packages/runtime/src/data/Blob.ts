/**
 * The bytes of a file, read where they are needed.
 *
 * A plain file stays on disk and is read by position, so a data set may be larger than memory. A gzipped
 * one has no positions: it is decompressed once, up to a limit, and kept (as the file's own bytes, not as floats).
 */
import { Effect } from "effect"
import { open as openFile, readFile, stat } from "node:fs/promises"
import { promisify } from "node:util"
import { constants, gunzip, gunzipSync } from "node:zlib"
import * as Archive from "./Archive.ts"
import { DataFailure } from "./DataFailure.ts"

export interface Span {
  readonly offset: number
  readonly length: number
}

export interface Blob {
  readonly file: string
  readonly bytes: number
  /** The spans' bytes, one after the other. Spans lie inside the blob. */
  readonly read: (spans: ReadonlyArray<Span>) => Effect.Effect<Uint8Array<ArrayBuffer>, DataFailure>
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "the file may not be read",
  EISDIR: "it is a folder, not a file",
  ENOTDIR: "a part of its path is not a folder"
}

const failure = (file: string) => (error: unknown) => {
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  return new DataFailure({
    file,
    problem: reasons[code] ?? (error instanceof Error ? error.message : String(error)),
    mend: "Check the path"
  })
}

/** A file operation whose failure names the file. */
export const attempt = <A>(file: string, operation: () => Promise<A>): Effect.Effect<A, DataFailure> =>
  Effect.tryPromise({ try: operation, catch: failure(file) })

/** A whole file. */
export const whole = (file: string): Effect.Effect<Uint8Array<ArrayBuffer>, DataFailure> =>
  attempt(file, async () => {
    const buffer = await readFile(file)
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  })

const totalLength = (spans: ReadonlyArray<Span>): number =>
  spans.reduce((total, { length }) => total + length, 0)

/** A blob held in memory, such as a member of an archive. */
export const inMemory = (file: string, content: Uint8Array<ArrayBuffer>): Blob => ({
  file,
  bytes: content.byteLength,
  read: (spans) =>
    Effect.sync(() => {
      if (spans.length === 1) return content.subarray(spans[0]!.offset, spans[0]!.offset + spans[0]!.length)
      const result = new Uint8Array(totalLength(spans))
      let filled = 0
      for (const { offset, length } of spans) {
        result.set(content.subarray(offset, offset + length), filled)
        filled += length
      }
      return result
    })
})

const onDisk = (file: string, bytes: number): Blob => ({
  file,
  bytes,
  read: (spans) =>
    attempt(file, async () => {
      const result = new Uint8Array(totalLength(spans))
      const handle = await openFile(file)
      try {
        let filled = 0
        for (const { offset, length } of spans) {
          const { bytesRead } = await handle.read(result, filled, length, offset)
          if (bytesRead !== length) throw new Error(`it ended at byte ${offset + bytesRead} while being read`)
          filled += length
        }
      } finally {
        await handle.close()
      }
      return result
    })
})

const brokenGzip = (file: string) => (error: unknown) =>
  new DataFailure({
    file,
    problem: `the gzip stream is broken (${error instanceof Error ? error.message : String(error)})`,
    mend: "Copy or download the file again"
  })

const isGzip = (start: Uint8Array): boolean => start[0] === 0x1f && start[1] === 0x8b

const openPlain = (file: string): Effect.Effect<Blob, DataFailure> =>
  Effect.gen(function* () {
    const info = yield* attempt(file, () => stat(file))
    if (info.isDirectory())
      return yield* new DataFailure({ file, problem: reasons.EISDIR!, mend: "Name a file in it" })
    if (info.size === 0)
      return yield* new DataFailure({ file, problem: "the file is empty", mend: "Copy it again" })
    return onDisk(file, info.size)
  })

/** The first bytes of a file's (decompressed) content, by which formats are told apart. */
export const start = (file: string): Effect.Effect<Uint8Array, DataFailure> =>
  Effect.gen(function* () {
    const plain = yield* openPlain(file)
    const bytes = yield* plain.read([{ offset: 0, length: Math.min(4096, plain.bytes) }])
    if (!isGzip(bytes)) return bytes
    // The stream is cut off on purpose: a flush yields what there is so far.
    return yield* Effect.try({
      try: () => gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }),
      catch: brokenGzip(file)
    })
  })

/** Opens a file, decompressing it when its content is gzip. */
export const open = (file: string): Effect.Effect<Blob, DataFailure> =>
  Effect.gen(function* () {
    const plain = yield* openPlain(file)
    if (!isGzip(yield* plain.read([{ offset: 0, length: Math.min(2, plain.bytes) }]))) return plain
    const compressed = yield* whole(file)
    const limit = yield* Archive.limit
    const content = yield* Effect.tryPromise({
      try: () => promisify(gunzip)(compressed, { maxOutputLength: limit }),
      catch: (error) =>
        error instanceof RangeError ? Archive.tooLarge(file, undefined, limit) : brokenGzip(file)(error)
    })
    return inMemory(file, new Uint8Array(content.buffer, content.byteOffset, content.byteLength))
  })

/**
 * Records of equal size by number: the spans of `rows`, neighbours merged into one read.
 * `start` is where record 0 begins.
 */
export const records = (rows: ReadonlyArray<number>, start: number, length: number): ReadonlyArray<Span> => {
  const spans: Array<{ offset: number; length: number }> = []
  for (const row of rows) {
    const offset = start + row * length
    const last = spans.at(-1)
    if (last !== undefined && last.offset + last.length === offset) last.length += length
    else spans.push({ offset, length })
  }
  return spans
}

/** Files as Effects: JSON read with its faults named, results written whole or not at all. */
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"

export class FileFailure extends Schema.TaggedError<FileFailure>()("FileFailure", {
  file: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `${this.file}: ${this.why}`
  }
}

/** Node's messages repeat the path and the system call; the common ones are said in words. */
const reason = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const { code } = cause as NodeJS.ErrnoException
  return (
    { ENOENT: "no such file or folder", EACCES: "permission denied", EISDIR: "it is a folder" }[code ?? ""] ??
    cause.message
  )
}

export const readText = (file: string): Effect.Effect<string, FileFailure> =>
  Effect.try({
    try: () => fs.readFileSync(file, "utf8"),
    catch: (cause) => new FileFailure({ file, why: `cannot be read: ${reason(cause)}` })
  })

export const readJson = (file: string): Effect.Effect<unknown, FileFailure> =>
  Effect.flatMap(readText(file), (text) =>
    Effect.try({
      try: () => JSON.parse(text) as unknown,
      catch: (cause) => new FileFailure({ file, why: `is no JSON: ${reason(cause)}` })
    })
  )

/** The folder and those it lies in. Node's recursive way never ends in places like /proc. */
const makeFolder = (folder: string): void => {
  if (fs.existsSync(folder)) return
  makeFolder(path.dirname(folder))
  fs.mkdirSync(folder)
}

/** Written to a temporary name beside the target and renamed, so that no half-written file is ever seen. */
export const writeFile = (file: string, contents: string | Uint8Array): Effect.Effect<void, FileFailure> =>
  Effect.try({
    try: () => {
      makeFolder(path.dirname(path.resolve(file)))
      const temporary = `${file}.${process.pid}.tmp`
      fs.writeFileSync(temporary, contents)
      fs.renameSync(temporary, file)
    },
    catch: (cause) => new FileFailure({ file, why: `cannot be written: ${reason(cause)}` })
  })

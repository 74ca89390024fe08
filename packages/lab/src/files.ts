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

const reason = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

export const readJson = (file: string): Effect.Effect<unknown, FileFailure> =>
  Effect.try({
    try: () => JSON.parse(fs.readFileSync(file, "utf8")) as unknown,
    catch: (cause) => new FileFailure({ file, why: `cannot be read: ${reason(cause)}` })
  })

/** Written to a temporary name beside the target and renamed, so that no half-written file is ever seen. */
export const writeFile = (file: string, contents: string | Uint8Array): Effect.Effect<void, FileFailure> =>
  Effect.try({
    try: () => {
      fs.mkdirSync(path.dirname(path.resolve(file)), { recursive: true })
      const temporary = `${file}.${process.pid}.tmp`
      fs.writeFileSync(temporary, contents)
      fs.renameSync(temporary, file)
    },
    catch: (cause) => new FileFailure({ file, why: `cannot be written: ${reason(cause)}` })
  })

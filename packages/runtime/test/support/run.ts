/** Runs effects in tests, and reads the files tests share. */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

/** The message of the failure that is expected. */
export const messageOf = <A, E extends { readonly message: string }>(
  effect: Effect.Effect<A, E>
): Promise<string> =>
  Effect.runPromise(
    Effect.match(effect, {
      onFailure: (error) => error.message,
      onSuccess: (value) => {
        throw new Error(`expected a failure, got ${JSON.stringify(value)}`)
      }
    })
  )

/** A file of the project by its path from the root. */
export const project = (path: string): string =>
  fileURLToPath(new URL(`../../../../${path}`, import.meta.url))

export const bytesOf = (path: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(project(path)))

export const floatsOf = (path: string): Float32Array => new Float32Array(bytesOf(path).buffer)

/** Runs `use` with a new folder that is removed afterwards. */
export const inFolder = async <A>(use: (folder: string) => Promise<A>): Promise<A> => {
  const folder = await mkdtemp(join(tmpdir(), "bitbudget-"))
  try {
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

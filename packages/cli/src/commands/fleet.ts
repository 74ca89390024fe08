/** What commands about sweeps over many machines have in common. */
import { type Failure, Fleet, isAddress, runtimeVersion, UnusableRequest } from "@bitbudget/lab"
import { Effect, Option } from "effect"
import { Flag } from "effect/cli"
import { homedir } from "node:os"
import * as path from "node:path"
import { version } from "../root.ts"
import { storeFile, textFlag, withDatabase } from "../shared.ts"

export const inputsFlag = textFlag("inputs").pipe(
  Flag.optional,
  Flag.withDescription("Folder all machines see, for files over 16 MB (default: none)")
)

export const cacheFlag = textFlag("cache").pipe(
  Flag.optional,
  Flag.withDescription("Folder for fetched files (default ~/.cache/bitbudget)")
)

/** Of fetched files, where nothing is said. */
const CACHE_BYTES = 20e9

export const cacheOf = (
  { cache, inputs }: { readonly cache: Option.Option<string>; readonly inputs: Option.Option<string> },
  atMostBytes = CACHE_BYTES
) => ({
  folder: path.resolve(
    Option.getOrElse(cache, () =>
      path.join(process.env["XDG_CACHE_HOME"] ?? path.join(homedir(), ".cache"), "bitbudget")
    )
  ),
  atMostBytes,
  inputs: Option.getOrUndefined(inputs)
})

/** What has to be the same on all machines. */
export const versions: Effect.Effect<Fleet.Versions> = Effect.map(runtimeVersion, (runtime) => ({
  version,
  runtime
}))

/** The store as it has to be for sweeps over many machines, with their queue. */
export const withQueue = <A, R>(work: Effect.Effect<A, Failure, R>) =>
  Effect.gen(function* () {
    const file = yield* storeFile
    if (!isAddress(file))
      return yield* new UnusableRequest({
        why: `sweeps over many machines need a store on PostgreSQL, and this one is ${file}: name it with --db postgres://…; on one machine, \`bitbudget run\` with --jobs does the same`
      })
    return yield* withDatabase("write")(Effect.provide(work, Fleet.queue))
  })

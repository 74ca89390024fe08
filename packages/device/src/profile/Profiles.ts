/**
 * Finding a device: an id in a folder of profiles, a path to a profile, or a bare `systolic-32x32-ws`. A misspelt
 * id is answered with the nearest ones, by edit distance.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { Names } from "@bitbudget/graph"
import { Effect, Schema } from "effect"
import { bareArray } from "./BareArray.ts"
import { decode, type MalformedProfile, type Profile } from "./Profile.ts"

export class ProfileNotFound extends Schema.TaggedError<ProfileNotFound>()("ProfileNotFound", {
  device: Schema.String,
  dir: Schema.String,
  near: Schema.Array(Schema.String)
}) {
  override get message() {
    const hint = this.near.length > 0 ? ` Did you mean ${this.near.join(" or ")}?` : ""
    return `No device "${this.device}" in ${this.dir}.${hint} A device is an id there, a path to a profile JSON, or systolic-<rows>x<cols>-<os|ws|is>.`
  }
}

/** A folder or file of profiles that is not there or cannot be read. */
export class ProfileFileError extends Schema.TaggedError<ProfileFileError>()("ProfileFileError", {
  file: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `Cannot read ${this.file}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

const attempt = <A>(file: string, read: () => A): Effect.Effect<A, ProfileFileError> =>
  Effect.try({ try: read, catch: (cause) => new ProfileFileError({ file, cause }) })

/** Ids of the profiles in a folder, sorted. */
export const ids = (dir: string): Effect.Effect<ReadonlyArray<string>, ProfileFileError> =>
  attempt(dir, () =>
    fs
      .readdirSync(dir)
      .filter((file) => file.endsWith(".json"))
      .map((file) => file.slice(0, -".json".length))
      .toSorted()
  )

const read = (file: string): Effect.Effect<Profile, ProfileFileError | MalformedProfile> =>
  attempt(file, () => fs.readFileSync(file, "utf8")).pipe(Effect.flatMap((json) => decode(json, file)))

export type LoadError = ProfileNotFound | ProfileFileError | MalformedProfile

/** The profile of an id in `dir`, of a path, or of a bare array. */
export const load = (device: string, dir: string): Effect.Effect<Profile, LoadError> =>
  Effect.gen(function* () {
    const bare = bareArray(device)
    if (bare !== undefined) return bare
    const file = device.endsWith(".json") ? device : path.join(dir, `${device}.json`)
    if (fs.existsSync(file)) return yield* read(file)
    const known = fs.existsSync(dir) ? yield* ids(dir) : []
    return yield* new ProfileNotFound({ device, dir, near: Names.nearest(device, known) })
  })

/** Every profile in a folder, in the order of their ids. */
export const list = (dir: string): Effect.Effect<ReadonlyArray<Profile>, LoadError> =>
  Effect.flatMap(ids(dir), (found) => Effect.forEach(found, (id) => read(path.join(dir, `${id}.json`))))

/**
 * Inputs of a sweep by the digest of their content, so that a machine without the experiment's folder can work on its cells.
 *
 * What is small lies in the database; larger files in a folder that recorder and workers see (`--inputs DIR`). A worker keeps
 * what it fetched in a cache of bounded size, and makes a folder of it in which the plan's relative paths lead where they led.
 */
import { Profiles } from "@bitbudget/device"
import { Model } from "@bitbudget/graph"
import { Data } from "@bitbudget/runtime"
import { Effect, Schema } from "effect"
import { createHash, randomUUID } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { pipeline } from "node:stream/promises"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { FileFailure, isMissing, reason } from "../files.ts"
import { Database } from "../store/Database.ts"
import type { StoreFailure } from "../store/failures.ts"
import type { SweepPlan } from "../Sweep.ts"

/** Files up to this size are kept in the database. */
export const SMALL_BYTES = 16e6

/** A file by its content. */
export const Kept = Schema.Struct({ path: Schema.String, sha256: Schema.String, bytes: Schema.Finite })
export type Kept = typeof Kept.Type

/** Files, by their place in a folder that a worker makes. */
export const Manifest = Schema.Struct({
  /** The plan's folder in it. */
  plan: Schema.String,
  files: Schema.Array(Kept)
})
export type Manifest = typeof Manifest.Type

/** The folder of device profiles in a worker's folder. */
export const PROFILES = ".profiles"

const attempt = <A>(file: string, work: () => Promise<A>): Effect.Effect<A, FileFailure> =>
  Effect.tryPromise({ try: work, catch: (cause) => new FileFailure({ file, why: reason(cause) }) })

export const digestOf = (file: string): Effect.Effect<string, FileFailure> =>
  attempt(file, async () => {
    const hash = createHash("sha256")
    await pipeline(fs.createReadStream(file), hash)
    return hash.digest("hex")
  })

const isWithin = (folder: string, file: string): boolean => file.startsWith(folder + path.sep)

/** The nearest folder that all files lie in. */
const above = (files: ReadonlyArray<string>, folder: string): string => {
  let root = folder
  while (!files.every((file) => isWithin(root, file)) && path.dirname(root) !== root)
    root = path.dirname(root)
  return root
}

const refuse = (why: string) => new UnusableRequest({ why })

/** What the cells of a plan read, each file once with its digest, and where it lies here. */
export const survey = Effect.fn("Inputs.survey")(function* (
  folder: string,
  plan: SweepPlan,
  profiles: string
): Effect.fn.Return<
  { readonly manifest: Manifest; readonly sources: ReadonlyMap<string, string> },
  RequestFailure
> {
  const specs = [
    ...plan.models,
    ...plan.data.split(","),
    ...plan.devices.filter((id) => id.endsWith(".json"))
  ]
  const absolute = specs.find((spec) => path.isAbsolute(spec))
  if (absolute !== undefined)
    return yield* refuse(
      `the plan names ${absolute}: other machines have no such path; write it relative to the plan's folder`
    )
  const here = (file: string) => path.resolve(folder, file)
  const found = new Set<string>()
  const tokenizers: Array<string> = []
  for (const model of plan.models) {
    for (const file of yield* Model.filesOf(here(model))) found.add(file)
    const beside = path.join(path.dirname(here(model)), "tokenizer.json")
    if (fs.existsSync(beside)) tokenizers.push(beside)
  }
  for (const file of [...tokenizers, ...(yield* Data.filesOf(plan.data.split(",").map(here).join(",")))])
    found.add(path.resolve(file))
  const named = new Map<string, string>()
  for (const device of plan.devices) {
    yield* Profiles.load(device.endsWith(".json") ? here(device) : device, profiles)
    const own = path.join(profiles, `${device}.json`)
    if (device.endsWith(".json")) found.add(here(device))
    else if (fs.existsSync(own)) named.set(`${PROFILES}/${device}.json`, own)
  }
  const root = above([...found], folder)
  const within = (file: string) => path.relative(root, file).split(path.sep).join("/")
  const sources = new Map([...[...found].map((file) => [within(file), file] as const), ...named])
  const files: Array<Kept> = []
  for (const [name, file] of [...sources].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    files.push({ path: name, sha256: yield* digestOf(file), bytes: fs.statSync(file).size })
  return { manifest: { plan: within(folder), files }, sources }
})

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

/** Copies whole or not at all: a temporary name first. */
const copyWhole = (from: string, to: string): Effect.Effect<void, FileFailure> =>
  attempt(to, async () => {
    fs.mkdirSync(path.dirname(to), { recursive: true })
    const temporary = `${to}.${process.pid}.${randomUUID().slice(0, 8)}`
    try {
      await fs.promises.copyFile(from, temporary)
      await fs.promises.rename(temporary, to)
    } finally {
      await fs.promises.rm(temporary, { force: true })
    }
  })

/** Keeps files where workers find them; what is there already is not written again. */
export const keep = Effect.fn("Inputs.keep")(function* (
  files: ReadonlyArray<Kept & { readonly source: string }>,
  folder: string | undefined
): Effect.fn.Return<void, RequestFailure | StoreFailure, Database> {
  const { sql, safe } = yield* Database
  for (const { path: name, sha256, bytes, source } of files) {
    if (bytes <= SMALL_BYTES) {
      const [there] = yield* safe(sql`SELECT 1 AS one FROM sweepFiles WHERE sha256 = ${sha256}`)
      if (there !== undefined) continue
      const content = yield* attempt(source, () => fs.promises.readFile(source))
      yield* safe(
        sql`INSERT INTO sweepFiles ${sql.insert({ sha256, bytes: content })} ON CONFLICT DO NOTHING`
      )
      continue
    }
    if (folder === undefined)
      return yield* refuse(
        `${name} has ${megabytes(bytes)}, and the database takes files up to ${megabytes(SMALL_BYTES)}: name a folder that all workers see with --inputs DIR`
      )
    const to = path.join(folder, sha256)
    if (fs.statSync(to, { throwIfNoEntry: false })?.size !== bytes) yield* copyWhole(source, to)
  }
})

export interface Cache {
  /** Where files are kept by their digest. */
  readonly folder: string
  /** Those used longest ago go where there are more. */
  readonly atMostBytes: number
  /** The shared folder of large inputs. */
  readonly inputs: string | undefined
}

const changed = (name: string, sha256: string, found: string, where: string) =>
  refuse(
    `input ${name} has changed: it was recorded as ${sha256.slice(0, 12)}, and ${where} has ${found.slice(0, 12)}; put the recorded file back, or record the sweep under another --name`
  )

/** Files of the cache that were used longest ago, beyond its size. Folders made of them keep their content. */
const trim = (folder: string, atMostBytes: number): void => {
  const held = fs
    .readdirSync(folder)
    .flatMap((name) => {
      const file = path.join(folder, name)
      const info = fs.statSync(file, { throwIfNoEntry: false })
      return info?.isFile() === true ? [{ file, bytes: info.size, usedMs: info.mtimeMs }] : []
    })
    .toSorted((a, b) => b.usedMs - a.usedMs)
  let total = 0
  for (const { file, bytes } of held) if ((total += bytes) > atMostBytes) fs.rmSync(file, { force: true })
}

/** A file by its digest, in the cache: found there, or fetched, and in either case of the content it should have. */
const fetched = Effect.fnUntraced(function* (
  { path: name, sha256, bytes }: Kept,
  { folder, inputs }: Cache
): Effect.fn.Return<string, RequestFailure | StoreFailure, Database> {
  const cached = path.join(folder, sha256)
  if (fs.existsSync(cached)) {
    if ((yield* digestOf(cached)) === sha256) {
      fs.utimesSync(cached, new Date(), new Date())
      return cached
    }
    fs.rmSync(cached, { force: true })
  }
  if (bytes <= SMALL_BYTES) {
    const { sql, safe, file } = yield* Database
    const [row] = yield* safe(
      sql<{ bytes: Uint8Array }>`SELECT bytes FROM sweepFiles WHERE sha256 = ${sha256}`
    )
    if (row === undefined)
      return yield* refuse(
        `input ${name} is not in the database any more; record the sweep again from a machine that has it`
      )
    const found = createHash("sha256").update(row.bytes).digest("hex")
    if (found !== sha256) return yield* changed(name, sha256, found, file)
    yield* attempt(cached, async () => {
      const temporary = `${cached}.${process.pid}`
      try {
        await fs.promises.writeFile(temporary, row.bytes)
        await fs.promises.rename(temporary, cached)
      } finally {
        await fs.promises.rm(temporary, { force: true })
      }
    })
  } else {
    if (inputs === undefined)
      return yield* refuse(
        `input ${name} has ${megabytes(bytes)} and is not in the database: start this worker with --inputs DIR, the folder the sweep was recorded with`
      )
    const source = path.join(inputs, sha256)
    if (!fs.existsSync(source))
      return yield* refuse(
        `input ${name} is not in ${inputs}: name the folder the sweep was recorded with as --inputs`
      )
    const found = yield* digestOf(source)
    if (found !== sha256) return yield* changed(name, sha256, found, source)
    yield* copyWhole(source, cached)
  }
  return cached
})

/** A second name of a file, or a copy where the disk knows no second names. */
const linked = (from: string, to: string): void => {
  fs.mkdirSync(path.dirname(to), { recursive: true })
  fs.rmSync(to, { force: true })
  try {
    fs.linkSync(from, to)
  } catch {
    fs.copyFileSync(from, to)
  }
}

/** Those of the files that are not in the folder, or with another content. */
export const lacking = Effect.fn("Inputs.lacking")(function* (files: ReadonlyArray<Kept>, folder: string) {
  return yield* Effect.filter(files, ({ path: name, sha256, bytes }) => {
    const file = path.join(folder, name)
    const info = fs.statSync(file, { throwIfNoEntry: false })
    return info?.isFile() === true && info.size === bytes
      ? Effect.map(digestOf(file), (found) => found !== sha256)
      : Effect.succeed(true)
  })
})

/** Makes the folder that the files stand for. */
export const materialise = Effect.fn("Inputs.materialise")(function* (
  files: ReadonlyArray<Kept>,
  folder: string,
  cache: Cache
): Effect.fn.Return<void, RequestFailure | StoreFailure, Database> {
  yield* attempt(cache.folder, async () => fs.mkdirSync(cache.folder, { recursive: true }))
  for (const kept of files) {
    const to = path.resolve(folder, kept.path)
    if (!isWithin(path.resolve(folder), to))
      return yield* refuse(`input ${kept.path} leads out of its folder`)
    yield* Effect.flatMap(fetched(kept, cache), (from) => attempt(to, async () => linked(from, to))).pipe(
      // Another process may have trimmed the cache just now.
      Effect.retry({ times: 3, while: (error) => error._tag === "FileFailure" && isMissing(error) })
    )
  }
  yield* attempt(cache.folder, async () => trim(cache.folder, cache.atMostBytes))
})

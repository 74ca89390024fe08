/**
 * Opens data sets in every form the command line takes: a folder of images, `.npz`, `.npy`, IDX, text, or a
 * descriptor naming one of these with its preprocessing and splits. The bare forms are turned into a
 * descriptor too, so there is one way through the code. `docs/data.md` is the guide.
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import type { Hash } from "node:crypto"
import { createReadStream } from "node:fs"
import { readdir, realpath, stat } from "node:fs/promises"
import { basename, delimiter, dirname, isAbsolute, join, relative, resolve, sep } from "node:path"
import { pipeline } from "node:stream/promises"
import * as ArrayFile from "./data/ArrayFile.ts"
import * as Blob from "./data/Blob.ts"
import { DataFailure } from "./data/DataFailure.ts"
import * as Dataset from "./data/Dataset.ts"
import * as Descriptor from "./data/Descriptor.ts"
import * as Images from "./data/Images.ts"
import * as Input from "./data/Input.ts"
import * as Source from "./data/Source.ts"
import * as Text from "./data/Text.ts"

export { DataFailure } from "./data/DataFailure.ts"
export type { Batch, Dataset, Split } from "./data/Dataset.ts"
export { joined, part } from "./data/parts.ts"
export type { SplitName } from "./data/Descriptor.ts"
export { IGNORED } from "./data/Source.ts"
export type { Labels, Tokens } from "./data/Source.ts"
export { Descriptor } from "./data/Descriptor.ts"
export type { Output } from "./data/Descriptor.ts"
export { Limit as UnpackLimit } from "./data/Archive.ts"

export interface Options {
  /** Tokens the model sees at once, for a bare text file; 128 when absent. A descriptor says it itself. */
  readonly window?: number | undefined
  /** Tokens from one window to the next, for a bare text file; the window when absent. */
  readonly stride?: number | undefined
  /** The tokenizer file of a bare text; its bytes are the tokens when absent. */
  readonly tokenizer?: string | undefined
}

const defaultWindow = 128

const howToGive =
  "Data are a folder of images with labels.csv, an .npz file, x.npy,y.npy, images.gz,labels.gz (IDX), " +
  "a text file, or a descriptor .json"

// What a name stands for ---------------------------------------------------------------------------------

/** The one source of a bare form. Class-sorted files are common, so everything but text is shuffled. */
const recogniseFile = (
  file: string,
  second: string | undefined,
  options: Options
): Effect.Effect<Descriptor.Source, DataFailure> =>
  Effect.gen(function* () {
    const start = yield* Blob.start(file)
    const labels = second === undefined ? {} : { labels: second }
    const y = second === undefined ? {} : { y: second }
    if (ArrayFile.isIdx(start)) return { kind: "idx", images: file, ...labels, shuffle: 0 }
    if (ArrayFile.isNpy(start)) return { kind: "npy", x: file, ...y, shuffle: 0 }
    if (second !== undefined)
      return yield* new DataFailure({
        file,
        problem: "two files are a pair of IDX or .npy files, and this one is neither",
        mend: "Give images.gz,labels.gz or x.npy,y.npy"
      })
    const magic = Buffer.from(start.subarray(0, 4)).toString("latin1")
    if (magic === "PK\u0003\u0004") return { kind: "npz", file, shuffle: 0 }
    if (magic === "\u0089PNG" || magic.startsWith("\u00ff\u00d8\u00ff"))
      return yield* new DataFailure({
        file,
        problem: "it is a single image",
        mend: "Give its folder, with a labels.csv"
      })
    const { window = defaultWindow, stride, tokenizer } = options
    return {
      kind: "text",
      file,
      window,
      ...(stride === undefined ? {} : { stride }),
      ...(/\.(jsonl|ndjson)$/i.test(file) ? { field: "text" } : {}),
      ...(tokenizer === undefined ? {} : { tokenizer })
    }
  })

const isThere = (path: string) =>
  Effect.promise(() =>
    stat(path).then(
      (info) => info,
      () => undefined
    )
  )

interface Recognised {
  readonly name: string
  readonly file: string
  /** Paths in the descriptor are relative to it. */
  readonly folder: string
  /** Whether the paths come from a file, which may name its own folder only, or from the user. */
  readonly confined: boolean
  readonly descriptor: Descriptor.Descriptor
}

const recognise = (spec: string, options: Options): Effect.Effect<Recognised, DataFailure> =>
  Effect.gen(function* () {
    if (spec === "")
      return yield* new DataFailure({ file: "data", problem: "the name is empty", mend: howToGive })
    const info = yield* isThere(spec)
    const bare = (source: Descriptor.Source): Recognised => ({
      name: basename(spec),
      file: spec,
      folder: ".",
      confined: false,
      descriptor: { version: 1, sources: { data: source } }
    })
    if (info?.isDirectory()) return bare({ kind: "images", folder: spec, shuffle: 0 })
    if (info !== undefined && spec.toLowerCase().endsWith(".json")) {
      const descriptor = yield* Descriptor.parse(spec, Buffer.from(yield* Blob.whole(spec)).toString("utf8"))
      const name = descriptor.name ?? basename(spec).replace(/\.json$/i, "")
      return { name, file: spec, folder: dirname(spec), confined: true, descriptor }
    }
    if (info !== undefined) return bare(yield* recogniseFile(spec, undefined, options))
    const [first, second, ...more] = spec.split(",")
    if (first !== undefined && second !== undefined && more.length === 0)
      return bare(yield* recogniseFile(first, second, options))
    return yield* new DataFailure({
      file: spec,
      problem: "there is no such file or folder",
      mend: howToGive
    })
  })

// From a descriptor to samples ---------------------------------------------------------------------------

const against = (folder: string) => (file: string) => (isAbsolute(file) ? file : join(folder, file))

const withPaths = (source: Descriptor.Source, path: (file: string) => string): Descriptor.Source => {
  switch (source.kind) {
    case "idx":
      return {
        ...source,
        images: path(source.images),
        ...(source.labels === undefined ? {} : { labels: path(source.labels) })
      }
    case "npy":
      return { ...source, x: path(source.x), ...(source.y === undefined ? {} : { y: path(source.y) }) }
    case "npz":
      return { ...source, file: path(source.file) }
    case "text": {
      const { file, tokenizer } = source
      return {
        ...source,
        file: path(file),
        ...(tokenizer === undefined ? {} : { tokenizer: path(tokenizer) })
      }
    }
    case "images":
      return { ...source, folder: path(source.folder) }
  }
}

const openNpz = (spec: Descriptor.SourceOf<"npz">, classes: number | undefined) =>
  Effect.gen(function* () {
    const arrays = yield* ArrayFile.npz(spec.file)
    const failure = (problem: string, mend: string) => new DataFailure({ file: spec.file, problem, mend })
    const missing = (name: string) =>
      failure(
        `there is no array "${name}" in it, only ${[...arrays.keys()].join(", ") || "none"}`,
        "Save it with numpy.savez(file, x=…, y=…), or name the arrays in a descriptor"
      )
    const array = (name: string) => {
      const found = arrays.get(name)
      return found === undefined ? Effect.fail(missing(name)) : Effect.succeed(found)
    }
    const y = spec.y === undefined ? arrays.get("y") : yield* array(spec.y)
    // Without a word about them, all arrays but the labels are inputs under their own names.
    const inputs =
      spec.inputs ??
      Object.fromEntries(
        [...arrays.keys()].filter((name) => name !== (spec.y ?? "y")).map((name) => [name, name])
      )
    const named = new Map<string, ArrayFile.ArrayFile>()
    for (const [input, name] of Object.entries(inputs)) named.set(input, yield* array(name))
    const alone = spec.x ?? (arrays.has("x") || named.size === 0 ? "x" : undefined)
    const first = alone === undefined ? [...named.values()][0]! : yield* array(alone)
    const source = yield* Source.fromArrays(first, y, spec.layout, classes)
    // Beside an `x`, what has another number of rows (names of the classes) is no input.
    if (spec.inputs === undefined && alone !== undefined)
      for (const [name, { shape }] of named) if (shape[0] !== source.size) named.delete(name)
    return named.size > 1 || spec.inputs !== undefined ? yield* Source.withNamed(source, named) : source
  })

const openArray = (
  file: string,
  read: (blob: Blob.Blob) => Effect.Effect<ArrayFile.ArrayFile, DataFailure>
) => Effect.flatMap(Blob.open(file), read)

const openSource = (
  spec: Descriptor.Source,
  input: Descriptor.Input,
  classes: Descriptor.Descriptor["classes"]
): Effect.Effect<Source.Source, DataFailure> =>
  Effect.gen(function* () {
    if (spec.kind === "images") return yield* Images.open(spec, input, classes)
    if (spec.kind === "text") return yield* Text.open(spec)
    const count = typeof classes === "object" ? classes.length : classes
    let source: Source.Source
    if (spec.kind === "npz") source = yield* openNpz(spec, count)
    else {
      const [x, y, read] =
        spec.kind === "idx" ? [spec.images, spec.labels, ArrayFile.idx] : [spec.x, spec.y, ArrayFile.npy]
      const samples = yield* openArray(x, read)
      const labels = y === undefined ? undefined : yield* openArray(y, read)
      // IDX files of three dimensions are images by custom; NumPy arrays have to say so.
      const layout =
        spec.kind === "npy" ? spec.layout : samples.shape.length === 3 ? ("NHW" as const) : undefined
      source = yield* Source.fromArrays(samples, labels, layout, count)
    }
    const { resize, crop } = input
    return resize === undefined && crop === undefined ? source : yield* Images.resized(source, input)
  })

/** Folders beside its own that the files of a descriptor may lie in: the current one, and those the user names. */
const userFolders = (): ReadonlyArray<string> => [
  ".",
  ...(process.env["BITBUDGET_DATA"] ?? "").split(delimiter).filter((folder) => folder !== "")
]

/** Refuses a file, links resolved, that lies in no folder the user has to do with: a descriptor may come from anywhere. */
const confine = Effect.fn(function* (descriptor: string, folder: string, path: string) {
  const real = (name: string) =>
    Effect.promise(() =>
      realpath(name).then(
        (found) => found,
        () => undefined
      )
    )
  const target = yield* real(path)
  if (target === undefined) return
  for (const allowed of [folder, ...userFolders()]) {
    const root = yield* real(allowed)
    if (root === undefined) continue
    const way = relative(root, target)
    if (way === "" || (way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way))) return
  }
  return yield* new DataFailure({
    file: descriptor,
    problem: `it names ${path}, which lies outside its folder`,
    mend: "Move the file into the descriptor's folder, or allow its folder with BITBUDGET_DATA=FOLDER"
  })
})

const openDescriptor = ({ name, file, folder, confined, descriptor }: Recognised) =>
  Effect.gen(function* () {
    const path = against(folder)
    const sources = Object.fromEntries(
      Object.entries(descriptor.sources).map(([key, source]) => [key, withPaths(source, path)])
    )
    if (confined)
      for (const source of Object.values(sources))
        for (const each of Descriptor.filesOf(source)) yield* confine(file, folder, each)
    const parts = new Map<string, Dataset.Part>()
    for (const [key, spec] of Object.entries(sources)) {
      const source = yield* openSource(spec, descriptor.input ?? {}, descriptor.classes)
      const prepared = yield* Input.prepare(source, descriptor.input ?? {})
      parts.set(key, { source, prepared, shuffle: spec.shuffle })
    }
    return yield* Dataset.make(name, file, { ...descriptor, sources }, parts)
  })

/**
 * Opens what `spec` names: a folder, a file, a pair `a,b`, or a descriptor. Formats are told by content,
 * not by name. Fails with one message that names the file and the place in it.
 */
export const open = (spec: string, options: Options = {}): Effect.Effect<Dataset.Dataset, DataFailure> =>
  Effect.flatMap(recognise(spec, options), openDescriptor)

/** Opens a descriptor that is at hand; relative paths are relative to `folder`. */
export const openDescribed = (
  descriptor: Descriptor.Descriptor,
  folder = "."
): Effect.Effect<Dataset.Dataset, DataFailure> =>
  Effect.flatMap(Descriptor.decode("descriptor", descriptor), (descriptor) =>
    openDescriptor({
      name: descriptor.name ?? "data",
      file: "descriptor",
      folder,
      confined: false,
      descriptor
    })
  )

/** Every file that `spec` stands for, folders as what lies in them: what another machine needs to open it. */
export const filesOf = (
  spec: string,
  options: Options = {}
): Effect.Effect<ReadonlyArray<string>, DataFailure> =>
  Effect.gen(function* () {
    const { file, confined, folder, descriptor } = yield* recognise(spec, options)
    const found = confined ? [file] : []
    for (const source of Object.values(descriptor.sources))
      for (const name of Descriptor.filesOf(withPaths(source, against(folder)))) {
        const info = yield* Blob.attempt(name, () => stat(name))
        if (!info.isDirectory()) found.push(name)
        else
          for (const entry of yield* Blob.attempt(name, () => readdir(name, { withFileTypes: true })))
            if (entry.isFile()) found.push(join(name, entry.name))
      }
    return found
  })

// Identity -----------------------------------------------------------------------------------------------

const hashInto = (hash: Hash, file: string) =>
  Blob.attempt(file, () =>
    pipeline(createReadStream(file), async (chunks) => {
      for await (const chunk of chunks) hash.update(chunk)
    })
  )

const contentHash = (path: string): Effect.Effect<string, DataFailure> =>
  Effect.gen(function* () {
    const hash = createHash("sha256")
    const info = yield* Blob.attempt(path, () => stat(path))
    if (!info.isDirectory()) yield* hashInto(hash, path)
    else
      for (const name of (yield* Blob.attempt(path, () => readdir(path))).sort()) {
        const file = resolve(path, name)
        if (!(yield* Blob.attempt(file, () => stat(file))).isFile()) continue
        hash.update(`${name}\0`)
        yield* hashInto(hash, file)
      }
    return hash.digest("hex")
  })

const sorted = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(sorted)
    : typeof value === "object" && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .toSorted(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, field]) => [key, sorted(field)])
        )
      : value

/**
 * SHA-256 of what the data set is: the descriptor, with every file replaced by its content's hash. Moving
 * or renaming files, the name and the note do not change it; a pixel, a range or a mean does.
 */
export const fingerprint = (dataset: Dataset.Dataset): Effect.Effect<string, DataFailure> =>
  Effect.gen(function* () {
    const { name: _name, note: _note, ...descriptor } = dataset.descriptor
    const hashes = new Map<string, string>()
    for (const source of Object.values(descriptor.sources))
      for (const file of Descriptor.filesOf(source)) hashes.set(file, yield* contentHash(file))
    const sources = Object.fromEntries(
      Object.entries(descriptor.sources).map(([name, source]) => [
        name,
        withPaths(source, (file) => hashes.get(file)!)
      ])
    )
    return createHash("sha256")
      .update(JSON.stringify(sorted({ ...descriptor, sources })))
      .digest("hex")
  })

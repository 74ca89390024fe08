/**
 * The data set descriptor: which files, how a sample becomes the model's input, which samples serve what.
 *
 * The three parts are kept apart on purpose: `sources` are files as published, `input` is what the network
 * was trained with, `splits` are ranges of samples, disjoint by construction, so that what chose the bits
 * never judges them. Decoding lists every fault with its path. `docs/data.md` has the guide.
 */
import { Effect, Schema } from "effect"
import { Faults } from "@bitbudget/words"
import { DataFailure } from "./DataFailure.ts"

const Count = Schema.Int.check(Schema.isGreaterThan(0))
const Index = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const File = Schema.NonEmptyString
/** Samples are read in file order, or in a fixed random order: class-sorted data needs one. */
const shuffle = Schema.optionalKey(Index)
/** How the file's samples are laid out, where they are images; absent for anything else. */
const imageLayout = Schema.optionalKey(Schema.Literals(["NHWC", "NCHW", "NHW"]))

export const Idx = Schema.Struct({
  kind: Schema.Literal("idx"),
  images: File,
  labels: Schema.optionalKey(File),
  shuffle
})

export const Npy = Schema.Struct({
  kind: Schema.Literal("npy"),
  x: File,
  y: Schema.optionalKey(File),
  layout: imageLayout,
  shuffle
})

export const Npz = Schema.Struct({
  kind: Schema.Literal("npz"),
  file: File,
  /** Names of the arrays in the archive, `x` and `y` when absent. */
  x: Schema.optionalKey(Schema.NonEmptyString),
  /** For a network with several inputs: the array of each, by the input's name. All but `y` under their own names when absent. */
  inputs: Schema.optionalKey(Schema.Record(Schema.NonEmptyString, Schema.NonEmptyString)),
  y: Schema.optionalKey(Schema.NonEmptyString),
  layout: imageLayout,
  shuffle
})

export const Images = Schema.Struct({
  kind: Schema.Literal("images"),
  folder: File,
  /** A CSV file in the folder with the columns file,label; `labels.csv` when absent. */
  labels: Schema.optionalKey(File),
  channels: Schema.optionalKey(Schema.Literals(["rgb", "bgr", "gray"])),
  shuffle
})

const Character = Schema.String.check(
  Schema.makeFilter((text) => Array.from(text).length === 1 || "a token map maps single characters")
)

export const Text = Schema.Struct({
  kind: Schema.Literal("text"),
  file: File,
  /** Tokens the model sees at once: the length T of its input. */
  window: Count,
  /** `windows`: the text is cut every T tokens. `rows`: the file is rows of T + 1 tokens. */
  layout: Schema.optionalKey(Schema.Literals(["windows", "rows"])),
  /** Tokens from one window to the next, `window` when absent; where it is less, only so many of a window's predictions count. */
  stride: Schema.optionalKey(Count),
  /** The file is JSON Lines, and this field of every line is a document. */
  field: Schema.optionalKey(Schema.NonEmptyString),
  /** Hugging Face's `tokenizer.json`, which makes tokens of the text. */
  tokenizer: Schema.optionalKey(File),
  /** Without a tokenizer: one token a byte (`bytes`, and when absent), or one a character through a map. */
  tokens: Schema.optionalKey(Schema.Union([Schema.Literal("bytes"), Schema.Record(Character, Index)])),
  /** The token of characters the map lacks; without it they are errors. */
  unknown: Schema.optionalKey(Index),
  shuffle
})

export const Source = Schema.Union([Idx, Npy, Npz, Images, Text])
export type Source = typeof Source.Type
export type SourceOf<K extends Source["kind"]> = Extract<Source, { readonly kind: K }>

const Scale = Schema.Union([
  Schema.Finite,
  Schema.String.check(
    Schema.isPattern(/^1\/\d+(\.\d+)?$/, { expected: 'a number or a fraction like "1/255"' })
  )
])
const PerChannel = Schema.Union([Schema.Finite, Schema.NonEmptyArray(Schema.Finite)])
const Size = { height: Count, width: Count }

export const Input = Schema.Struct({
  /** Element type the model is fed. */
  dtype: Schema.optionalKey(Schema.Literals(["float32", "float64", "int64", "int32", "uint8", "int8"])),
  /** Axis order the model is fed, without the batch: images only. `NCHW` when absent. */
  layout: Schema.optionalKey(Schema.Literals(["NCHW", "NHWC"])),
  /** The sample's shape as the model wants it, same number of elements (`[784]` for a perceptron on 28×28). */
  reshape: Schema.optionalKey(Schema.Array(Count)),
  /** To a fixed size, or until the shorter side has a length (the longer one follows). */
  resize: Schema.optionalKey(Schema.Union([Schema.Struct(Size), Schema.Struct({ shorter: Count })])),
  kernel: Schema.optionalKey(Schema.Literals(["nearest", "linear", "cubic", "lanczos3"])),
  /** The centre of the image, after resizing. */
  crop: Schema.optionalKey(Schema.Struct(Size)),
  /** x = (pixel · scale − mean) / std, in float32, mean and std one number or one a channel. */
  scale: Schema.optionalKey(Scale),
  mean: Schema.optionalKey(PerChannel),
  std: Schema.optionalKey(PerChannel)
})
export type Input = typeof Input.Type

/** How an output is compared with the float network's. */
export const Output = Schema.Struct({
  /** `classes`: scores along `axis` (KL divergence); `map`: numbers (squared error); `embedding`: a direction (cosine). */
  kind: Schema.Literals(["classes", "map", "embedding"]),
  /** What its distortion counts in the sum over the outputs; 1 when absent, 0 leaves it out. */
  weight: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))),
  /** Axis of the classes, the batch being axis 0; 1 for outputs of four axes and the last one otherwise when absent. */
  axis: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThan(0)))
})
export type Output = typeof Output.Type

const Range = Schema.Struct({
  /** Name of a source; needed where there are several. */
  source: Schema.optionalKey(Schema.NonEmptyString),
  /** First sample, 0 when absent. */
  from: Schema.optionalKey(Index),
  /** One past the last sample, the source's end when absent. */
  to: Schema.optionalKey(Count)
})
export type Range = typeof Range.Type

export const splitNames = ["calibration", "sensitivity", "test"] as const
export type SplitName = (typeof splitNames)[number]

const Splits = Schema.Struct({
  calibration: Schema.optionalKey(Range),
  sensitivity: Schema.optionalKey(Range),
  test: Schema.optionalKey(Range)
})

interface Fault {
  readonly path: ReadonlyArray<string>
  readonly issue: string
}

/** Every file a source reads, in the order they are hashed. */
export const filesOf = (source: Source): ReadonlyArray<string> => [
  ...samplesIn(source),
  ...(source.kind === "text" && source.tokenizer !== undefined ? [source.tokenizer] : [])
]

/** Files that hold samples and labels, which belong to one source. */
const samplesIn = (source: Source): ReadonlyArray<string> => {
  switch (source.kind) {
    case "idx":
      return source.labels === undefined ? [source.images] : [source.images, source.labels]
    case "npy":
      return source.y === undefined ? [source.x] : [source.x, source.y]
    case "npz":
    case "text":
      return [source.file]
    case "images":
      return [source.folder]
  }
}

/** Pixels are multiplied and divided in float32, where a factor must neither vanish nor be infinite. */
const usable = (factor: number): boolean => Number.isFinite(Math.fround(factor)) && Math.fround(factor) !== 0

/** `1/255` as a number. */
const factorOf = (scale: number | string): number =>
  typeof scale === "number" ? scale : 1 / Number(scale.slice("1/".length))

const inputFaults = (input: Input): ReadonlyArray<Fault> => {
  const faults: Array<Fault> = []
  const integer = input.dtype !== undefined && !input.dtype.startsWith("float")
  for (const field of ["scale", "mean", "std"] as const)
    if (integer && input[field] !== undefined)
      faults.push({
        path: ["input", field],
        issue: `${field} makes fractions, which ${input.dtype} cannot hold: drop it or set "dtype": "float32"`
      })
  if (!usable(factorOf(input.scale ?? 1)))
    faults.push({
      path: ["input", "scale"],
      issue: `scale ${input.scale} leaves nothing of the pixels: give a number other than 0, or a fraction like "1/255"`
    })
  const stds = [input.std ?? 1].flat()
  if (!stds.every((std) => std > 0 && usable(std)))
    faults.push({
      path: ["input", "std"],
      issue: `std must be above 0, and is ${stds.join(", ")}: it is the standard deviation that samples are divided by`
    })
  return faults
}

const samplesFrom = (from: number, to: number): string =>
  to === Infinity ? `all from ${from} on` : `[${from},${to})`

const crossFaults = (descriptor: {
  readonly sources: Readonly<Record<string, Source>>
  readonly input?: Input
  readonly splits?: typeof Splits.Type
}): ReadonlyArray<Fault> => {
  const faults: Array<Fault> = [...inputFaults(descriptor.input ?? {})]
  const names = Object.keys(descriptor.sources)
  if (names.length === 0) faults.push({ path: ["sources"], issue: "at least one source is needed" })
  for (const [name, source] of Object.entries(descriptor.sources)) {
    if (source.kind !== "text") continue
    const wrong = (field: string, issue: string) => faults.push({ path: ["sources", name, field], issue })
    if (source.tokenizer !== undefined && source.tokens !== undefined)
      wrong("tokens", "the tokenizer says what tokens are: drop one of the two")
    if (source.stride !== undefined && source.layout === "rows")
      wrong("stride", "rows lie one behind the other: drop the stride")
  }
  const owner = new Map<string, string>()
  for (const [name, source] of Object.entries(descriptor.sources))
    for (const file of samplesIn(source)) {
      const other = owner.get(file)
      if (other !== undefined)
        faults.push({
          path: ["sources", name],
          issue: `${file} already belongs to source "${other}": let the splits share one source, so that overlaps are seen`
        })
      owner.set(file, name)
    }
  if (descriptor.splits === undefined) {
    if (names.length > 1)
      faults.push({ path: ["splits"], issue: "with several sources the splits must be named" })
    return faults
  }
  const taken: Array<{ split: SplitName; source: string; from: number; to: number }> = []
  for (const split of splitNames) {
    const range = descriptor.splits[split]
    if (range === undefined) continue
    const source = range.source ?? (names.length === 1 ? names[0]! : undefined)
    const from = range.from ?? 0
    const to = range.to ?? Infinity
    if (source === undefined)
      faults.push({ path: ["splits", split, "source"], issue: `name one of the sources ${names.join(", ")}` })
    else if (!names.includes(source))
      faults.push({
        path: ["splits", split, "source"],
        issue: `there is no source "${source}", only ${names.join(", ")}`
      })
    else {
      for (const other of taken)
        if (other.source === source && from < other.to && other.from < to)
          faults.push({
            path: ["splits", split],
            issue:
              `it overlaps "${other.split}" in source "${source}" (${samplesFrom(from, to)} and ${samplesFrom(other.from, other.to)}): ` +
              "what chooses the bits must not judge them"
          })
      taken.push({ split, source, from, to })
    }
    if (from >= to) faults.push({ path: ["splits", split], issue: `the range [${from},${to}) is empty` })
  }
  if (taken.length === 0)
    faults.push({ path: ["splits"], issue: `name at least one of ${splitNames.join(", ")}` })
  return faults
}

export const Descriptor = Schema.Struct({
  version: Schema.Literal(1),
  name: Schema.optionalKey(Schema.NonEmptyString),
  /** Origin and licence. */
  note: Schema.optionalKey(Schema.String),
  sources: Schema.Record(Schema.NonEmptyString, Source),
  input: Schema.optionalKey(Input),
  /** The network's outputs by name: what each is, and what it counts. */
  outputs: Schema.optionalKey(Schema.Record(Schema.NonEmptyString, Output)),
  /** How many classes there are, or their names in the order of the model's outputs. */
  classes: Schema.optionalKey(Schema.Union([Count, Schema.NonEmptyArray(Schema.NonEmptyString)])),
  splits: Schema.optionalKey(Splits)
}).check(Schema.makeFilter(crossFaults))

export type Descriptor = typeof Descriptor.Type

const decodeUnknown = Schema.decodeUnknownEffect(Descriptor, { errors: "all", onExcessProperty: "error" })

/** Decodes a descriptor; the failure lists all faults, one a line, each with its path. */
export const decode = (file: string, content: unknown): Effect.Effect<Descriptor, DataFailure> =>
  Effect.mapError(
    decodeUnknown(content),
    (error) =>
      new DataFailure({
        file,
        problem: [
          "it is not a usable descriptor:",
          ...Faults.of(error, content).map((fault) => `  ${Faults.sentence(fault, "the descriptor")}`),
          ""
        ].join("\n"),
        mend: "docs/data.md lists the fields"
      })
  )

export const parse = (file: string, text: string): Effect.Effect<Descriptor, DataFailure> => {
  const json = Faults.parseJson(text)
  return "why" in json
    ? Effect.fail(new DataFailure({ file, problem: `it ${json.why}`, mend: "Fix the syntax" }))
    : decode(file, json.value)
}

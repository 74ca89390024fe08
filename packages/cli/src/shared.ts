/** What commands have in common: the shared flags, how results are printed, the services work runs with. */
import {
  ActivationFormat,
  Choice,
  Database,
  type Failure,
  Recipe,
  RunStore,
  Tasks,
  UnusableRequest,
  type WeightFormat,
  WeightKinds
} from "@bitbudget/lab"
import { Printable } from "@bitbudget/words"
import { Effect, Layer, Option, Schema } from "effect"
import { Argument, Flag } from "effect/cli"
import { existsSync } from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { CommandLine } from "./commandLine.ts"
import { shared, version } from "./root.ts"

/** The profiles that come with the program: in the nearest folder above it that has some. */
const shipped = (folder: string): string => {
  const profiles = path.join(folder, "hw-profiles")
  const above = path.dirname(folder)
  return existsSync(profiles) || above === folder ? profiles : shipped(above)
}

/** The folder of device profiles: that of the current directory, or the one that comes with the program. */
export const profiles = existsSync("hw-profiles")
  ? path.resolve("hw-profiles")
  : shipped(path.dirname(fileURLToPath(import.meta.url)))

/** Prints a result, as JSON by its Schema; one that has other fields than its Schema is our fault, and said so. */
export const print = <A, I>(schema: Schema.Codec<A, I>, result: NoInfer<A>, table: (result: A) => string) =>
  Effect.gen(function* () {
    const { json } = yield* shared
    const text = json
      ? JSON.stringify(
          yield* Effect.orDie(Schema.encodeEffect(schema, { onExcessProperty: "error" })(result)),
          null,
          2
        )
      : table(result)
    process.stdout.write(`${Printable.lines(text)}\n`)
  })

/** Says something worth knowing before the result: on stdout among tables, on stderr beside JSON. */
export const previewer = Effect.map(
  shared,
  ({ json, quiet }) =>
    (text: string): Effect.Effect<void> =>
      Effect.sync(() => {
        const safe = Printable.lines(text)
        if (!json) process.stdout.write(`${safe}\n\n`)
        else if (!quiet) process.stderr.write(`${safe}\n`)
      })
)

const progress = (quiet: boolean) =>
  Tasks.Progress.layer({ sink: process.stderr, environment: process.env, quiet })

/** The file of the run store, as the shared flags say. */
export const storeFile = Effect.map(shared, ({ db }) =>
  Option.getOrElse(db, () => process.env["BITBUDGET_DB"] ?? "bitbudget.db")
)

/** A command that needs neither: what goes wrong in any is a failure that `start.ts` has an exit code for. */
export const plainly = <A, R>(work: Effect.Effect<A, Failure, R>): Effect.Effect<A, Failure, R> => work

/** Progress and the run store as the shared flags say. */
export const withServices = <A, R>(work: Effect.Effect<A, Failure, R>) =>
  Effect.gen(function* () {
    const { quiet } = yield* shared
    const call = { version, commandLine: yield* CommandLine }
    const store = RunStore.layer(yield* storeFile, { access: "write", call })
    return yield* Effect.provide(work, Layer.mergeAll(progress(quiet), store))
  })

/** The database alone, for questions ("read") or for changes of what is there. */
export const withDatabase =
  (access: "read" | "write") =>
  <A, R>(work: Effect.Effect<A, Failure, R>) =>
    Effect.flatMap(storeFile, (file) => Effect.provide(work, Database.layer(file, { access })))

export const withProgress = <A, R>(work: Effect.Effect<A, Failure, R>) =>
  Effect.flatMap(shared, ({ quiet }) => Effect.provide(work, progress(quiet)))

/** A text that is not empty: an empty name is a variable that was not set, not a file. */
export const textFlag = (name: string) =>
  Flag.String(name).pipe(
    Flag.filter(
      (text) => text !== "",
      () => "a text that is not empty"
    )
  )

/** A comma-separated list. */
export const listFlag = (name: string) =>
  Flag.String(name).pipe(
    Flag.map((text) => text.split(",").map((part) => part.trim())),
    Flag.filter(
      (parts) => parts.every((part) => part !== ""),
      () => "names with commas between them"
    )
  )

const refuse = (why: string) => new UnusableRequest({ why })

/** Ids with commas, each read by `parse`; `example` says how one is written. */
const formatList = <A>(
  flag: string,
  text: string,
  parse: (id: string) => A | undefined,
  example: string
): Effect.Effect<ReadonlyArray<A>, UnusableRequest> =>
  Effect.forEach(
    text.split(",").map((id) => id.trim()),
    (id) => {
      const format = parse(id)
      return format === undefined
        ? Effect.fail(refuse(`${flag}: "${id}" is not a format; write for example ${example}`))
        : Effect.succeed(format)
    }
  )

type WeightFormats = ReadonlyArray<WeightFormat.WeightFormat>

export const weightFormats = (text: string): Effect.Effect<WeightFormats, UnusableRequest> =>
  formatList("--weights", text, WeightKinds.parse, "w2,w4,w8, w4.g32 or w4.asym")

export const activationFormats = (text: string) =>
  formatList("--activations", text, ActivationFormat.parse, "a4,a8,a16")

export const choiceList = (flag: string, text: string) =>
  formatList(flag, text, Choice.parse, "w4a8,w8a8 or w4.g32 a8")

/** Whole widths, as `--bits 2,4,8`: integers with one scale a channel. */
export const widths = (text: string): Effect.Effect<WeightFormats, UnusableRequest> =>
  formatList("--bits", text, (id) => (/^\d+$/.test(id) ? WeightKinds.parse(id) : undefined), "2,4,8")

/** Formats as one text, for the parsers above. */
export const formatFlag = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.optional, Flag.withDescription(description))

export const modelArgument = Argument.String("model").pipe(Argument.withDescription("ONNX file"))
export const costModelArgument = Argument.String("model").pipe(
  Argument.withDescription("ONNX file, or a layer list .csv")
)

/** `--dim name=size`, repeated: sizes of input dimensions that the file leaves open. */
export const dimFlag = Flag.KeyValuePair("dim").pipe(
  Flag.withDefault({}),
  Flag.withDescription(
    "Size of an input dimension the model leaves open, or value of an input that is one number; repeat (default none)"
  )
)

/** The dimensions as the reader takes them, who knows which are sizes. */
export const readingOf = (dim: Readonly<Record<string, string>>) =>
  Effect.gen(function* () {
    const bad = Object.entries(dim).find(([, size]) => !/^-?\d+(\.\d+)?(e-?\d+)?$/i.test(size))
    if (bad !== undefined)
      return yield* new UnusableRequest({
        why: `--dim ${bad[0]}=${bad[1]}: a size is a positive whole number, the value of an input a number`
      })
    return { dims: new Map(Object.entries(dim).map(([name, size]) => [name, Number(size)])) }
  })

/** The float network and the data that a command is about. */
export const subjectOf = (
  flags: Parameters<typeof textOf>[0] & {
    readonly model: string
    readonly data: string
    readonly dim: Readonly<Record<string, string>>
  }
): Effect.Effect<Tasks.Together, Failure> =>
  Effect.flatMap(readingOf(flags.dim), (reading) =>
    Tasks.withData(
      { model: flags.model, reading, data: flags.data, text: textOf(flags) },
      Tasks.readFloatModel
    )
  )

export const deviceFlag = textFlag("device").pipe(
  Flag.withDescription("Id in hw-profiles, a profile's path, or systolic-<rows>x<cols>-<os|ws|is>")
)

export const dataFlag = textFlag("data").pipe(
  Flag.withDescription("Folder, .npz, x.npy,y.npy, images.gz,labels.gz, text file, or descriptor .json")
)

/** What a packed file is written for. */
const accuracyFlag = {
  accuracyLevel: Flag.Literals("accuracy-level", ["1", "4"]).pipe(
    Flag.withDefault("1" as const),
    Flag.withDescription("Arithmetic of matmulnbits: 1 float (default), 4 int8, which is faster")
  )
}

const TARGETS = "onnx: standard operators (default); matmulnbits: ONNX Runtime's packed products"

/** What a plan is measured as. */
export const targetFlags = {
  target: Flag.Literals("target", Tasks.targetNames).pipe(
    Flag.withDefault("onnx" as const),
    Flag.withDescription(TARGETS)
  ),
  ...accuracyFlag
}

/** What is written of a plan. */
export const fileTargetFlags = {
  target: Flag.Literals("target", Tasks.fileTargetNames).pipe(
    Flag.withDefault("onnx" as const),
    Flag.withDescription(`${TARGETS}; gguf: llama.cpp's file, of a Llama's folder`)
  ),
  ...accuracyFlag
}

export const targetOf = <Name extends (typeof Tasks.fileTargetNames)[number]>(flags: {
  readonly target: Name
  readonly accuracyLevel: "1" | "4"
}) => ({ name: flags.target, accuracyLevel: flags.accuracyLevel === "4" ? (4 as const) : (1 as const) })

/** A whole number from `least` on. */
export const countFlag = (name: string, least = 1) =>
  Flag.Int(name).pipe(
    Flag.filter(
      (count) => count >= least,
      () => `a whole number from ${least} on`
    )
  )

/** How a text becomes windows of tokens. */
export const textFlags = {
  tokenizer: textFlag("tokenizer").pipe(
    Flag.optional,
    Flag.withDescription("tokenizer.json of a text's tokens (default the one beside the model)")
  ),
  window: countFlag("window").pipe(
    Flag.optional,
    Flag.withDescription("Tokens of a text the model sees at once (default 128)")
  ),
  stride: countFlag("stride").pipe(
    Flag.optional,
    Flag.withDescription("Tokens from one window to the next (default the window)")
  )
}

export const textOf = ({
  tokenizer,
  window,
  stride
}: {
  readonly tokenizer: Option.Option<string>
  readonly window: Option.Option<number>
  readonly stride: Option.Option<number>
}): Tasks.TextOptions => ({
  tokenizer: Option.getOrUndefined(tokenizer),
  window: Option.getOrUndefined(window),
  stride: Option.getOrUndefined(stride)
})

/** Tokens that a language model attends to where nothing is said. */
export const DEFAULT_CONTEXT = 4096

export const calibrationFlag = countFlag("calibration").pipe(
  Flag.optional,
  Flag.withDescription("Samples for activation ranges (default all)")
)

export const recipeFlag = Flag.Literals("recipe", Recipe.recipeNames).pipe(
  Flag.optional,
  Flag.withDescription("How layers are rounded (default best, or fast for large networks)")
)

export const seedFlag = countFlag("seed", 0).pipe(
  Flag.withDefault(0),
  Flag.withDescription("Of every random choice (default 0)")
)

export const threadsFlag = countFlag("threads").pipe(
  Flag.optional,
  Flag.withDescription("Threads of ONNX Runtime; results do not depend on it (default: all cores)")
)

export const batchFlag = countFlag("batch").pipe(
  Flag.withDefault(1),
  Flag.withDescription("Samples a batch (default 1)")
)

/**
 * `bitbudget.json`: what a folder of work says once for all its commands. The nearest one at or above the working folder
 * counts. What stands in it is put behind the words of a command as the flags they are, unless the command names them
 * itself; so nothing can be set there that cannot be typed, and runs remember the whole command.
 */
import { isAddress, UnusableRequest } from "@bitbudget/lab"
import { Names } from "@bitbudget/words"
import * as Effect from "effect/Effect"
import type * as HelpDoc from "effect/cli/HelpDoc"
import * as fs from "node:fs"
import * as path from "node:path"
import { parse, type ParseError, printParseErrorCode } from "jsonc-parser"

/** Flags that name files or folders: relative to where the settings lie, not to where the command is called. */
const places: ReadonlySet<string> = new Set([
  "data",
  "tokenizer",
  "db",
  "out",
  "models",
  "against",
  "certificate"
])

type Settings = Readonly<Record<string, unknown>>

const isSettings = (value: unknown): value is Settings =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const lineOf = (text: string, offset: number): number => text.slice(0, offset).split("\n").length

/** Comments and trailing commas are allowed. */
const read = (file: string): Effect.Effect<Settings, UnusableRequest> => {
  const refuse = (why: string) => Effect.fail(new UnusableRequest({ why: `${file}: ${why}` }))
  let text: string
  try {
    text = fs.readFileSync(file, "utf8")
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
  const errors: Array<ParseError> = []
  const settings: unknown = parse(text, errors, { allowTrailingComma: true })
  const [first] = errors
  if (first !== undefined)
    return refuse(
      `line ${lineOf(text, first.offset)} is not valid JSON (${printParseErrorCode(first.error)}); fix it, or remove the file`
    )
  return isSettings(settings) ? Effect.succeed(settings) : refuse("it is to be an object of flags and values")
}

const wordsOf = (flag: string, value: unknown, folder: string): ReadonlyArray<string> | undefined => {
  if (Array.isArray(value)) {
    const words = value.map((each) => (Array.isArray(each) ? undefined : wordsOf(flag, each, folder)))
    return words.every((each) => each !== undefined) ? words.flat() : undefined
  }
  if (typeof value === "boolean") return [`--${flag}=${value}`]
  if (typeof value !== "string" && typeof value !== "number") return undefined
  const text = String(value)
  return [`--${flag}`, places.has(flag) && !isAddress(text) ? path.resolve(folder, text) : text]
}

const isNamed = (args: ReadonlyArray<string>, { name, aliases }: HelpDoc.FlagDoc): boolean =>
  [`--${name}`, `--no-${name}`, ...aliases].some((flag) =>
    args.some((arg) => arg === flag || arg.startsWith(`${flag}=`))
  )

/** The command that is called. */
export interface Command {
  /** Such as ["search"] or ["runs", "list"]. */
  readonly words: ReadonlyArray<string>
  readonly flags: ReadonlyArray<HelpDoc.FlagDoc>
  /** Names of all commands: what else may stand at the top. */
  readonly commands: ReadonlyArray<string>
}

/** Flags that several commands have, and which a command without them may leave alone. */
const common: ReadonlySet<string> = new Set([
  "db",
  "device",
  "data",
  "budget",
  "recipe",
  "calibration",
  "samples",
  "seed",
  "threads"
])

/** The words that the settings add to a command line. */
export const added = Effect.fn("settings")(function* (
  file: string,
  args: ReadonlyArray<string>,
  { words, flags, commands }: Command
) {
  const settings = yield* read(file)
  const refuse = (why: string) => new UnusableRequest({ why: `${file}: ${why}` })
  const own = settings[words.join(" ")]
  if (own !== undefined && !isSettings(own))
    return yield* refuse(`"${words.join(" ")}" is to be an object of flags and values`)
  const known = new Map(flags.map((flag) => [flag.name, flag]))
  const whole = { ...settings, ...own }
  const result: Array<string> = []
  for (const [name, value] of Object.entries(whole)) {
    const flag = known.get(name)
    const isOwn = own !== undefined && Object.hasOwn(own, name)
    if (flag === undefined) {
      const elsewhere = common.has(name) || commands.includes(name.split(" ")[0]!)
      if (!isOwn && elsewhere) continue
      const [near] = Names.nearest(name, [...known.keys(), ...(isOwn ? [] : [...common, ...commands])], 1)
      return yield* refuse(
        `"${name}" is ${isOwn ? `no flag of ${words.join(" ")}` : "neither a flag of several commands nor a command"}${near === undefined ? "" : `; did you mean "${near}"?`}`
      )
    }
    if (isNamed(args, flag)) continue
    const written = wordsOf(name, value, path.dirname(file))
    if (written === undefined)
      return yield* refuse(`"${name}" is to be a text, a number, true or false, or a list of them`)
    result.push(...written)
  }
  return result
})

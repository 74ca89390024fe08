/** The words of a command line, and what a folder's `bitbudget.json` adds to them. */
import type { UnusableRequest } from "@bitbudget/lab"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HelpDoc from "effect/cli/HelpDoc"
import { existsSync } from "node:fs"
import * as path from "node:path"

/** What was called, with the settings of the folder: what runs remember, and repeat. */
export const CommandLine = Context.Reference<ReadonlyArray<string>>("bitbudget/CommandLine", {
  defaultValue: () => []
})

/** Commands that have commands of their own. */
const groups: ReadonlySet<string> = new Set(["devices", "runs"])

/** `help`, `help search`, `devices help`: the other ways people ask for help. */
export const asked = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const words = args.filter((arg) => !arg.startsWith("-"))
  if (words[0] === "help") return [...words.slice(1), "--help"]
  return words.length === 2 && words[1] === "help" && groups.has(words[0]!) ? [words[0]!, "--help"] : args
}

export const settingsName = "bitbudget.json"

/** Flags of all commands that take a value, which may be called like a command. */
const valued: ReadonlySet<string> = new Set(["--db", "--log-level", "--completions"])

/** Names another file of settings, or none where it is empty: a repetition has all that was said on its command line. */
export const settingsVariable = "BITBUDGET_SETTINGS"

/** The settings that count in a folder: the nearest at or above it. */
const nearest = (folder: string): string | undefined => {
  const file = path.join(folder, settingsName)
  if (existsSync(file)) return file
  const above = path.dirname(folder)
  return above === folder ? undefined : nearest(above)
}

const settingsFile = (): string | undefined => {
  const named = process.env[settingsVariable]
  return named === undefined ? nearest(process.cwd()) : named === "" ? undefined : named
}

/** The command line with the settings of the folder; `flagsOf` tells what a command understands. */
export const withSettings = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  commands: ReadonlyArray<string>,
  flagsOf: (words: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<HelpDoc.FlagDoc>>
): Effect.fn.Return<ReadonlyArray<string>, UnusableRequest> {
  const at = args.findIndex((arg, i) => commands.includes(arg) && !valued.has(args[i - 1] ?? ""))
  // `init` writes settings, and needs none.
  if (at === -1 || args[at] === "init" || args.includes("--help") || args.includes("-h")) return args
  const file = settingsFile()
  if (file === undefined) return args
  const behind = at + (groups.has(args[at]!) ? 2 : 1)
  const words = args.slice(at, behind)
  const flags = yield* flagsOf(words)
  const settings = yield* Effect.promise(() => import("./settings.ts"))
  const added = yield* settings.added(file, args, { words, flags, commands })
  return [...args.slice(0, behind), ...added, ...args.slice(behind)]
})

/** Runs the program on a command line until it ends or is interrupted, and sets the exit code. */
import { Printable } from "@bitbudget/words"
// The modules by themselves: `effect` and `effect/cli` as wholes would double the time of `--help`.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { program } from "./program.ts"

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Commands whose finished stages are in the store. */
const resumable: ReadonlySet<string> = new Set(["search", "sensitivity"])

const interrupted = (args: ReadonlyArray<string>): string =>
  args.some((arg) => resumable.has(arg))
    ? "interrupted; finished stages are stored, and the same command continues after them"
    : "interrupted"

/** What went wrong, for stderr, with the exit code. */
const judge = (
  cause: Cause.Cause<unknown>,
  args: ReadonlyArray<string>
): { readonly code: number; readonly text: string } => {
  const failed = cause.reasons.find(Cause.isFailReason)
  if (failed !== undefined) {
    const { _tag: tag = "", errors = [] } = failed.error as {
      readonly _tag?: string
      readonly errors?: ReadonlyArray<unknown>
    }
    // The command-line parser has already said what it did not understand; a command without more shows its help.
    if (tag === "ShowHelp") return { code: errors.length === 0 ? 0 : 1, text: "" }
    if (tag.startsWith("Cli")) return { code: 1, text: "" }
    return { code: tag === "Infeasible" ? 2 : 1, text: messageOf(failed.error) }
  }
  if (Cause.hasInterruptsOnly(cause)) return { code: 130, text: interrupted(args) }
  return {
    code: 3,
    text: `internal fault, please report it with the command you ran:\n${Cause.pretty(cause)}`
  }
}

export const start = async (args: ReadonlyArray<string>): Promise<void> => {
  const fiber = Effect.runFork(await program(args))
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => Effect.runFork(Fiber.interrupt(fiber)))
  }
  fiber.addObserver((exit) => {
    if (Exit.isSuccess(exit)) return
    const { code, text } = judge(exit.cause, args)
    if (text !== "") process.stderr.write(`bitbudget: ${Printable.lines(text)}\n`)
    process.exitCode = code
  })
}

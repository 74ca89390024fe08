#!/usr/bin/env node
/**
 * The command line: runs the command, prints its result or its error, and ends with the exit code of the contract
 * (0 done, 1 wrong request, 2 budgets that cannot be met, 3 a fault of this tool, 130 interrupted).
 */
import { Tables } from "@bitbudget/report"
import { Cause, Effect, Exit, Fiber } from "effect"
import { program } from "./program.ts"

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What went wrong, for stderr, with the exit code. */
const judge = (cause: Cause.Cause<unknown>): { readonly code: number; readonly text: string } => {
  const failed = cause.reasons.find(Cause.isFailReason)
  if (failed !== undefined) {
    const tag = (failed.error as { readonly _tag?: string })._tag ?? ""
    // The command-line parser has already said what it did not understand.
    if (tag === "ShowHelp" || tag.startsWith("Cli")) return { code: 1, text: "" }
    return { code: tag === "Infeasible" ? 2 : 1, text: messageOf(failed.error) }
  }
  if (Cause.hasInterruptsOnly(cause)) {
    return {
      code: 130,
      text: "interrupted; finished stages are stored, and the same command goes on behind them"
    }
  }
  return {
    code: 3,
    text: `internal fault, please report it with the command you ran:\n${Cause.pretty(cause)}`
  }
}

const fiber = Effect.runFork(program)
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => Effect.runFork(Fiber.interrupt(fiber)))
}
fiber.addObserver((exit) => {
  if (Exit.isSuccess(exit)) return
  const { code, text } = judge(exit.cause)
  if (text !== "") process.stderr.write(`bitbudget: ${Tables.visibleLines(text)}\n`)
  process.exitCode = code
})

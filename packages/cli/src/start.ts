/** Runs the program on a command line until it ends or is interrupted, and sets the exit code. */
import type { Failure } from "@bitbudget/lab"
import { Printable } from "@bitbudget/words"
// The modules by themselves: `effect` and `effect/cli` as wholes would double the time of `--help`.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as CliError from "effect/cli/CliError"
import { program } from "./program.ts"

/** What a failure of a command ends with. The compiler asks for every kind there is. */
const exitCodes: { readonly [Tag in Failure["_tag"]]: 1 | 2 } = {
  AmbiguousRun: 1,
  DataFailure: 1,
  FileFailure: 1,
  Infeasible: 2,
  InvalidBudget: 1,
  InvalidPlan: 1,
  InvalidProblem: 1,
  MalformedLayerList: 1,
  MalformedMeasurements: 1,
  MalformedModel: 1,
  MalformedProfile: 1,
  MetricUnavailable: 1,
  Mismatch: 1,
  ModelFileError: 1,
  ProfileFileError: 1,
  ProfileNotFound: 1,
  RunNotFound: 1,
  RuntimeFailure: 1,
  SolverFailure: 1,
  StoreFailure: 1,
  UnsupportedModel: 1,
  UnusableQuery: 1,
  UnusableRequest: 1
}

/** Commands whose finished stages are in the store. */
const resumable: ReadonlySet<string> = new Set(["search", "sensitivity", "tune"])

const interrupted = (args: ReadonlyArray<string>): string =>
  args.some((arg) => resumable.has(arg))
    ? "interrupted; finished stages are stored, and the same command continues after them"
    : "interrupted"

/** What went wrong, for stderr, with the exit code. */
const judge = (
  cause: Cause.Cause<Failure | CliError.CliError>,
  args: ReadonlyArray<string>
): { readonly code: number; readonly text: string } => {
  const failed = cause.reasons.find(Cause.isFailReason)
  if (failed !== undefined) {
    const { error } = failed
    // The command-line parser has already said what it did not understand; a command without more shows its help.
    if (CliError.isCliError(error))
      return { code: error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : 1, text: "" }
    return { code: exitCodes[error._tag], text: error.message }
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

/** Runs the command line as a user would, with what follows on this one's own. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

/** A file of this folder. */
export const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

export const bitbudget = (...command: ReadonlyArray<string>): void => {
  const args = [here("../packages/cli/src/main.ts"), ...command, ...process.argv.slice(2)]
  spawn(process.execPath, args, { stdio: "inherit" }).on("exit", (code) => {
    process.exitCode = code ?? 130
  })
}

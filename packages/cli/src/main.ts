#!/usr/bin/env node
/**
 * The command line: runs the command, prints its result or its error, and ends with the exit code of the contract
 * (0 done, 1 wrong request, 2 budgets that cannot be met, 3 a fault of this tool, 130 interrupted).
 */
import * as module from "node:module"

// Compiled code is kept from one start to the next: half the time of `--help` is the compiler's.
// Node 20 cannot.
module.enableCompileCache?.()

// A reader that has seen enough (`| head`) is no fault, and no reason to stop a search: what is printed is dropped.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error
  })

const { start } = await import("./start.ts")
await start(process.argv.slice(2))

/** The command line as a child process, the way users and scripts meet it. */
import { spawnSync } from "node:child_process"
import * as path from "node:path"

export const root = path.resolve(import.meta.dirname, "..")

export const run = (...args: ReadonlyArray<string>) => {
  const done = spawnSync(process.execPath, [path.join(root, "packages/cli/src/main.ts"), ...args], {
    cwd: root,
    encoding: "utf8"
  })
  return { code: done.status, out: done.stdout, error: done.stderr }
}

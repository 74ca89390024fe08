/**
 * The command line as a child process, the way users and scripts meet it. Whatever it prints as JSON is held against
 * the JSON Schema of its command in docs/schemas, by a validator that shares nothing with the code that printed it.
 */
import { Ajv2020 } from "ajv/dist/2020.js"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import * as path from "node:path"

export const root = path.resolve(import.meta.dirname, "..")

/** Commands that print what another command does; all others have a document of their own name. */
const documents: Readonly<Record<string, string>> = {
  "devices show": "profile",
  "runs query": "runs-list",
  "runs best": "runs-list",
  "runs pareto": "runs-list",
  "runs merge": "runs-import",
  "runs note": "runs-tag",
  "runs resume": "runs-pause",
  "runs cancel": "runs-pause",
  "runs retry": "runs-pause",
  "runs drop": "runs-pause"
}

const documentOf = ([command = "", subcommand = "", ...flags]: ReadonlyArray<string>): string => {
  const name = command === "devices" || command === "runs" ? `${command} ${subcommand}` : command
  if (name === "devices validate" && !flags.includes("--against")) return "devices-check"
  if (name === "solve" && flags.includes("--verify")) return "solve-verify"
  if (name === "run" && flags.includes("--dry-run")) return "run-cells"
  if (name === "run" && flags.includes("--detach")) return "runs-pause"
  return documents[name] ?? name.replace(" ", "-")
}

const ajv = new Ajv2020({ allErrors: true })

const validatorOf = (name: string) =>
  ajv.getSchema(name) ??
  ajv
    .addSchema(JSON.parse(readFileSync(path.join(root, "docs/schemas", `${name}.json`), "utf8")), name)
    .getSchema(name)!

export const run = (...args: ReadonlyArray<string>) => {
  const done = spawnSync(process.execPath, [path.join(root, "packages/cli/src/main.ts"), ...args], {
    cwd: root,
    encoding: "utf8"
  })
  if (args.includes("--json") && done.status === 0) {
    const name = documentOf(args)
    const validate = validatorOf(name)
    if (validate(JSON.parse(done.stdout)) !== true)
      throw new Error(`docs/schemas/${name}.json: ${ajv.errorsText(validate.errors)}`)
  }
  return { code: done.status, out: done.stdout, error: done.stderr }
}

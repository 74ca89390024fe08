/** `runs repeat`: the command of a run again, in a database and a folder of its own, and whether it comes out the same. */
import { Database, Results, Runs, UnusableQuery } from "@bitbudget/lab"
import { Effect, Option, Schema } from "effect"
import { Command } from "effect/cli"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { settingsVariable } from "../../commandLine.ts"
import { print, withDatabase } from "../../shared.ts"
import { runArgument } from "./read.ts"

/** Flags that say where things go and how they are told; a repetition has its own. */
const withValue = new Set(["--db", "--out", "-o", "--write"])
const alone = new Set(["--json", "--quiet", "--force", "--resume"])

const bare = (words: ReadonlyArray<string>): ReadonlyArray<string> =>
  words.filter((word, i) => {
    const name = word.split("=", 1)[0]!
    return !withValue.has(name) && !alone.has(name) && !withValue.has(words[i - 1] ?? "")
  })

const CommandLine = Schema.fromJsonString(Schema.Array(Schema.String))

/** Ends with what the child said on stderr, undefined where it succeeded. */
const child = (words: ReadonlyArray<string>, folder: string) =>
  Effect.callback<string | undefined>((resume) => {
    const started = spawn(process.execPath, [process.argv[1]!, ...words], {
      cwd: folder,
      // Its command has all that the settings of the folder said then; what they say now is another matter.
      env: { ...process.env, [settingsVariable]: "" },
      stdio: ["ignore", "ignore", "pipe"]
    })
    let said = ""
    started.stderr.on("data", (part) => {
      said = `${said}${String(part)}`.slice(-4000)
    })
    started.on("error", ({ message }) => resume(Effect.succeed(message)))
    started.on("exit", (code) =>
      resume(Effect.succeed(code === 0 ? undefined : said.trim() || `it ended with ${code}`))
    )
    return Effect.sync(() => started.kill("SIGTERM"))
  })

const repeated = Effect.fn("runs repeat")(function* (text: string) {
  const before = yield* Runs.show(text)
  const { id, kind, commandLine, folder } = before.run
  const refuse = (why: string) => new UnusableQuery({ why: `run ${String(id)}: ${why}` })
  if (before.run["status"] !== "done")
    return yield* refuse(`it is ${String(before.run["status"])}, there is nothing to compare with`)
  if (typeof commandLine !== "string" || typeof folder !== "string")
    return yield* refuse("its command is not stored (it was made by an older version or by a program)")
  if (!fs.existsSync(folder)) return yield* refuse(`the folder it ran in is gone: ${folder}`)
  const stored = yield* Effect.option(Schema.decodeUnknownEffect(CommandLine)(commandLine))
  const words = Option.match(stored, { onNone: (): ReadonlyArray<string> => [], onSome: bare })
  // Databases come from others too: nothing but the commands that make runs is run again.
  if (words[0] !== kind) return yield* refuse(`its command does not begin a ${String(kind)}`)
  const place = yield* Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(tmpdir(), "bitbudget-repeat-"))),
    (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true }))
  )
  const file = path.join(place, "repeat.db")
  const out = [
    ...(kind === "search" ? ["--out", path.join(place, "out")] : []),
    ...(kind === "tune" ? ["--write", path.join(place, "tuned.onnx")] : [])
  ]
  const said = yield* child([...words, "--db", file, ...out, "--json", "--quiet", "--force"], folder)
  if (said !== undefined) return yield* refuse(`it cannot be repeated: ${said.replace(/^bitbudget: /, "")}`)
  const again = yield* Effect.gen(function* () {
    const { rows } = yield* Runs.list()
    return yield* Runs.show(String(rows[0]?.row["run"]))
  }).pipe(Effect.provide(Database.layer(file, { access: "read" })))
  const differences = Runs.differences(before, again)
  return { run: String(id), same: differences.length === 0, differences }
}, Effect.scoped)

export const repeat = Command.make("repeat", { run: runArgument("run") }, ({ run }) =>
  withDatabase("read")(
    Effect.gen(function* () {
      const result = yield* repeated(run)
      yield* print(Results.RepeatResult, result, ({ run, same, differences }) =>
        same
          ? `${run}: the same again, bit for bit`
          : [`${run}: not the same`, ...differences.map((each) => `  ${each}`)].join("\n")
      )
      if (!result.same) process.exitCode = 1
    })
  )
).pipe(Command.withDescription("Run its command again and compare, bit for bit; or say which input changed"))

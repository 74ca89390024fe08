/** What the command line says of itself and to a terminal: help, examples that run, nothing a terminal would obey. */
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { npy } from "../packages/runtime/test/support/files.ts"
import { root, run } from "./bitbudget.ts"
import * as Postgres from "./postgres.ts"

const main = path.join(root, "packages/cli/src/main.ts")

/** Names under a heading of a help text. */
const under = (help: string, heading: string): ReadonlyArray<string> => {
  const lines = help.split("\n")
  const start = lines.indexOf(heading)
  if (start < 0) return []
  const end = lines.indexOf("", start)
  return lines.slice(start + 1, end).flatMap((line) => /^ {2}(\S+)/.exec(line)?.[1] ?? [])
}

const top = run("--help").out
const commands = under(top, "Commands")
const pages = new Map([["", top], ...commands.map((name) => [name, run(name, "--help").out] as const)])
for (const [name, page] of pages)
  if (name !== "")
    for (const sub of under(page, "Commands")) pages.set(`${name} ${sub}`, run(name, sub, "--help").out)

describe("help", () => {
  it("has a page for every command, none wider than 80 columns", () => {
    expect(commands).toEqual(expect.arrayContaining(["inspect", "simulate", "search", "devices", "runs"]))
    for (const [name, page] of pages) {
      expect(page, name).toMatch(/^Usage: bitbudget/m)
      for (const line of page.split("\n")) expect(line.length, `${name}: ${line}`).toBeLessThanOrEqual(80)
    }
  })

  it("is what `help`, a bare command and a bare group answer", () => {
    expect(run().out).toBe(top)
    expect(run("help").out).toBe(top)
    expect(run("help", "simulate").out).toBe(pages.get("simulate"))
    for (const group of ["devices", "runs"])
      for (const done of [run(group), run(group, "help"), run("help", group)])
        expect([done.code, done.out]).toEqual([0, pages.get(group)])
  })

  it("unknown commands are faults at every level, with the nearest whatever the capitals", () => {
    for (const [args, near] of [
      [["Simulat"], "simulate"],
      [["devices", "LIST"], "list"]
    ] as const) {
      const { code, out, error } = run(...args)
      expect([code, out]).toEqual([1, ""])
      expect(error).toMatch(
        new RegExp(`^bitbudget: Unknown subcommand "${args.at(-1)}"[^]*${near}[^]*--help`, "i")
      )
    }
  })
})

/** A folder with the files that examples speak of. */
const workshop = (): string => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-examples-"))
  const put = (name: string, content: string | Uint8Array): void => {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    fs.writeFileSync(path.join(folder, name), content)
  }
  const digits = fs.readFileSync(path.join(root, "test/cases/digits.onnx"))
  for (const name of ["model.onnx", "m.onnx"]) put(name, digits)
  const pixels = Uint8Array.from({ length: 80 * 784 }, (_, i) => (i * i) % 251)
  put("x.npy", npy("|u1", [80, 28, 28], pixels))
  put(
    "y.npy",
    npy(
      "|u1",
      [80],
      Uint8Array.from({ length: 80 }, (_, i) => i % 10)
    )
  )
  const source = { kind: "npy", x: "x.npy", y: "y.npy", layout: "NHW" }
  for (const name of ["d.json", "data.json"])
    put(name, JSON.stringify({ version: 1, sources: { all: source }, input: { mean: 0.5, std: 0.5 } }))
  const choice = (id: string, loss: number, latencyMs: number) => ({ id, loss, costs: { latencyMs } })
  const choices = [choice("w4", 1, 1), choice("w8", 0, 2)]
  put(
    "problem.json",
    JSON.stringify({ groups: ["a", "b"].map((id) => ({ id, choices })), budgets: { latencyMs: 3 } })
  )
  for (const name of ["04-sweep", "my-sweep"])
    put(
      `experiments/${name}/plan.json`,
      JSON.stringify({
        models: ["../../model.onnx"],
        devices: ["gap9", "generic-45nm"],
        data: "../../data.json",
        budgets: [["size<=100%"]]
      })
    )
  const llama = path.join(root, "packages/runtime/test/goldens/folders/llama")
  fs.cpSync(llama, path.join(folder, "llama"), { recursive: true })
  const config = JSON.parse(fs.readFileSync(path.join(llama, "config.json"), "utf8"))
  put("llama/config.json", JSON.stringify({ ...config, max_position_embeddings: 4096 }))
  put("nncf.json", JSON.stringify({ compression: { algorithm: "quantization" } }))
  put("out/plan.json", JSON.stringify({ version: 2, default: "w4a8", layers: {} }))
  fs.cpSync(path.join(root, "hw-profiles"), path.join(folder, "hw-profiles"), { recursive: true })
  put("my-board.json", fs.readFileSync(path.join(root, "hw-profiles/gap9.json")))
  const rows = fs.readFileSync(path.join(root, "hw-profiles/validation/measurements.csv"), "utf8").split("\n")
  put("mine.csv", rows.filter((row, i) => i === 0 || row.startsWith("gap9,")).join("\n"))
  fs.symlinkSync(path.join(root, "hw-profiles/validation/models"), path.join(folder, "nets"))
  return folder
}

/** Words of a command line as a shell takes them. */
const wordsOf = (line: string): ReadonlyArray<string> =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "")

const inHelp = [...pages.values()].flatMap((page) => {
  const [, examples = ""] = page.split("\nExamples\n")
  return [...examples.replaceAll(/ \\\n */g, " ").matchAll(/^ {2}bitbudget (.*)$/gm)].map(([, line]) => line!)
})
const inReadme = [
  ...fs.readFileSync(path.join(root, "README.md"), "utf8").matchAll(/^pnpm bitbudget (.*)$/gm)
].map(([, line]) => line!)

/** The address that `ui` prints, before it is stopped. */
const dashboardAt = (folder: string, words: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve, reject) => {
    const started = spawn(process.execPath, [main, ...words], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"]
    })
    let said = ""
    started.stderr.on("data", (part) => (said += String(part)))
    let address: string | undefined
    started.stdout.once("data", (part) => {
      address = String(part).trim()
      started.kill("SIGINT")
    })
    started.on("exit", (code) => {
      if (code === 130 && address !== undefined) resolve(address)
      else reject(new Error(`it ended with ${code}: ${said}`))
    })
  })

describe("examples of the help and the README run", () => {
  const folder = workshop()
  it("there are some in both", () => {
    expect(inHelp.length).toBeGreaterThan(6)
    expect(inReadme.length).toBeGreaterThan(10)
  })
  /** Ids of runs in examples stand for some that the examples before have made. */
  const ids = (words: ReadonlyArray<string>): ReadonlyArray<string> => {
    if (words[0] !== "report") return words
    const listed = spawnSync(process.execPath, [main, "runs", "list", "--json"], {
      cwd: folder,
      encoding: "utf8"
    })
    const [run] = JSON.parse(listed.stdout).map((row: { run: string }) => row.run)
    return words.map((word) => (/^[0-9a-f]{4}$/.test(word) ? run : word))
  }
  let server: Postgres.Server | undefined
  beforeAll(async () => {
    server = Postgres.isThere ? await Postgres.start() : undefined
    server?.createDatabase("bitbudget")
  })
  afterAll(() => server?.stop())
  /** The team's server is one of the test's own. */
  const here = (word: string) => (word === onServer ? server!.address("bitbudget") : word)
  const onServer = "postgres://lab@db/bitbudget"
  for (const line of new Set([...inHelp, ...inReadme]))
    it.skipIf(line.includes(onServer) && !Postgres.isThere)(line, async () => {
      // The dashboard goes on until it is interrupted.
      if (line.split(" ")[0] === "ui")
        return expect(await dashboardAt(folder, wordsOf(line))).toMatch(/^http:\/\//)
      const done = spawnSync(process.execPath, [main, ...ids(wordsOf(line)).map(here), "--quiet"], {
        cwd: folder,
        encoding: "utf8"
      })
      // A budget that a small network cannot meet on this device is an answer too, and has its own code.
      const allowed = line.startsWith("search") ? [0, 2] : [0]
      return expect(done.status, done.stderr).toBeOneOf(allowed)
    })
})

describe("a terminal", () => {
  const escapes = path.join(root, "test/cases/escapes.onnx")
  it("is sent no control characters of names in files", () => {
    const table = run("inspect", escapes).out
    expect(table).not.toMatch(/[^\P{Cc}\n]/u)
    expect(table).toContain("\\e[31mRED\\e[0m")
    const { error } = run("simulate", escapes, "--device", "gap\u001b[31m9")
    expect(error).not.toMatch(/[^\P{Cc}\n]/u)
  })

  it("that stops reading ends the program without a word", () => {
    const command = `"${process.execPath}" "${main}" devices show nvidia-t4 | head -c 10`
    const done = spawnSync("/bin/bash", ["-o", "pipefail", "-c", command], { cwd: root, encoding: "utf8" })
    expect([done.status, done.stderr]).toEqual([0, ""])
  })
})

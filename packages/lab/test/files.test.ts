/** Outputs: whole or not at all, together, and never over what they were made from. */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { afterEach, describe, expect, it } from "vitest"
import { Files } from "../src/index.ts"

const folder = () => fs.mkdtempSync(path.join(tmpdir(), "bitbudget-files-"))

const attempt = (outputs: ReadonlyArray<Files.Output>, care?: Files.Care): Promise<string> =>
  Effect.runPromise(
    Effect.match(Files.writeFiles(outputs, care), {
      onSuccess: () => "written",
      onFailure: ({ message }) => message
    })
  )

/** Names and contents of a folder. */
const contents = (dir: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    fs
      .readdirSync(dir)
      .toSorted()
      .flatMap((name) => {
        const file = path.join(dir, name)
        return fs.lstatSync(file).isFile() ? [[name, fs.readFileSync(file, "utf8")]] : []
      })
  )

describe("refused", () => {
  it("an output that is an input, by its name, a link or a second name", async () => {
    const dir = folder()
    const [input, link, twin] = ["m.onnx", "link.onnx", "twin.onnx"].map((name) => path.join(dir, name))
    fs.writeFileSync(input!, "network")
    fs.symlinkSync(input!, link!)
    fs.linkSync(input!, twin!)
    for (const file of [input, link, twin])
      expect(await attempt([{ file: file!, contents: "x" }], { inputs: [input!] })).toContain(
        "which this was made from"
      )
    expect(fs.readFileSync(input!, "utf8")).toBe("network")
    expect(fs.readdirSync(dir)).toHaveLength(3)
  })

  it("folders, devices, pipes, dangling links, the same name twice", async () => {
    const dir = folder()
    const pipe = path.join(dir, "pipe")
    execFileSync("mkfifo", [pipe])
    const dangling = path.join(dir, "dangling")
    fs.symlinkSync(path.join(dir, "nowhere"), dangling)
    expect(await attempt([{ file: dir, contents: "x" }])).toContain("it is a folder")
    expect(await attempt([{ file: "/dev/null", contents: "x" }])).toContain("it is a device or a pipe")
    expect(await attempt([{ file: pipe, contents: "x" }])).toContain("it is a device or a pipe")
    expect(await attempt([{ file: dangling, contents: "x" }])).toContain(
      "it is a link to a file that is not there"
    )
    expect(await attempt([{ file: "", contents: "x" }])).toContain("it names no file")
    const file = path.join(dir, "a")
    expect(
      await attempt([
        { file, contents: "1" },
        { file: path.join(dir, ".", "a"), contents: "2" }
      ])
    ).toContain("two outputs")
    expect(fs.statSync("/dev/null").isCharacterDevice()).toBe(true)
    expect(contents(dir)).toEqual({})
  })

  it("a link is written through: it stays a link, and its file is new", async () => {
    const dir = folder()
    const [file, link] = [path.join(dir, "real"), path.join(dir, "link")]
    fs.writeFileSync(file, "old")
    fs.symlinkSync(file, link)
    expect(await attempt([{ file: link, contents: "new" }])).toBe("written")
    expect(fs.lstatSync(link).isSymbolicLink()).toBe(true)
    expect(fs.readFileSync(file, "utf8")).toBe("new")
  })
})

const operations = [
  "openSync",
  "writeFileSync",
  "fsyncSync",
  "closeSync",
  "renameSync",
  "copyFileSync",
  "mkdirSync"
] as const

describe("when an operation of the disk fails", () => {
  const originals = new Map(operations.map((name) => [name, fs[name]]))
  afterEach(() => {
    for (const [name, original] of originals) Object.assign(fs, { [name]: original })
    syncBuiltinESMExports()
  })

  /** Lets the n-th call of an operation fail; tells whether there was one. */
  const failing = (name: (typeof operations)[number], nth: number, code: string): (() => boolean) => {
    let calls = 0
    const original = originals.get(name)! as (...args: ReadonlyArray<unknown>) => unknown
    const faulty = (...args: ReadonlyArray<unknown>) => {
      calls++
      if (calls === nth) throw Object.assign(new Error(`${code}: ${name}`), { code })
      return original(...args)
    }
    Object.assign(fs, { [name]: faulty })
    syncBuiltinESMExports()
    return () => {
      Object.assign(fs, { [name]: original })
      syncBuiltinESMExports()
      return calls >= nth
    }
  }

  it.each(operations)(
    "%s: everything is as it was, or as it should be; nothing else lies about",
    async (name) => {
      let failures = 0
      for (let nth = 1; nth < 6; nth++) {
        const dir = folder()
        fs.writeFileSync(path.join(dir, "plan.json"), "old plan")
        const before = contents(dir)
        const outputs = ["plan.json", "mixed.onnx", "sub/third"].map((file) => ({
          file: path.join(dir, file),
          contents: `new ${file}`
        }))
        const restore = failing(name, nth, "ENOSPC")
        const said = await attempt(outputs)
        const reached = restore()
        if (!reached) break
        failures++
        expect(said).toContain("the disk is full")
        expect(contents(dir)).toEqual(before)
        expect(fs.existsSync(path.join(dir, "sub", "third"))).toBe(false)
        // The next attempt comes through.
        expect(await attempt(outputs)).toBe("written")
        expect(contents(dir)).toEqual({ "plan.json": "new plan.json", "mixed.onnx": "new mixed.onnx" })
      }
      expect(failures).toBeGreaterThan(0)
    }
  )
})

it("what a killed process left is swept by the next writer of the file", async () => {
  const dir = folder()
  // No process has this number: it is above the greatest there is.
  const left = path.join(dir, ".plan.json.99999999.12345678.new.bitbudget-tmp")
  const ours = path.join(dir, `.plan.json.${process.pid}.12345678.new.bitbudget-tmp`)
  const other = path.join(dir, ".plan.json.notes")
  for (const file of [left, ours, other]) fs.writeFileSync(file, "half")
  expect(await attempt([{ file: path.join(dir, "plan.json"), contents: "whole" }])).toBe("written")
  expect(fs.existsSync(left)).toBe(false)
  expect([ours, other].every((file) => fs.existsSync(file))).toBe(true)
})

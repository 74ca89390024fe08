/** `bitbudget.json`: written by `init`, found from folders below, never louder than what is typed. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { beforeEach, describe, expect, it } from "vitest"
import { root } from "./bitbudget.ts"

const model = path.join(root, "experiments/models/resnet8.onnx")
let folder = ""

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-settings-"))
  fs.mkdirSync(path.join(folder, "below"))
})

const run = (below: string, ...args: ReadonlyArray<string>) => {
  const done = spawnSync(process.execPath, [path.join(root, "packages/cli/src/main.ts"), ...args], {
    cwd: path.join(folder, below),
    encoding: "utf8"
  })
  return { code: done.status, out: done.stdout, error: done.stderr }
}

const settings = (text: string) => fs.writeFileSync(path.join(folder, "bitbudget.json"), text)

describe("bitbudget.json", () => {
  it("init writes one that the commands below read; what is typed counts instead", () => {
    expect(run("", "init", "--device", "gap9", "--budget", "size<=60%").code).toBe(0)
    const device = (...args: ReadonlyArray<string>) =>
      JSON.parse(run("below", "simulate", model, "--json", ...args).out).device
    expect(device()).toBe("gap9")
    expect(device("--device", "ethos-u55-128")).toBe("ethos-u55-128")
    const again = run("", "init")
    expect(again.code).toBe(1)
    expect(again.error).toContain("--force")
  })

  it("paths are relative to the file, and a command's own section counts before the rest", () => {
    settings(
      `{ "db": "here.db", "device": "gap9", "simulate": { "device": "gap9", "batch": 2, "why": true } } // end`
    )
    const cost = JSON.parse(run("below", "simulate", model, "--json").out)
    expect(cost.batch).toBe(2)
    expect(cost.why.length).toBeGreaterThan(0)
    expect(run("below", "runs", "list").error).toContain(path.join(fs.realpathSync(folder), "here.db"))
  })

  it.each([
    [`{ "devise": "gap9" }`, /"devise".*did you mean "device"/],
    [`{ "simulate": { "plam": "w4" } }`, /no flag of simulate; did you mean "plan"/],
    [`{ "device": { "id": 1 } }`, /"device" is to be a text/],
    [`{ "device": `, /line 1 is not valid JSON/],
    [`["gap9"]`, /an object of flags/],
    [`{ "simulate": 3 }`, /"simulate" is to be an object/]
  ])("refuses %s", (text, message) => {
    settings(text)
    const { code, error } = run("", "simulate", model)
    expect(code).toBe(1)
    expect(error).toMatch(message)
    expect(error).toContain("bitbudget.json")
  })

  it("a database may be called like a command; init does without; a variable names another file or none", () => {
    settings(`{ "device": "gap9" }`)
    const args = ["--db", "search", "simulate", model, "--json"]
    expect(JSON.parse(run("", ...args).out).device).toBe("gap9")
    settings("{")
    expect(run("", "init", "--force").code).toBe(0)
    process.env["BITBUDGET_SETTINGS"] = ""
    expect(run("", "simulate", model).error).toContain("--device")
    fs.writeFileSync(path.join(folder, "other.json"), `{ "device": "ethos-u55-128" }`)
    process.env["BITBUDGET_SETTINGS"] = path.join(folder, "other.json")
    expect(JSON.parse(run("", "simulate", model, "--json").out).device).toBe("ethos-u55-128")
    delete process.env["BITBUDGET_SETTINGS"]
  })

  it("help does without", () => {
    settings("{")
    expect(run("", "simulate", "--help").code).toBe(0)
  })
})

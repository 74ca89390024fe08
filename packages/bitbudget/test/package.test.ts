/**
 * The package as a stranger gets it: packed, unpacked elsewhere, its commands run, its types compiled against. That npm
 * installs it in an empty folder is tried by `bench/install.sh`, since that compiles SQLite.
 */
import { RunStore } from "@bitbudget/lab"
import { Effect } from "effect"
import { execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import { newRun, outcome } from "../../lab/test/storeFixtures.ts"

const here = path.resolve(import.meta.dirname, "..")
const root = path.resolve(here, "../..")
const manifest = JSON.parse(fs.readFileSync(path.join(here, "package.json"), "utf8"))

beforeAll(() => {
  execFileSync(process.execPath, [path.join(here, "build.ts")], { cwd: here })
})

const command = (...args: ReadonlyArray<string>) =>
  execFileSync(process.execPath, [path.join(here, "dist/command/main.js"), ...args], {
    cwd: here,
    encoding: "utf8"
  })

describe("the npm package", () => {
  it("asks for the versions that the workspace is tested with", () => {
    const catalog = fs.readFileSync(path.join(root, "pnpm-workspace.yaml"), "utf8")
    for (const [name, version] of Object.entries(manifest.dependencies)) {
      // ONNX Runtime goes along; what it shares with its browser build is asked for in the same version.
      const known = name === "onnxruntime-common" ? "onnxruntime-node" : name
      expect(catalog).toMatch(new RegExp(`^  "?${known}"?: ${String(version).replaceAll(".", "\\.")}$`, "m"))
    }
  })

  it("holds every file it names", () => {
    const named = [
      manifest.bin.bitbudget,
      ...Object.values(manifest.imports),
      ...Object.values(manifest.exports).flatMap((target) =>
        typeof target === "string" ? [] : Object.values(target as object)
      )
    ]
    for (const file of named) expect(fs.existsSync(path.join(here, String(file))), String(file)).toBe(true)
  })

  it("has the page and the dashboard inside", async () => {
    const folder = fs.mkdtempSync(path.join(tmpdir(), "bitbudget-package-"))
    const file = path.join(folder, "runs.db")
    const fill = Effect.flatMap(RunStore, ({ begin, finish }) =>
      Effect.andThen(begin(newRun("ab12")), finish("ab12", outcome({})))
    )
    await Effect.runPromise(Effect.provide(fill, RunStore.layer(file)))
    command("report", "ab12", "--db", file, "-o", path.join(folder, "run.html"))
    const page = fs.readFileSync(path.join(folder, "run.html"), "utf8")
    expect(/<script type="module">([^]*)<\/script>/.exec(page)![1]!.length).toBeGreaterThan(100_000)
    const dashboard = spawn(
      process.execPath,
      [path.join(here, "dist/command/main.js"), "ui", "--db", file, "--port", "0"],
      { cwd: folder }
    )
    try {
      const address = await new Promise<string>((resolve, reject) => {
        dashboard.stdout.once("data", (said) => resolve(String(said).trim()))
        dashboard.once("exit", (code) => reject(new Error(`it ended with ${code}`)))
      })
      expect((await (await fetch(`${address}dashboard.js`)).text()).length).toBeGreaterThan(100_000)
    } finally {
      dashboard.kill()
      fs.rmSync(folder, { recursive: true, force: true })
    }
  })

  it("knows its version and commit, its devices, and runs networks", () => {
    expect(command("--version")).toContain(manifest.version)
    expect(JSON.parse(command("devices", "list", "--json")).devices.length).toBeGreaterThan(30)
    const model = path.join(root, "experiments/models/resnet8.onnx")
    const data = path.join(root, "experiments/data/fashion-mnist/fashion-mnist.json")
    const source = (...args: ReadonlyArray<string>) =>
      execFileSync(process.execPath, [path.join(root, "packages/cli/src/main.ts"), ...args], {
        cwd: here,
        encoding: "utf8"
      })
    const cost = ["simulate", model, "--device", "gap9", "--json"]
    expect(JSON.parse(command(...cost))).toEqual(JSON.parse(source(...cost)))
    const measured = ["evaluate", model, "--data", data, "--samples", "50", "--json"]
    expect(JSON.parse(command(...measured)).metrics).toEqual(JSON.parse(source(...measured)).metrics)
  })

  it("brings types that a program compiles against, as in docs/api.md", () => {
    const folder = fs.mkdtempSync(path.join(here, "dist/consumer-"))
    const text = fs.readFileSync(path.join(root, "docs/api.md"), "utf8")
    const programs = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, program]) => program!)
    expect(programs.length).toBeGreaterThan(1)
    programs.forEach((program, i) => fs.writeFileSync(path.join(folder, `example${i}.ts`), program))
    fs.writeFileSync(
      path.join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          module: "NodeNext",
          target: "ES2024",
          strict: true,
          noEmit: true,
          skipLibCheck: false,
          types: ["node"],
          typeRoots: [path.join(root, "node_modules/@types")]
        },
        include: ["*.ts"]
      })
    )
    const compiler = path.join(root, "node_modules/typescript/bin/tsc")
    const compile = () => execFileSync(process.execPath, [compiler, "-p", folder], { encoding: "utf8" })
    expect(compile()).toBe("")
    for (let i = 0; i < programs.length; i++)
      expect(
        execFileSync(process.execPath, [path.join(folder, `example${i}.ts`)], { cwd: root, encoding: "utf8" })
      ).not.toBe("")
  })
})

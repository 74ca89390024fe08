/**
 * The package as npm installs it: the workspace's packages as bundled JavaScript, their types beside it, the device
 * profiles and the texts. `npm pack` and `npm publish` in this folder call it first; nothing of it is kept in git.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { createRequire } from "node:module"
import { script } from "@bitbudget/page/script"
import { build, type Plugin } from "rolldown"

const here = import.meta.dirname
const root = path.resolve(here, "../..")
const dist = path.join(here, "dist")

/** Short id of the commit that is built; none outside a checkout. */
const commit = (): string => {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim()
  } catch {
    return ""
  }
}

/** `alone`: what is installed beside the package instead of bundled into it. */
const bundle = (names: ReadonlyArray<string>, folder: string, alone: (id: string) => boolean) =>
  build({
    input: Object.fromEntries(names.map((name) => [name, path.join(here, "src", `${name}.ts`)])),
    platform: "node",
    external: alone,
    plugins: [vendored, scripts],
    transform: { target: "node20", define: { "process.env.BITBUDGET_COMMIT": JSON.stringify(commit()) } },
    output: {
      dir: path.join(dist, folder),
      format: "esm",
      chunkFileNames: "chunks/[name]-[hash].js",
      minify: "dce-only"
    }
  })

const installed = Object.keys(
  (JSON.parse(fs.readFileSync(path.join(here, "package.json"), "utf8")) as { dependencies: object })
    .dependencies
)
const isInstalled = (id: string): boolean =>
  installed.some((name) => id === name || id.startsWith(`${name}/`))

/** These have binaries, or files of their own that they look for beside their code. */
const native = new Set(["sqlite3", "sharp", "highs"])

/**
 * ONNX Runtime goes along as it is on npm but for its install script, which on Linux fetches hundreds of megabytes of
 * CUDA libraries from another registry, fails where that is out of reach, and is of no use here.
 */
const runtime = path.join(dist, "vendor/onnxruntime-node")

const vendor = () => {
  const from = path.dirname(
    createRequire(path.join(root, "packages/runtime/package.json")).resolve("onnxruntime-node/package.json")
  )
  for (const part of ["dist", "bin", "README.md"])
    fs.cpSync(path.join(from, part), path.join(runtime, part), { recursive: true, dereference: true })
  const { name, version, license, main, types } = JSON.parse(
    fs.readFileSync(path.join(from, "package.json"), "utf8")
  )
  fs.writeFileSync(
    path.join(runtime, "package.json"),
    JSON.stringify({ name, version, license, main, types }, null, 2)
  )
}

const vendored: Plugin = {
  name: "vendored",
  resolveId: {
    filter: { id: /^onnxruntime-node$/ },
    handler: () => ({ id: "#onnxruntime-node", external: true })
  }
}

/** The page's scripts, which a checkout bundles when they are asked for, as text inside. */
const scripts: Plugin = {
  name: "scripts",
  load: {
    filter: { id: /packages\/page\/src\/script\.ts$/ },
    handler: async () => {
      const texts = { report: await script("report"), dashboard: await script("dashboard") }
      return `const texts = ${JSON.stringify(texts)}; export const script = async (name) => texts[name]`
    }
  }
}

/** Declarations as the compiler writes them, in which our packages refer to each other by path. */
const declare = () => {
  execFileSync(process.execPath, [path.join(root, "node_modules/typescript/bin/tsc"), "-b"], { cwd: root })
  for (const name of fs.readdirSync(path.join(root, "packages"))) {
    const from = path.join(root, "packages", name, "dist")
    if (name === path.basename(here) || !fs.existsSync(from)) continue
    for (const file of fs.readdirSync(from, { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".d.ts")) continue
      const to = path.join(dist, "types", name, file)
      const up = path.relative(path.dirname(to), path.join(dist, "types"))
      const text = fs
        .readFileSync(path.join(from, file), "utf8")
        .replaceAll(/"@bitbudget\/([a-z]+)"/g, `"${up}/$1/index.js"`)
        .replaceAll(/(from |import\()"(\.[^"]*)\.ts"/g, '$1"$2.js"')
        .replaceAll('"onnxruntime-node"', `"${up}/../vendor/onnxruntime-node/dist/index.js"`)
        .replaceAll(/^\/\/# sourceMappingURL=.*$/gm, "")
      fs.mkdirSync(path.dirname(to), { recursive: true })
      fs.writeFileSync(to, text)
    }
  }
}

const profiles = () => {
  const to = path.join(here, "hw-profiles")
  fs.rmSync(to, { recursive: true, force: true })
  fs.mkdirSync(to)
  for (const file of fs.readdirSync(path.join(root, "hw-profiles")))
    if (file.endsWith(".json")) fs.copyFileSync(path.join(root, "hw-profiles", file), path.join(to, file))
}

fs.rmSync(dist, { recursive: true, force: true })
// A program that uses the library has an `effect` of its own, and shares it with us; the command starts twice as fast with
// all its code in few files.
await bundle(["index", "device", "graph", "quant", "runtime", "search", "sensitivity"], "", isInstalled)
await bundle(["main"], "command", (id) => native.has(id))
vendor()
declare()
profiles()
for (const text of ["README.md", "CHANGELOG.md", "LICENSE"])
  fs.copyFileSync(path.join(root, text), path.join(here, text))

/**
 * Networks that people have, from end to end: every ONNX file of a folder is inspected, costed on three devices, packed at
 * f32, w8a8 and w4, held against the float network, and searched, on random inputs, since its own data are not there.
 *
 * `node bench/networks.ts FOLDER [--sizes name=48,other=320] [--limit SECONDS]` prints a row a network. Open sizes are 64 where
 * nothing is said. Signal over noise is of the worst output, by ONNX Runtime, packed file against the original.
 */
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { npy, npz } from "../packages/runtime/test/support/files.ts"

const {
  positionals: [folder],
  values: flags
} = parseArgs({
  allowPositionals: true,
  options: { sizes: { type: "string", default: "" }, limit: { type: "string", default: "300" } }
})
if (folder === undefined) throw new Error("usage: node bench/networks.ts FOLDER")

const SAMPLES = 16
const USUAL_SIZE = 64
const sizes = new Map(flags.sizes.split(",").map((pair) => pair.split("=") as [string, string]))
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "networks-"))
const main = new URL("../packages/cli/src/main.ts", import.meta.url).pathname

/** One command, ended after the time limit; `json` is missing where it failed, and `words` say why. */
const run = (...args: ReadonlyArray<string>) => {
  const start = performance.now()
  const { error, stderr, stdout, status } = spawnSync(
    process.execPath,
    [main, ...args, "--json", "--quiet", "--db", path.join(scratch, "runs.db")],
    { encoding: "utf8", timeout: 1000 * Number(flags.limit), maxBuffer: 2 ** 28 }
  )
  const seconds = (performance.now() - start) / 1000
  const late = error !== undefined && "code" in error && error.code === "ETIMEDOUT"
  const words = late ? `longer than ${flags.limit} s` : (stderr.trim().split("\n").at(-1) ?? "")
  console.error(
    `${seconds.toFixed(1).padStart(7)} s  ${args[0]} ${path.basename(args[1]!)}${status === 0 ? "" : `: ${words}`}`
  )
  return { words, seconds, json: status === 0 ? JSON.parse(stdout) : undefined }
}

/** Samples of every input, between 0 and 1, from a linear congruential generator; zeros for whole numbers. */
const inputsOf = (session: Session.Session, open: ReadonlyMap<string, number>) => {
  let state = 1
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  return session.inputs.map(({ dtype, name, shape }) => {
    const own = shape
      .slice(1)
      .map((dim, i) =>
        typeof dim === "number" ? dim : (open.get(String(dim)) ?? open.get(`${name}:${i + 1}`) ?? USUAL_SIZE)
      )
    const count = own.reduce((a, b) => a * b, SAMPLES)
    const data = Float32Array.from({ length: count }, () => (dtype.startsWith("int") ? 0 : next()))
    return { name, dtype, shape: [SAMPLES, ...own], data }
  })
}

const decibels = (exact: ArrayLike<number>, other: ArrayLike<number>): number => {
  let [signal, noise] = [0, 0]
  for (let i = 0; i < exact.length; i++) {
    signal += exact[i]! ** 2
    noise += (exact[i]! - other[i]!) ** 2
  }
  return signal === 0 ? Infinity : 10 * Math.log10(signal / noise)
}

type Inputs = ReturnType<typeof inputsOf>

/** Worst output of a packed file against the original, over all samples; undefined where the file does not load. */
const held = (original: string, packed: string, inputs: Inputs) =>
  Effect.scoped(
    Effect.gen(function* () {
      const sessions = yield* Effect.forEach([original, packed], (file) =>
        Session.make(fs.readFileSync(file), { name: file, threads: 1 })
      )
      const rows = sessions[0]!.inputs[0]!.shape[0]
      const batch = typeof rows === "number" ? rows : 4
      const worst = new Map<string, number>()
      const feeds = Object.fromEntries(
        inputs.map(({ data, dtype, name, shape }) => {
          const width = data.length / shape[0]!
          const values = Value.zeros(dtype as Value.DType, batch * width)
          for (let i = 0; i < values.length; i++)
            values[i] = dtype === "int64" ? 0n : (data[i % data.length]! as never)
          return [name, Value.make(dtype as Value.DType, [batch, ...shape.slice(1)], values)]
        })
      )
      const [exact, other] = yield* Effect.forEach(sessions, (session) => session.run(feeds))
      for (const [name, { data }] of Object.entries(exact!))
        worst.set(name, decibels(Array.from(data, Number), Array.from(other![name]!.data, Number)))
      return Math.min(...worst.values())
    })
  ).pipe(Effect.result, Effect.runPromise)

const cell = (value: unknown): string => String(value).replaceAll("|", "/")

console.log("| network | inspect | devices | f32 dB | w8a8 dB | w4 dB | evaluate | sensitivity | search |")
console.log("|---|---|---|---|---|---|---|---|---|")
for (const file of fs
  .readdirSync(folder)
  .filter((name) => name.endsWith(".onnx"))
  .toSorted()) {
  const model = path.join(folder, file)
  const seen = run("inspect", model)
  if (seen.json === undefined) {
    console.log(`| ${file} | ${cell(seen.words)} | | | | | | | |`)
    continue
  }
  const { carried, layers, openDims } = seen.json
  const open = new Map<string, number>(
    openDims.map((name: string) => [name, Number(sizes.get(name) ?? USUAL_SIZE)])
  )
  const dims = [...open].flatMap(([name, size]) => ["--dim", `${name}=${size}`])
  const inputs = await Effect.runPromise(
    Effect.scoped(
      Effect.map(Session.make(fs.readFileSync(model), { name: file, threads: 1 }), (session) =>
        inputsOf(session, open)
      )
    )
  )
  const data = path.join(scratch, `${file}.npz`)
  const arrays = inputs.map(({ data, dtype, name, shape }) => {
    if (dtype === "int64") return [name, npy("<i8", shape, new BigInt64Array(data.length))] as const
    return [name, npy("<f4", shape, data)] as const
  })
  fs.writeFileSync(data, npz(Object.fromEntries(arrays.length === 1 ? [["x", arrays[0]![1]]] : arrays)))
  const costs = ["gap9", "ethos-u65-256", "jetson-orin-nano"].map((device) => {
    const { json, words } = run(
      "simulate",
      model,
      "--device",
      device,
      "--plan",
      device === "jetson-orin-nano" ? "f16" : "w8a8",
      ...dims
    )
    return json === undefined ? words : "ok"
  })
  const packed: Array<string> = []
  for (const plan of ["f32", "w8a8", "w4"]) {
    const out = path.join(scratch, `${file}.${plan}.onnx`)
    const made = run(
      "quantize",
      model,
      "--plan",
      plan,
      ...(plan === "w4" ? [] : ["--data", data]),
      "-o",
      out,
      ...dims
    )
    if (made.json === undefined) packed.push(made.words)
    else {
      const found = await held(model, out, inputs)
      packed.push(found._tag === "Success" ? found.success.toFixed(1) : String(found.failure))
    }
  }
  const given = ["--data", data, ...dims]
  const judged = run("evaluate", model, "--plan", "w8a8", ...given)
  const felt = run("sensitivity", model, "--samples", "8", ...given)
  const found = run(
    "search",
    model,
    "--device",
    "generic-45nm",
    "--budget",
    "size<=80%",
    "--samples",
    "8",
    "--out",
    path.join(scratch, file),
    ...given
  )
  const bits = (json: { readonly averageBits: number }) => `${json.averageBits.toFixed(2)} bits`
  const answer = <J>(
    { json, words, seconds }: { readonly json?: J; readonly words: string; readonly seconds: number },
    show: (json: J) => string
  ) => cell(json === undefined ? words : `${show(json)} (${seconds.toFixed(0)} s)`)
  const shown = `${layers.length} layers, ${carried.length} kinds carried`
  console.log(
    `| ${file} | ${shown} | ${cell([...new Set(costs)].join("; "))} | ${packed.map(cell).join(" | ")} | ${answer(judged, () => "ok")} | ${answer(felt, () => "ok")} | ${answer(found, bits)} |`
  )
}

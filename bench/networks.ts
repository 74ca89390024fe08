/**
 * Networks that people have, from end to end: every ONNX file of a folder is inspected, costed on three devices, packed at
 * f32, w8a8 and w4, held against the float network, and searched, on random inputs, since its own data are not there.
 *
 * `node bench/networks.ts FOLDER [--sizes name=48,sr=16000] [--limit SECONDS]` prints docs/networks.md, a row a network as it
 * is done; FOLDER/kinds.json may say what each file is. Open sizes are 64, and inputs of one number 1, where nothing is said.
 * Signal over noise is of the worst output, by ONNX Runtime, packed file against the original. Times of single commands go
 * to standard error.
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

const SAMPLES = 8
const USUAL_SIZE = 64
const sizes = new Map(flags.sizes.split(",").map((pair) => pair.split("=") as [string, string]))
const DEVICES = "gap9,ethos-u65-256,coral-edgetpu-usb"
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

type Open = ReadonlyMap<string, number>

/** A shape at a batch; open dimensions that have no size of their own are the batch. */
const shapeAt = ({ name, shape }: Session.Port, open: Open, batch: number): ReadonlyArray<number> =>
  shape.map((dim, i) =>
    typeof dim === "number" ? dim : (open.get(String(dim)) ?? open.get(`${name}:${i}`) ?? batch)
  )

const isNumber = ({ shape }: Session.Port): boolean => shape.every((dim) => dim === 1)

/** Values between 0 and 1 from a linear congruential generator; whole numbers are the given one, or 0. */
const valueFor = (port: Session.Port, shape: ReadonlyArray<number>): Value.Value => {
  const values = Value.zeros(
    port.dtype as Value.DType,
    shape.reduce((a, b) => a * b, 1)
  )
  const whole = isNumber(port) ? Number(sizes.get(port.name) ?? 1) : 0
  let state = 1
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    values[i] = (
      values instanceof BigInt64Array ? BigInt(whole) : port.dtype.startsWith("int") ? whole : state / 2 ** 32
    ) as never
  }
  return Value.make(port.dtype as Value.DType, shape, values)
}

const decibels = (exact: ArrayLike<number>, other: ArrayLike<number>): number => {
  let [signal, noise] = [0, 0]
  for (let i = 0; i < exact.length; i++) {
    signal += exact[i]! ** 2
    noise += (exact[i]! - other[i]!) ** 2
  }
  return signal === 0 ? Infinity : 10 * Math.log10(signal / noise)
}

/** Worst output of a packed file against the original; a failure where one of them does not load or run. */
const held = (original: string, packed: string, open: Open) =>
  Effect.scoped(
    Effect.gen(function* () {
      const sessions = yield* Effect.forEach([original, packed], (file) =>
        Session.make(fs.readFileSync(file), { name: file, threads: 1 })
      )
      const feeds = new Map(
        sessions[0]!.inputs.map((port) => [port.name, valueFor(port, shapeAt(port, open, 4))])
      )
      // An input that was given its value is none of the packed file's.
      const [exact, other] = yield* Effect.forEach(sessions, (session) =>
        session.run(Object.fromEntries(session.inputs.map(({ name }) => [name, feeds.get(name)!])))
      )
      return Math.min(
        ...Object.entries(exact!).map(([name, { data }]) =>
          decibels(Array.from(data, Number), Array.from(other![name]!.data, Number))
        )
      )
    })
  ).pipe(Effect.result, Effect.runPromise)

const shownDecibels = (x: number): string => (x === Infinity ? "exact" : x.toFixed(1))
const cell = (value: unknown): string => String(value).replaceAll("|", "/")

/** What the files are, where the folder says. */
const kindsFile = path.join(folder, "kinds.json")
const kinds: Readonly<Record<string, string>> = fs.existsSync(kindsFile)
  ? JSON.parse(fs.readFileSync(kindsFile, "utf8"))
  : {}

console.log(`# Networks that people have

Made by \`node bench/networks.ts FOLDER\`: trained networks bundled in public packages (they are no part of this project), each
through every command, on random inputs. Devices: ${DEVICES.replaceAll(",", ", ")}, at w8a8. Decibels are signal over noise of
the worst output in ONNX Runtime, the written file against the original: f32 is the rewriting alone; w8a8 has the recipe
fast, w4 is weights alone, rounded to nearest. The search is for 80 % of the size, on a device that holds every width, with
distortion from the float network, since there are no labels. A sentence stands where a command refused.

| network | what it is | layers | devices | f32 dB | w8a8 dB | w4 dB | evaluate | sensitivity | search |
|---|---|---|---|---|---|---|---|---|---|`)
for (const file of fs
  .readdirSync(folder)
  .filter((name) => name.endsWith(".onnx"))
  .toSorted()) {
  const model = path.join(folder, file)
  const ports = await Effect.runPromise(
    Effect.scoped(
      Effect.map(Session.make(fs.readFileSync(model), { name: file, threads: 1 }), ({ inputs }) => inputs)
    )
  )
  const numbers = ports.filter((port) => isNumber(port) && sizes.has(port.name))
  const values = numbers.map(({ name }) => `${name}=${sizes.get(name)}`)
  const seen = run("inspect", model, ...values.flatMap((value) => ["--dim", value]))
  if (seen.json === undefined) {
    console.log(`| ${file} | ${kinds[file] ?? ""} | ${cell(seen.words)} | | | | | | | |`)
    continue
  }
  const { carried, layers, openDims } = seen.json
  const open = new Map<string, number>(
    openDims.map((name: string) => [name, Number(sizes.get(name) ?? USUAL_SIZE)])
  )
  const dims = [...[...open].map(([name, size]) => `${name}=${size}`), ...values].flatMap((dim) => [
    "--dim",
    dim
  ])
  const data = path.join(scratch, `${file}.npz`)
  const arrays = ports.flatMap((port) => {
    if (numbers.includes(port)) return []
    const shape = [SAMPLES, ...shapeAt(port, open, SAMPLES).slice(1)]
    const { data } = valueFor(port, shape)
    return [
      [
        port.name,
        data instanceof BigInt64Array
          ? npy("<i8", shape, data)
          : npy("<f4", shape, Float32Array.from(data, Number))
      ] as const
    ]
  })
  fs.writeFileSync(data, npz(Object.fromEntries(arrays.length === 1 ? [["x", arrays[0]![1]]] : arrays)))
  const costed = run("compare", model, "--devices", DEVICES, "--plans", "w8a8", ...dims)
  const packed: Array<string> = []
  for (const plan of ["f32", "w8a8", "w4"]) {
    const out = path.join(scratch, `${file}.${plan}.onnx`)
    const made = run(
      "quantize",
      model,
      "--plan",
      plan,
      ...(plan === "w8a8" ? ["--data", data, "--recipe", "fast"] : []),
      "-o",
      out,
      ...dims
    )
    if (made.json === undefined) packed.push(made.words)
    else {
      const found = await held(model, out, open)
      packed.push(found._tag === "Failure" ? String(found.failure) : shownDecibels(found.success))
    }
  }
  const given = ["--data", data, ...dims]
  const judged = run("evaluate", model, "--plan", "w8a8", "--recipe", "fast", ...given)
  const felt = run("sensitivity", model, "--samples", "4", ...given)
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
  const shown = `${layers.length}${carried.length === 0 ? "" : `, carried: ${carried.map(({ op }: { op: string }) => op).join(", ")}`}`
  console.log(
    `| ${file} | ${kinds[file] ?? ""} | ${shown} | ${answer(costed, () => "ok")} | ${packed.map(cell).join(" | ")} | ${answer(judged, () => "ok")} | ${answer(felt, () => "ok")} | ${answer(found, bits)} |`
  )
}

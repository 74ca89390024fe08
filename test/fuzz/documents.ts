/**
 * Mutated documents: data sets, descriptors, plans, profiles, problems. Whatever a file holds, reading it ends in a
 * value or in a typed refusal with a message that people can read; anything else is a fault of this tool.
 *
 *   node test/fuzz/documents.ts [runs] [seed]     (a million runs take hours)
 */
import { Profile } from "@bitbudget/device"
import { Model } from "@bitbudget/graph"
import { PlanFile } from "@bitbudget/quant"
import { Data } from "@bitbudget/runtime"
import { Problem } from "@bitbudget/search"
import { Cause, Effect, Exit } from "effect"
import {
  type Arbitrary,
  assert,
  asyncProperty,
  constantFrom,
  integer,
  jsonValue,
  oneof,
  record,
  tuple
} from "fast-check"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { npy, npz } from "../../packages/runtime/test/support/files.ts"

const root = path.resolve(import.meta.dirname, "../..")

interface Mutation {
  readonly kind: "flip" | "cut" | "insert" | "value"
  readonly at: number
  readonly byte: number
  readonly value: unknown
}

/** Values that numbers, texts and lists are often not expected to be. */
const odd: Arbitrary<unknown> = oneof(
  constantFrom(
    0,
    -1,
    0.5,
    1e308,
    1e-320,
    2 ** 53,
    "",
    "__proto__",
    "constructor",
    null,
    true,
    [],
    {},
    "\u001b[31m",
    "1/0"
  ),
  jsonValue()
)

const mutation: Arbitrary<Mutation> = record({
  kind: constantFrom("flip", "cut", "insert", "value"),
  at: integer({ min: 0, max: 2 ** 30 }),
  byte: integer({ min: 0, max: 255 }),
  value: odd
})

interface Place {
  readonly parent: Record<string, unknown>
  readonly key: string
}

const placesOf = (value: unknown, found: Array<Place> = []): ReadonlyArray<Place> => {
  if (typeof value !== "object" || value === null) return found
  const parent = value as Record<string, unknown>
  for (const key of Object.keys(parent)) {
    found.push({ parent, key })
    placesOf(parent[key], found)
  }
  return found
}

const parsed = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"))
  } catch {
    return undefined
  }
}

/** Another value, key or absence at one place of the document; bytes that are no JSON stay as they are. */
const revalued = (bytes: Uint8Array, { at, byte, value }: Mutation): Uint8Array => {
  const document = parsed(bytes)
  const places = placesOf(document)
  const place = places[at % Math.max(1, places.length)]
  if (place === undefined) return bytes
  const { parent, key } = place
  if (byte % 8 === 0) delete parent[key]
  else if (byte % 8 === 1)
    Object.defineProperty(parent, String(value), { value: parent[key], enumerable: true })
  else parent[key] = value
  return Buffer.from(JSON.stringify(document))
}

const mutated = (bytes: Uint8Array, one: Mutation): Uint8Array => {
  const at = one.at % Math.max(1, bytes.length)
  switch (one.kind) {
    case "flip":
      return bytes.map((byte, i) => (i === at ? byte ^ (one.byte || 1) : byte))
    case "cut":
      return bytes.slice(0, at)
    case "insert":
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([one.byte]), bytes.subarray(at)])
    case "value":
      return revalued(bytes, one)
  }
}

interface Target {
  readonly name: string
  readonly good: Uint8Array
  readonly read: (bytes: Uint8Array) => Effect.Effect<unknown, { readonly message: string }>
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8")
const file = (name: string): Uint8Array => fs.readFileSync(path.join(root, name))

/** A data file or descriptor in a folder of its own, read to its last sample. */
const dataTarget = (
  name: string,
  good: Uint8Array,
  beside: Readonly<Record<string, Uint8Array>> = {}
): Target => ({
  name,
  good,
  read: (bytes) =>
    Effect.acquireUseRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-fuzz-"))),
      (folder) =>
        Effect.gen(function* () {
          for (const [other, content] of Object.entries(beside))
            fs.writeFileSync(path.join(folder, other), content)
          const target = path.join(folder, name)
          fs.writeFileSync(target, bytes)
          const data = yield* Data.open(target, { window: 2 })
          const split = data.whole ?? (yield* data.split("test"))
          return yield* split.batch(0, Math.min(split.size, 4))
        }),
      (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
    )
})

const x = npy(
  "<f4",
  [6, 2],
  Float32Array.from({ length: 12 }, (_, i) => i)
)
const y = npy("|u1", [6], Uint8Array.of(0, 1, 2, 0, 1, 2))
const idx = Buffer.from([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8])
const descriptor = {
  version: 1,
  name: "made",
  sources: { all: { kind: "npy", x: "x.npy", y: "y.npy", shuffle: 3 } },
  input: { dtype: "float32", scale: 0.5, mean: 1, std: 2, reshape: [2, 1] },
  outputs: { y: { kind: "classes", axis: 1, weight: 2 } },
  classes: 3,
  splits: { calibration: { to: 2 }, test: { from: 2, to: 6 } }
}
const problem = {
  groups: ["a", "b"].map((id) => ({
    id,
    choices: [
      { id: "w4a8", loss: 1.5, costs: { ms: 1, bytes: 10 } },
      { id: "w8a8", loss: 0.5, costs: { ms: 2, bytes: 20 } }
    ]
  })),
  ties: [["a", "b"]],
  budgets: { ms: 3.5 },
  fixed: { a: "w8a8" },
  transitions: [{ from: "a", to: "b", cost: { ms: 0.1 }, whenDifferent: "activationBits" }]
}

const targets = (): ReadonlyArray<Target> => {
  const model = Effect.runSync(Model.decode(file("test/cases/digits.onnx"), "digits.onnx"))
  const ids = ["conv1", "conv2", "fc"]
  const plan = {
    version: 2,
    model: { sha256: model.sha256 },
    default: "w8a8",
    layers: Object.fromEntries(ids.map((id) => [id, "w4.g32 a8"]))
  }
  return [
    dataTarget("data.npz", npz({ x, y })),
    dataTarget("x.npy", x),
    dataTarget("x.idx", idx),
    dataTarget("data.json", Buffer.from(JSON.stringify(descriptor)), { "x.npy": x, "y.npy": y }),
    {
      name: "plan.json",
      good: Buffer.from(JSON.stringify(plan)),
      read: (bytes) => PlanFile.decode("plan.json", parsed(bytes), model.graph, model.sha256)
    },
    {
      name: "profile.json",
      good: file("hw-profiles/gap9.json"),
      read: (bytes) => Profile.decode(text(bytes), "p.json")
    },
    {
      name: "problem.json",
      good: Buffer.from(JSON.stringify(problem)),
      read: (bytes) => Problem.fromJson(text(bytes))
    }
  ]
}

const jargon = /Expected |excess property|<filter>|readonly |undefined|\[object/

/** Mutates every kind of document `runs` times in all; fails with the seed and the mutations that broke one. */
export const fuzz = async (runs: number, seed: number): Promise<void> => {
  const all = targets()
  await assert(
    asyncProperty(
      integer({ min: 0, max: all.length - 1 }),
      tuple(mutation, mutation, mutation),
      integer({ min: 1, max: 3 }),
      async (which, three, count) => {
        const target = all[which]!
        const bytes = three.slice(0, count).reduce(mutated, target.good)
        const exit = await Effect.runPromiseExit(target.read(bytes))
        if (Exit.isSuccess(exit)) return
        const failed = exit.cause.reasons.find(Cause.isFailReason)
        if (failed === undefined)
          throw new Error(`${target.name}: not a refusal but ${Cause.pretty(exit.cause)}`)
        const { message } = failed.error
        if (message === "" || (jargon.test(message) && !/JSON/.test(message) && !jargon.test(text(bytes))))
          throw new Error(`${target.name}: no sentence for people: ${message}`)
      }
    ),
    { numRuns: runs, seed }
  )
}

if (process.argv[1] === import.meta.filename) {
  const [runs = "1000000", seed = "1"] = process.argv.slice(2)
  const start = performance.now()
  await fuzz(Number(runs), Number(seed))
  console.log(
    `${runs} mutated documents, seed ${seed}: no fault, ${((performance.now() - start) / 1e3).toFixed(0)} s`
  )
}

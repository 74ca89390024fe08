/** Inputs of a sweep by their digests: what belongs to them, where they lie on another machine, how much a machine keeps. */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import { hostname, tmpdir } from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Database, Fleet, type Sweep } from "../src/index.ts"
import * as Inputs from "../src/sweeps/Inputs.ts"
import { tooOld } from "../src/sweeps/Queue.ts"
import { ownFolder } from "../src/sweeps/Worker.ts"
import { places } from "./support/places.ts"
import * as Tiny from "./tiny.ts"

const scratch = (): string => fs.mkdtempSync(path.join(tmpdir(), "bitbudget-inputs-"))

/** `experiments/one/plan.json` with the network, the data and a device in folders beside it. */
const laboratory = async (): Promise<{
  readonly root: string
  readonly folder: string
  readonly plan: Sweep.SweepPlan
}> => {
  const [root, tiny] = [scratch(), await Tiny.folder()]
  const put = (name: string, content: string | Uint8Array): void => {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
    fs.writeFileSync(path.join(root, name), content)
  }
  put("models/tiny.onnx", fs.readFileSync(path.join(tiny, "tiny.onnx")))
  put("models/tokenizer.json", "{}")
  put("models/other.txt", "no input")
  for (const name of ["x.npy", "y.npy"]) put(`data/${name}`, fs.readFileSync(path.join(tiny, name)))
  put(
    "data/data.json",
    JSON.stringify({ version: 1, sources: { all: { kind: "npy", x: "x.npy", y: "y.npy", layout: "NCHW" } } })
  )
  put("boards/mine.json", fs.readFileSync(path.join(Tiny.profiles, "gap9.json")))
  const plan: Sweep.SweepPlan = {
    models: ["../../models/tiny.onnx"],
    devices: ["generic-45nm", "../../boards/mine.json"],
    data: "../../data/data.json",
    budgets: [["size<=75%"]]
  }
  put("experiments/one/plan.json", JSON.stringify(plan))
  return { root, folder: path.join(root, "experiments/one"), plan }
}

describe("what the cells of a plan read", () => {
  it("is found whole, under paths that mean the same in another folder", async () => {
    const { root, folder, plan } = await laboratory()
    const { manifest } = await Effect.runPromise(Inputs.survey(folder, plan, Tiny.profiles))
    expect(manifest.plan).toBe("experiments/one")
    expect(manifest.files.map((file) => file.path)).toEqual([
      ".profiles/generic-45nm.json",
      "boards/mine.json",
      "data/data.json",
      "data/x.npy",
      "data/y.npy",
      "models/tiny.onnx",
      "models/tokenizer.json"
    ])
    for (const { path: name, sha256, bytes } of manifest.files.filter((file) => !file.path.startsWith("."))) {
      const content = fs.readFileSync(path.join(root, name))
      expect([sha256, bytes]).toEqual([createHash("sha256").update(content).digest("hex"), content.length])
    }
  })

  it("cannot be named by a path that only this machine has", async () => {
    const { root, folder, plan } = await laboratory()
    const model = path.join(root, "models/tiny.onnx")
    const refused = await Effect.runPromise(
      Effect.flip(Inputs.survey(folder, { ...plan, models: [model] }, Tiny.profiles))
    )
    expect(refused.message).toContain(`${model}: other machines have no such path`)
  })
})

describe.each(places.filter(({ kind }) => kind === "PostgreSQL"))(
  "a worker's folder, from $kind",
  ({ fresh }) => {
    const on = async <A, E>(place: string, work: Effect.Effect<A, E, Database>): Promise<A> =>
      Effect.runPromise(
        work.pipe(Effect.provide(Fleet.queue), Effect.provide(Database.layer(place))) as Effect.Effect<A, E>
      )

    it("has the recorded content, from a cache that stays within its size", async () => {
      const { root, folder, plan } = await laboratory()
      const [place, made] = [await fresh(), scratch()]
      const { manifest, sources } = await Effect.runPromise(Inputs.survey(folder, plan, Tiny.profiles))
      const cache = { folder: scratch(), atMostBytes: 20_000, inputs: undefined }
      await on(
        place,
        Effect.andThen(
          Inputs.keep(
            manifest.files.map(({ path: name, sha256, bytes }) => ({
              path: name,
              sha256,
              bytes,
              source: sources.get(name)!
            })),
            undefined
          ),
          Inputs.materialise(manifest.files, made, cache)
        )
      )
      for (const name of ["models/tiny.onnx", "data/x.npy", "boards/mine.json"])
        expect(fs.readFileSync(path.join(made, name)).equals(fs.readFileSync(path.join(root, name)))).toBe(
          true
        )
      const held = fs.readdirSync(cache.folder).map((name) => fs.statSync(path.join(cache.folder, name)).size)
      expect(held.length).toBeGreaterThan(0)
      expect(held.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(20_000)
    })

    it("mends a cached file that was changed, and never leads out of itself", async () => {
      const { folder, plan } = await laboratory()
      const [place, made] = [await fresh(), scratch()]
      const { manifest, sources } = await Effect.runPromise(Inputs.survey(folder, plan, Tiny.profiles))
      const cache = { folder: scratch(), atMostBytes: 1e9, inputs: undefined }
      const [first] = manifest.files
      fs.writeFileSync(path.join(cache.folder, first!.sha256), "changed")
      const kept = [{ ...first!, source: sources.get(first!.path)! }]
      await on(place, Effect.andThen(Inputs.keep(kept, undefined), Inputs.materialise([first!], made, cache)))
      const digest = await Effect.runPromise(Inputs.digestOf(path.join(made, first!.path)))
      expect(digest).toBe(first!.sha256)
      const outside = await on(
        place,
        Effect.flip(Inputs.materialise([{ ...first!, path: "../out" }], made, cache))
      )
      expect(outside.message).toContain("leads out of its folder")
    })
  }
)

it("outputs that are there already are those of the recorded content, not of the name alone", async () => {
  const folder = scratch()
  const kept = (name: string, content: string) => ({
    path: name,
    sha256: createHash("sha256").update(content).digest("hex"),
    bytes: content.length
  })
  for (const [name, content] of [
    ["same", "1"],
    ["other", "2"],
    ["longer", "33"]
  ] as const)
    fs.writeFileSync(path.join(folder, name), content)
  fs.mkdirSync(path.join(folder, "folder"))
  const files = "same other longer folder missing".split(" ").map((name) => kept(name, "1"))
  const lacking = await Effect.runPromise(Inputs.lacking(files, folder))
  expect(lacking.map((file) => file.path)).toEqual(["other", "longer", "folder", "missing"])
})

it("a worker removes folders of workers that died on its machine, and of no other", async () => {
  const cache = scratch()
  const dead = spawnSync(process.execPath, ["--version"]).pid
  const left = [
    `${hostname()}.${process.ppid}.aaaaaa`,
    `${hostname()}.b.${dead}.aaaaaa`,
    `elsewhere.${dead}.aaaaaa`
  ]
  for (const name of [...left, `${hostname()}.${dead}.aaaaaa`])
    fs.mkdirSync(path.join(cache, "workers", name), { recursive: true })
  const names = () => fs.readdirSync(path.join(cache, "workers")).toSorted()
  await Effect.gen(function* () {
    const own = path.basename(yield* ownFolder(cache))
    expect(names()).toEqual([...left, own].toSorted())
  }).pipe(Effect.scoped, Effect.runPromise)
  expect(names()).toEqual(left.toSorted())
})

it("a server that cannot do it is refused with its version", () => {
  expect(tooOld("postgres://db/x", 110_022)?.message).toMatch(
    /need PostgreSQL 12 or newer, and the server is 11/
  )
  expect(tooOld("postgres://db/x", 120_000)).toBeUndefined()
})

/** Sweeps: expansion, shards, and what a second pass finds. */
import { Effect } from "effect"
import * as fc from "fast-check"
import { writeFileSync } from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Sweep } from "../src/index.ts"
import * as Tiny from "./tiny.ts"

const plan: Sweep.SweepPlan = {
  models: ["tiny.onnx"],
  devices: ["generic-45nm", "gap9"],
  data: "x.npy,y.npy",
  budgets: [["size<=75%"], ["size<=1%"]],
  weights: ["w4,w8"],
  samples: 18
}

describe("cells", () => {
  it("are all combinations, under keys that depend on their content alone", () => {
    const cells = Sweep.cellsOf({ ...plan, seeds: [0, 1, 2] })
    expect(cells).toHaveLength(12)
    expect(new Set(cells.map(({ key }) => key)).size).toBe(12)
    const turned = Sweep.cellsOf({ ...plan, seeds: [2, 1, 0], devices: ["gap9", "generic-45nm"] })
    expect(new Set(turned.map(({ key }) => key))).toEqual(new Set(cells.map(({ key }) => key)))
  })

  it("shards of any number share them out", () => {
    const cells = Sweep.cellsOf({ ...plan, seeds: [0, 1, 2, 3, 4] })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), (of) => {
        const shards = Array.from({ length: of }, (_, i) => Sweep.shardOf(cells, { index: i + 1, of }))
        expect(
          shards
            .flat()
            .map(({ key }) => key)
            .toSorted()
        ).toEqual(cells.map(({ key }) => key).toSorted())
        const sizes = shards.map(({ length }) => length)
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      })
    )
  })

  it("shards are written n/m", () => {
    expect(Sweep.parseShard("3/16")).toEqual({ index: 3, of: 16 })
    for (const text of ["0/4", "5/4", "1", "1/", "a/b", "1/0", "-1/3"])
      expect(Sweep.parseShard(text)).toBeUndefined()
  })
})

it("runs what the store lacks; a cell that cannot be met is told, and the others go on", async () => {
  const dir = await Tiny.folder()
  writeFileSync(path.join(dir, "plan.json"), JSON.stringify(plan))
  const pass = () =>
    Tiny.withStore(
      dir,
      Effect.gen(function* () {
        const read = yield* Sweep.read(dir)
        const setting = { ...read, profiles: Tiny.profiles, out: path.join(dir, "out"), threads: 1 }
        return yield* Sweep.run(Sweep.cellsOf(read.plan), setting, 1, () => Effect.void)
      })
    )
  const first = await pass()
  expect(first.map(({ status }) => status)).toEqual(["done", "failed", "done", "failed"])
  expect(first[1]!.why).toContain("cannot be met")
  const second = await pass()
  expect(second.map(({ status }) => status)).toEqual(["found", "failed", "found", "failed"])
  expect(second.map(({ run }) => run)).toEqual(first.map(({ run }) => run))
})

it("a plan with a misspelt field is refused by name", async () => {
  const dir = await Tiny.folder()
  writeFileSync(path.join(dir, "plan.json"), JSON.stringify({ ...plan, device: ["gap9"] }))
  const message = await Effect.runPromise(Effect.map(Effect.flip(Sweep.read(dir)), (error) => error.message))
  expect(message).toContain("plan.json")
  expect(message).toContain("device")
})

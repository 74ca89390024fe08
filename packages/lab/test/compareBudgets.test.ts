/** `compare --budgets`: each device's best plan under its own budgets, as `search` finds it, or why it has none. */
import { Effect } from "effect"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Tasks } from "../src/index.ts"
import { budgets, search } from "./searching.ts"
import * as Tiny from "./tiny.ts"

const compare = (dir: string, devices: ReadonlyArray<string>, texts: ReadonlyArray<string>) =>
  Tasks.compareBudgets({
    model: path.join(dir, "tiny.onnx"),
    data: `${path.join(dir, "x.npy")},${path.join(dir, "y.npy")}`,
    devices,
    profiles: Tiny.profiles,
    budgets: texts,
    seed: 0,
    threads: 1,
    out: path.join(dir, "devices")
  })

describe("compare --budgets", () => {
  it("gives what a search for each device gives, and says why a device has no plan", async () => {
    const dir = await Tiny.folder()
    const { rows } = await Tiny.withStore(
      dir,
      compare(dir, ["gap9", "generic-45nm"], ["gap9: size<=60%", "generic-45nm: size<=1B"])
    )
    const [gap9, generic] = rows
    const alone = await Tiny.withStore(
      dir,
      search(dir, { budgets: budgets("size<=60%"), samples: undefined, out: path.join(dir, "alone") }, "gap9")
    )
    expect(gap9!.search!.run).toBe(alone.run)
    expect(gap9!.search!.measured).toEqual(alone.measured)
    expect(gap9!.latencyMs).toBeCloseTo(alone.predicted.latencyMs, 12)
    expect(gap9!.modelBytes).toBe(alone.fileBytes)
    expect(generic!.latencyMs).toBeNull()
    expect(generic!.why).toMatch(/size<=1B/)
  })

  it("refuses budgets of devices that are not compared, devices without one, and words that are none", async () => {
    const dir = await Tiny.folder()
    const refused = (devices: ReadonlyArray<string>, ...texts: ReadonlyArray<string>) =>
      Tiny.withStore(
        dir,
        Effect.map(Effect.flip(compare(dir, devices, texts)), ({ message }) => message)
      )
    expect(await refused(["gap9"], "max78000: size<=60%")).toMatch(/none of the devices compared/)
    expect(await refused(["gap9", "generic-45nm"], "gap9: size<=60%")).toMatch(/generic-45nm has no budget/)
    expect(await refused(["gap9"], "speed<=60%")).toMatch(/"speed" is not one of/)
    expect(await refused(["gap9", "gap9"], "size<=60%")).toMatch(/gap9 twice/)
  })
})

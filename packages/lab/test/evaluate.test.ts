/** `evaluate` as it looks into a plan: what changes sides, and which layer brings which error. */
import { Effect } from "effect"
import { writeFileSync } from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Tasks } from "../src/index.ts"
import * as Tiny from "./tiny.ts"

const evaluate = (dir: string, plan: string, metrics?: ReadonlyArray<string>) =>
  Effect.runPromise(
    Tasks.evaluate({
      metrics,
      model: path.join(dir, "tiny.onnx"),
      data: `${path.join(dir, "x.npy")},${path.join(dir, "y.npy")}`,
      plan,
      samples: undefined,
      threads: 1,
      recipe: "plain",
      explain: true
    }).pipe(
      Effect.provide(Tasks.Progress.layer({ sink: process.stderr, environment: process.env, quiet: true }))
    )
  )

it("gives the metrics that are asked for, of the plan and of the float network, and names those there are", async () => {
  const dir = await Tiny.folder()
  const { float, metrics } = await evaluate(dir, "w4a8", ["loss", "top1"])
  expect(Object.keys(metrics)).toEqual(["loss", "top1"])
  expect(Object.keys(float!)).toEqual(["loss", "top1"])
  await expect(evaluate(dir, "w4a8", ["top1", "accuracy"])).rejects.toThrow(
    /--metrics top1,accuracy: "accuracy" is none of .*top1/
  )
  // Before anything is run, and by what the labels are.
  await expect(evaluate(dir, "w4a8", ["constructor"])).rejects.toThrow(/"constructor" is none of/)
  await expect(evaluate(dir, "w4a8", ["psnrDb"])).rejects.toThrow(/psnrDb cannot be measured/)
})

describe("a plan looked into", () => {
  it("counts the targets that change sides as the accuracies do", async () => {
    const dir = await Tiny.folder()
    const { flips, float, metrics, n, agreement } = await evaluate(dir, "w2a8")
    const { changed, classes, onlyFloat, onlyPlan, pairs, pValue, samples } = flips!
    expect(changed).toBeGreaterThan(0)
    expect(onlyFloat - onlyPlan).toBeCloseTo(n * (float!["top1"]!.value - metrics["top1"]!.value), 9)
    expect(changed).toBe(Math.round(n * (1 - agreement!.withFloat!.value)))
    const total = (of: ReadonlyArray<number>) => of.reduce((a, b) => a + b, 0)
    expect(total(classes.map(({ lost }) => lost))).toBe(onlyFloat)
    expect(total(classes.map(({ won }) => won))).toBe(onlyPlan)
    expect(total(pairs.map((pair) => pair.n))).toBe(changed)
    expect(samples.length).toBe(Math.min(20, changed))
    expect(pValue).toBeGreaterThan(0)
    expect(pValue).toBeLessThanOrEqual(1)
  })

  it("a layer rounded alone inherits nothing; behind a rounded layer others inherit what it brings", async () => {
    const dir = await Tiny.folder()
    const plan = path.join(dir, "stem.json")
    writeFileSync(plan, JSON.stringify({ version: 2, layers: { stem: "w2a8" } }))
    const [stem, ...others] = (await evaluate(dir, plan)).layers!
    expect(stem).toMatchObject({ id: "stem", inherited: 0, growth: 1, clipped: null })
    expect(stem!.injected).toBeGreaterThan(0.01)
    for (const { injected, inherited } of others) {
      expect(injected).toBeLessThan(1e-9)
      expect(inherited).toBeGreaterThan(1e-4)
    }
    // A channel of the stem has 18 weights, which can take no more of 65,536 values than that; of four they take most.
    const wide = (await evaluate(dir, "w16a8")).layers!
    expect(wide[0]!.unused).toBeGreaterThan(1 - 18 / 2 ** 16 - 1e-9)
    const all = (await evaluate(dir, "w2a8")).layers!
    expect(all[0]!.unused).toBeLessThan(0.5)
    for (const { channelSpread, clipped, growth } of all.slice(1)) {
      expect(growth).toBeGreaterThan(1)
      expect(clipped).toBeGreaterThanOrEqual(0)
      expect(channelSpread).toBeGreaterThanOrEqual(1)
    }
  })
})

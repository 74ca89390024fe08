/** `evaluate` as it looks into a plan: what changes sides, and which layer brings which error. */
import { Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { file, FLOAT, FLOAT16, info, keptOutside, op, type Parts } from "../../graph/test/onnx.ts"
import { npy, npz } from "../../runtime/test/support/files.ts"
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

it("computes a plan in integers, which few predictions notice, and says what no plan has codes for", async () => {
  const dir = await Tiny.folder()
  const asked = (
    plan: string | undefined,
    arithmetic?: { accumulatorBits: number; multiplierBits: number }
  ) =>
    Effect.runPromise(
      Tasks.evaluate({
        model: path.join(dir, "tiny.onnx"),
        data: `${path.join(dir, "x.npy")},${path.join(dir, "y.npy")}`,
        plan,
        samples: undefined,
        threads: 1,
        recipe: "plain",
        arithmetic
      })
    )
  const usual = { accumulatorBits: 32, multiplierBits: 31 }
  const [simulated, integer] = [await asked("w8a8"), await asked("w8a8", usual)]
  expect(Math.abs(integer.metrics["top1"]!.value - simulated.metrics["top1"]!.value)).toBeLessThan(0.04)
  expect(integer.metrics["loss"]!.value).not.toBe(simulated.metrics["loss"]!.value)
  expect(integer.notes.filter((note) => /float, since|do not hold/.test(note))).toEqual([])
  // Sums of 216 products of 8 × 8 bits need some 23 bits; a register of 12 wraps, and nothing is right any more.
  const narrow = await asked("w8a8", { ...usual, accumulatorBits: 12 })
  expect(narrow.notes.join("\n")).toMatch(/body\/a: sums could reach .*which 12 bits do not hold/)
  expect(narrow.metrics["loss"]!.value).toBeGreaterThan(2 * simulated.metrics["loss"]!.value)
  expect((await asked("w8", usual)).notes.join("\n")).toMatch(/computed in float.*stem/)
  await expect(asked(undefined, usual)).rejects.toThrow(/about the codes of a plan: name one with --plan/)
})

describe("a file that is quantized already", () => {
  const weight = Tensor.tensor(
    "int8",
    [4, 3],
    Array.from({ length: 12 }, (_, i) => ((i * 37) % 255) - 127)
  )
  /** `y = x · dequantized weight`, with inputs and outputs of a type. */
  const network = (type: number): Parts => ({
    nodes: [
      op("DequantizeLinear", ["codes", "scale"], ["w"]),
      op("Cast", ["x"], ["floats"], { to: { int: FLOAT } }),
      op("MatMul", ["floats", "w"], ["product"], {}, { name: "product" }),
      op("Cast", ["product"], ["y"], { to: { int: type } })
    ],
    inputs: [info("x", ["N", 4], type)],
    outputs: [info("y", ["N", 3], type)],
    constants: { codes: weight, scale: Tensor.scalar("float32", 0.01) }
  })
  const evaluated = async (model: Uint8Array, external?: Uint8Array) => {
    const dir = mkdtempSync(path.join(tmpdir(), "bitbudget-quantized-"))
    writeFileSync(path.join(dir, "q.onnx"), model)
    if (external !== undefined) writeFileSync(path.join(dir, "q.bin"), external)
    // Multiples of a quarter are the same in 16 bits.
    const x = Float32Array.from({ length: 40 }, (_, i) => ((i * 7) % 11) / 4 - 1)
    const y = Int32Array.from({ length: 10 }, (_, i) => i % 3)
    writeFileSync(path.join(dir, "d.npz"), npz({ x: npy("<f4", [10, 4], x), y: npy("<i4", [10], y) }))
    return Effect.runPromise(
      Tasks.evaluate({
        model: path.join(dir, "q.onnx"),
        data: path.join(dir, "d.npz"),
        plan: undefined,
        samples: undefined,
        threads: 1
      }).pipe(
        Effect.provide(Tasks.Progress.layer({ sink: process.stderr, environment: process.env, quiet: true }))
      )
    )
  }

  it("is run as it is where a session of it can be fed, else as it is read, which is said", async () => {
    const plain = await evaluated(file(network(FLOAT)))
    expect(plain.notes.join()).not.toContain("not run as it is")
    const half = await evaluated(file(network(FLOAT16)))
    expect(half.notes.join()).toMatch(/q\.onnx is not run as it is, .* because x is no float32/)
    const outside = keptOutside("codes", "q.bin", network(FLOAT))
    expect(outside.content).toHaveLength(12)
    const external = await evaluated(outside.file, outside.content)
    expect(external.notes.join()).toMatch(/because it keeps weights in other files/)
    for (const { metrics } of [half, external]) expect(metrics["top1"]).toEqual(plain.metrics["top1"])
  })
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

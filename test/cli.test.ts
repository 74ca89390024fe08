/** The command line as a user meets it: the main job, its files, its store, and wrong requests. */
import { Data, Evaluate, Session } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { root, run } from "./bitbudget.ts"

const model = path.join(root, "experiments/models/resnet8.onnx")
const data = path.join(root, "experiments/data/fashion-mnist/fashion-mnist.json")
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-cli-"))
const db = path.join(folder, "runs.db")

const golden = JSON.parse(
  fs.readFileSync(path.join(root, "test/goldens/models/resnet8.fakequant.json"), "utf8")
)

describe("search", () => {
  const out = path.join(folder, "out")
  const request = [
    ...["search", model, "--device", "generic-45nm", "--data", data, "--samples", "512", "--recipe", "plain"],
    ...["--budget", "size<=65%", "--budget", "latency<=95%", "--out", out, "--db", db, "--json", "--quiet"]
  ]
  const first = run(...request)
  const result = JSON.parse(first.out || "{}")

  it("keeps every budget and proves its choice", () => {
    expect(first.error).toBe("")
    expect(first.code).toBe(0)
    for (const budget of result.budgets) expect(budget.value).toBeLessThanOrEqual(budget.limit)
    expect(result.certificate.optimal).toBe(true)
  })

  it("measures the baselines as PyTorch does, within 0.15 points", () => {
    const top1 = (name: string) =>
      result.baselines.find((b: { name: string }) => b.name === name).measured.top1.value
    expect(Math.abs(top1("f32") - golden.fp32.accuracy)).toBeLessThan(0.0015)
    expect(Math.abs(top1("w8a8") - golden.weights_and_activations.W8A8.accuracy)).toBeLessThan(0.0015)
    expect(Math.abs(top1("w4a8") - golden.weights_and_activations.W4A8.accuracy)).toBeLessThan(0.0015)
  })

  it("writes a file of the predicted size that computes what was measured", async () => {
    const bytes = fs.readFileSync(path.join(out, "mixed.onnx"))
    expect(Math.abs(bytes.byteLength / result.predicted.modelBytes - 1)).toBeLessThan(0.01)
    const packed = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const split = yield* (yield* Data.open(data)).split("test")
          return yield* Evaluate.run(yield* Session.make(bytes, { name: "mixed" }), split)
        })
      )
    )
    expect(Math.abs(packed.metrics.top1!.value - result.measured.top1.value)).toBeLessThan(0.0015)
  })

  it("finds the same run again, with the same answer", () => {
    const again = JSON.parse(run(...request).out)
    expect({ ...again, certificate: null }).toEqual({ ...result, certificate: null })
    expect(JSON.parse(run("runs", "list", "--db", db, "--json").out)).toHaveLength(1)
    expect(JSON.parse(run("runs", "show", result.run, "--db", db, "--json").out).layers).toHaveLength(10)
  })
})

describe("packing and simulating", () => {
  it("quantize: bytes as predicted, types as planned", () => {
    const file = path.join(folder, "w4.onnx")
    const result = JSON.parse(run("quantize", model, "--plan", "w4", "-o", file, "--json").out)
    expect(result.bytes).toBe(fs.statSync(file).size)
    expect(Math.abs(result.bytes / result.predictedBytes - 1)).toBeLessThan(0.01)
    expect(new Set(result.layers.map(({ dtype }: { dtype: string }) => dtype))).toEqual(new Set(["int4"]))
  })

  it("one size: simulate, compare and quantize say what the written file has", () => {
    const file = path.join(folder, "mixed-by-hand.onnx")
    const plan = path.join(folder, "by-hand.json")
    fs.writeFileSync(plan, JSON.stringify({ version: 2, default: "w8", layers: { "*layer3*": "w4" } }))
    const written = JSON.parse(run("quantize", model, "--plan", plan, "-o", file, "--json").out)
    expect(written.bytes).toBe(fs.statSync(file).size)
    const device = "generic-7nm"
    const { totals, notes } = JSON.parse(
      run("simulate", model, "--device", device, "--plan", plan, "--json").out
    )
    expect(totals.modelBytes).toBe(written.predictedBytes)
    expect(notes[0]).toMatch(/names 3 of 10 layers; the other 7 take w8/)
    const { rows } = JSON.parse(run("compare", model, "--devices", device, "--plans", plan, "--json").out)
    expect(rows[0].modelBytes).toBe(written.predictedBytes)
  })

  it("a plan means the same to simulate and to quantize: layers it does not name stay float", () => {
    const plan = path.join(folder, "some.json")
    fs.writeFileSync(plan, JSON.stringify({ version: 2, layers: { "*layer3*": "w4a8" } }))
    const { layers } = JSON.parse(
      run("quantize", model, "--plan", plan, "--data", data, "-o", path.join(folder, "some.onnx"), "--json")
        .out
    )
    expect(layers.filter(({ choice }: { choice: string }) => choice === "f32")).toHaveLength(7)
    const simulated = JSON.parse(
      run("simulate", model, "--device", "nvidia-t4", "--plan", plan, "--json").out
    )
    const bits = simulated.layers.filter(
      ({ weightBits }: { weightBits: number | null }) => weightBits !== null
    )
    expect(bits.filter(({ weightBits }: { weightBits: number }) => weightBits === 32)).toHaveLength(7)
  })

  it("the float reference of a search is the float network that simulate knows", () => {
    const { totals } = JSON.parse(
      run("simulate", model, "--device", "generic-45nm", "--plan", "f32", "--json").out
    )
    const args = [
      "search",
      model,
      "--device",
      "generic-45nm",
      "--data",
      data,
      "--samples",
      "64",
      "--db",
      db,
      "--out",
      folder
    ]
    const found = JSON.parse(run(...args, "--budget", "latency<=90%f32", "--json", "--quiet").out)
    expect(found.budgets[0].limit).toBeCloseTo(0.9 * totals.latencyMs, 12)
    const float = found.baselines.find(({ name }: { name: string }) => name === "f32")
    expect(float.predicted.latencyMs).toBe(totals.latencyMs)
    expect(float.predicted.energyMj).toBe(totals.energyMj)
  })

  it("simulate: totals are the sums of the parts", () => {
    const { totals, layers } = JSON.parse(run("simulate", model, "--device", "generic-45nm", "--json").out)
    const energyPj = layers.reduce(
      (sum: number, { energyPj }: { energyPj: { total: number } }) => sum + energyPj.total,
      0
    )
    expect(totals.energyMj).toBeCloseTo(energyPj / 1e9, 12)
  })
})

describe("wrong requests end with one clear message", () => {
  const base = [
    "search",
    model,
    "--device",
    "generic-45nm",
    "--data",
    data,
    "--db",
    db,
    "--quiet",
    "--out",
    folder
  ]
  const cases: ReadonlyArray<readonly [string, number, RegExp, ReadonlyArray<string>]> = [
    ["no such model", 1, /none\.onnx.*no such file/, ["inspect", "none.onnx"]],
    ["misspelt device", 1, /Did you mean generic-45nm/, ["simulate", model, "--device", "generic-45m"]],
    ["decibels to minimise", 1, /--metric/, [...base, "--budget", "size<=65%", "--metric", "outputSqnrDb"]],
    ["misspelt budget", 1, /"latncy" is not one of/, [...base, "--budget", "latncy<=1ms"]],
    ["budget without unit", 1, /latency needs a unit/, [...base, "--budget", "latency<=1"]],
    ["impossible budgets", 2, /cannot be met/, [...base, "--samples", "64", "--budget", "size<=1KB"]],
    [
      "an activation width that is none",
      1,
      /"a17" is not a format/,
      [...base, "--budget", "size<=65%", "--activation-bits", "17"]
    ],
    [
      "a pattern that matches nothing",
      1,
      /no layer matches "tail\*"/,
      [...base, "--budget", "size<=65%", "--lock", "tail*=w8a8"]
    ],
    [
      "a lock without a format",
      1,
      /write a pattern, "=" and one format/,
      [...base, "--budget", "size<=65%", "--lock", "head"]
    ],
    [
      "energy on a device without figures",
      1,
      /no figure for energy/,
      [...base.with(3, "systolic-8x8-ws"), "--budget", "energy<=65%"]
    ],
    [
      "a register without integers",
      1,
      /--accumulator-bits and --multiplier-bits are of integers: add --arithmetic integer/,
      ["evaluate", model, "--data", data, "--plan", "w8a8", "--accumulator-bits", "16"]
    ],
    [
      "a register that no integer arithmetic has",
      1,
      /a whole number from 8 to 32/,
      [
        "evaluate",
        model,
        "--data",
        data,
        "--plan",
        "w8a8",
        "--arithmetic",
        "integer",
        "--accumulator-bits",
        "40"
      ]
    ],
    [
      "integers without a plan",
      1,
      /about the codes of a plan: name one with --plan/,
      ["evaluate", model, "--data", data, "--arithmetic", "integer"]
    ],
    ["no such data", 1, /none\.json/, ["evaluate", model, "--data", "none.json"]],
    [
      "unknown plan",
      1,
      /neither a format nor a \.json file; write for example w4a8/,
      ["quantize", model, "--plan", "w5x", "-o", path.join(folder, "x.onnx")]
    ],
    [
      "no data for activations",
      1,
      /add --data/,
      ["quantize", model, "--plan", "w4a8", "-o", path.join(folder, "x.onnx")]
    ],
    ["unwritable output", 1, /cannot be written/, ["quantize", model, "--plan", "w4", "-o", "/proc/x.onnx"]],
    ["a damaged database", 1, /database .*choose another/, ["runs", "list", "--db", model]],
    ["an unknown run", 1, /no run "zzz"/, ["runs", "show", "zzz", "--db", db]]
  ]
  it.each(cases)("%s", (_, code, message, args) => {
    const { code: ended, out, error } = run(...args)
    expect(error).toMatch(message)
    expect(ended).toBe(code)
    expect(out).toBe("")
    expect(error).not.toMatch(/^\s+at /m)
  })
})

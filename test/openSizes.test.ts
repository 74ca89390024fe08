/** Networks of any size: packed without being told one, calibrated at the samples' own, and open in the written file. */
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { expect, it } from "vitest"
import { npy, npz } from "../packages/runtime/test/support/files.ts"
import { root, run } from "./bitbudget.ts"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-open-"))
const model = path.join(root, "test/cases/open-sizes.onnx")
const at = (name: string) => path.join(folder, name)

/** Output of a file on a ramp of the given size. */
const outputOf = (file: string, height: number, width: number) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const session = yield* Session.make(fs.readFileSync(file), { name: file, threads: 1 })
        const shape = [2, 4, height, width]
        const count = shape.reduce((a, b) => a * b, 1)
        const data = Float32Array.from({ length: count }, (_, i) => Math.sin(i))
        const found = yield* session.run({ [session.inputs[0]!.name]: Value.make("float32", shape, data) })
        return Array.from(Object.values(found)[0]!.data, Number)
      })
    )
  )

const decibels = (exact: ReadonlyArray<number>, other: ReadonlyArray<number>): number => {
  const noise = exact.reduce((sum, x, i) => sum + (x - other[i]!) ** 2, 0)
  return 10 * Math.log10(exact.reduce((sum, x) => sum + x * x, 0) / noise)
}

const samples = Float32Array.from({ length: 12 * 4 * 16 * 20 }, (_, i) => Math.sin(1.3 * i))
fs.writeFileSync(at("x.npz"), npz({ x: npy("<f4", [12, 4, 16, 20], samples) }))

it("weights alone are packed without a size, and the file takes any", async () => {
  const { code, error, out } = run("quantize", model, "--plan", "w8", "-o", at("w8.onnx"), "--json")
  expect([code, error]).toEqual([0, ""])
  const { bytes, predictedBytes } = JSON.parse(out)
  expect(predictedBytes).toBe(bytes)
  for (const [height, width] of [
    [32, 48],
    [20, 16]
  ] as const)
    expect(
      decibels(await outputOf(model, height, width), await outputOf(at("w8.onnx"), height, width))
    ).toBeGreaterThan(30)
})

it("activations are calibrated at the samples' own size, given or not, and the file is the same", async () => {
  const pack = (out: string, ...more: ReadonlyArray<string>) => {
    const done = run(
      "quantize",
      model,
      "--plan",
      "w8a8",
      "--data",
      at("x.npz"),
      "-o",
      at(out),
      "--json",
      ...more
    )
    expect(done.code).toBe(0)
    return JSON.parse(done.out)
  }
  const found = pack("found.onnx")
  expect(found.predictedBytes).toBe(found.bytes)
  expect(found.notes.join("\n")).toMatch(/sizes are those of the samples: H=16, W=20/)
  pack("given.onnx", "--dim", "H=16", "--dim", "W=20")
  expect(fs.readFileSync(at("given.onnx"))).toEqual(fs.readFileSync(at("found.onnx")))
  expect(decibels(await outputOf(model, 24, 8), await outputOf(at("found.onnx"), 24, 8))).toBeGreaterThan(30)
})

it("evaluate and search take the size from the samples; the searched file is open too", async () => {
  const evaluated = run("evaluate", model, "--data", at("x.npz"), "--plan", "w8a8", "--json", "--quiet")
  expect(evaluated.code).toBe(0)
  expect(JSON.parse(evaluated.out).outputs[0].sqnrDb).toBeGreaterThan(30)
  const searched = run(
    ...["search", model, "--device", "generic-45nm", "--data", at("x.npz"), "--budget", "size<=99%"],
    ...["--samples", "4", "--out", at("out"), "--db", at("runs.db"), "--json", "--quiet"]
  )
  expect(searched.error).toBe("")
  const { fileBytes, predicted } = JSON.parse(searched.out)
  expect(predicted.modelBytes).toBe(fileBytes)
  const compared = run(
    ...["compare", model, "--devices", "generic-45nm", "--data", at("x.npz"), "--budgets", "size<=99%"],
    ...["--out", at("devices"), "--db", at("runs.db"), "--json", "--quiet"]
  )
  expect(compared.error).toBe("")
  const [row] = JSON.parse(compared.out).rows
  expect(fs.statSync(at("devices/generic-45nm/mixed.onnx")).size).toBe(row.modelBytes)
  expect((await outputOf(at("out/mixed.onnx"), 12, 28)).length).toBe((await outputOf(model, 12, 28)).length)
})

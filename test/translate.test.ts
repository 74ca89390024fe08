/** `translate` as a user meets it: a plan to a tool's document and back. */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { expect, it } from "vitest"
import { root, run } from "./bitbudget.ts"

const model = path.join(root, "experiments/models/resnet8.onnx")
const data = path.join(root, "experiments/data/fashion-mnist/fashion-mnist.json")
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-translate-"))
const file = (name: string) => path.join(folder, name)

it("goes to AIMET's encodings and comes back as the same plan", () => {
  const there = ["translate", model, "--plan", "w4a8", "--data", data, "--calibration", "64", "--to", "aimet"]
  const written = JSON.parse(run(...there, "-o", file("encodings.json"), "--json").out)
  expect(written.layers.every(({ why }: { why: string | null }) => why === null)).toBe(true)
  const { param_encodings } = JSON.parse(fs.readFileSync(file("encodings.json"), "utf8"))
  expect(param_encodings).toHaveLength(10)
  expect(param_encodings[0].scale.length).toBeGreaterThan(1)
  run("translate", model, "--plan", file("encodings.json"), "--from", "aimet", "-o", file("plan.json"))
  const plan = JSON.parse(fs.readFileSync(file("plan.json"), "utf8"))
  expect(new Set(Object.values(plan.layers))).toEqual(new Set(["w4a8"]))
})

it("says what a tool cannot hold, and refuses what is incomplete, before anything is written", () => {
  const { layers } = JSON.parse(
    run("translate", model, "--plan", "w2a8", "--to", "tensorrt", "-o", file("flags.txt"), "--json").out
  )
  expect(layers[0]).toMatchObject({ asked: "w2a8", written: "w8a8", why: "its integers have 8 bits" })
  for (const [words, says] of [
    [["--plan", "w4a8", "--to", "aimet"], /come from data: add --data/],
    [["--plan", "w4a8"], /give --to or --from/],
    [["--plan", file("flags.txt"), "--from", "nncf"], /is not valid JSON/],
    [["--plan", file("none.json"), "--from", "nncf"], /none\.json/]
  ] as const) {
    const { code, error } = run("translate", model, ...words, "-o", file("nothing"))
    expect(code).toBe(1)
    expect(error).toMatch(says)
    expect(fs.existsSync(file("nothing"))).toBe(false)
  }
})

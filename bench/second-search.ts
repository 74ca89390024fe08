/**
 * How long a person waits who asks the same network for another budget: from the command to the proved plan on the screen,
 * after one whole search has filled the store. `node bench/second-search.ts [built]`: of the checkout, or of the built package.
 */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const command = path.join(
  root,
  process.argv[2] === "built" ? "packages/bitbudget/dist/command/main.js" : "packages/cli/src/main.ts"
)
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-second-"))

const search = (model: string, device: string, percent: number) => {
  const words = ["search", path.join(root, "experiments/models", model), "--device", device]
  return spawn(process.execPath, [
    command,
    ...words,
    ...["--data", path.join(root, "experiments/data/fashion-mnist/fashion-mnist.json")],
    ...["--budget", `size<=${percent}%`, "--budget", "latency<=95%", "--weights", "w2,w4,w8"],
    ...["--out", path.join(folder, "out"), "--db", path.join(folder, "runs.db"), "--quiet"]
  ])
}

const whole = (model: string, device: string, percent: number): Promise<number> => {
  const start = performance.now()
  const child = search(model, device, percent)
  child.stdout.resume()
  return new Promise((resolve, reject) =>
    child.on("exit", (code) =>
      code === 0
        ? resolve((performance.now() - start) / 1e3)
        : reject(new Error(`the search ended with ${code}: ${String(child.stderr.read())}`))
    )
  )
}

/** Seconds until the first line of the plan; the rest of the search is not waited for. */
const untilPlan = (model: string, device: string, percent: number): Promise<number> => {
  const start = performance.now()
  const child = search(model, device, percent)
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the search ended with ${code} before it had a plan`)))
    child.stdout.once("data", () => {
      const seconds = (performance.now() - start) / 1e3
      child.removeAllListeners("exit").once("exit", () => resolve(seconds))
      child.kill("SIGINT")
    })
  })
}
process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true }))

for (const [model, device] of [
  ["resnet8.onnx", "generic-45nm"],
  ["dscnn.onnx", "gap9"]
] as const) {
  const first = await whole(model, device, 85)
  const waits = []
  for (const percent of [82, 79, 76, 73, 70]) waits.push(await untilPlan(model, device, percent))
  const shown = waits.map((seconds) => seconds.toFixed(2)).join(", ")
  console.log(
    `${model} on ${device}: first search ${first.toFixed(1)} s; other budgets' plans after ${shown} s`
  )
}

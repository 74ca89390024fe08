/**
 * What packed files cost at run time in ONNX Runtime on this machine: bytes and microseconds an image, one thread, next to
 * the float file and to the file of ONNX Runtime's own static quantizer.
 *
 * With them the share of 2,000 test images that the file gives the class which its simulation gives. Files take turns, so that a machine that slows down slows all of them; the least time of each counts. The reference
 * needs a Python with onnx and onnxruntime and is left out where there is none.
 *
 * `PYTHON=/path/to/python3 node bench/deployed.ts [--networks resnet8,dscnn]`
 */
import { Model } from "@bitbudget/graph"
import { Choice, extremesOver, FakeQuant, Pack, PlanFile, QuantizedNetwork } from "@bitbudget/quant"
import { Data, Evaluate, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { calibrationOf } from "./quantizers/calibration.ts"

const { values: flags } = parseArgs({
  options: {
    networks: { type: "string", default: "resnet8,dscnn" },
    choices: { type: "string", default: "w8a8,w4a8,w3a8,w2a8,w4.asym a8,w4,w8a4" },
    turns: { type: "string", default: "200" }
  }
})
const BATCH = 4
const here = (path: string) => new URL(`../experiments/${path}`, import.meta.url).pathname

/** The file that ONNX Runtime's quantizer writes, or why there is none. */
const reference = (
  model: string,
  samples: Float32Array,
  shape: ReadonlyArray<number>
): Uint8Array | string => {
  const folder = mkdtempSync(join(tmpdir(), "bitbudget-"))
  const [data, out] = [join(folder, "samples.f32"), join(folder, "out.onnx")]
  writeFileSync(data, samples)
  const script = new URL("quantizers/ort_static.py", import.meta.url).pathname
  const python = process.env["PYTHON"] ?? "python3"
  const run = spawnSync(python, [script, model, data, shape.join("x"), out], { encoding: "utf8" })
  if (run.status === 0) return readFileSync(out)
  return run.error?.message ?? run.stderr.trim().split("\n").at(-1) ?? "it failed"
}

const AGREEMENT = 2000

const predictedBy = (bytes: Uint8Array, split: Data.Split) =>
  Effect.map(
    Evaluate.run(bytes, split, { limit: AGREEMENT }),
    ({ classification }) => classification!.predicted
  )

const rowsOf = (name: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const file = here(`models/${name}.onnx`)
      const { graph } = yield* Model.read(file)
      const dataset = yield* Data.open(here("data/fashion-mnist/fashion-mnist.json"))
      const split = yield* dataset.split("calibration")
      const test = yield* dataset.split("test")
      const same = new Map<string, number>()
      const calibration = yield* calibrationOf(split, { samples: 256, batchSize: 64 })
      const ranges = yield* extremesOver(graph, calibration)
      const { inputs } = yield* split.batch(0, 256)
      const samples = inputs.data as Float32Array
      const files = new Map<string, Uint8Array>([["float", readFileSync(file)]])
      const made = reference(file, samples, inputs.shape)
      if (typeof made === "string") console.log(`ONNX Runtime's quantizer left out: ${made}`)
      else files.set("ONNX Runtime's static quantizer", made)
      for (const text of flags.choices.split(",")) {
        const choices = PlanFile.uniform(graph, Choice.parse(text)!)
        const network = QuantizedNetwork.plain(graph, choices, ranges)
        files.set(text, Pack.write(network))
        const [simulated, computed] = [
          yield* predictedBy(Model.encode(FakeQuant.simulate(network)), test),
          yield* predictedBy(Pack.write(network), test)
        ]
        same.set(text, simulated.filter((label, i) => label === computed[i]).length)
      }
      const shape = [BATCH, ...inputs.shape.slice(1)]
      const length = shape.reduce((a, b) => a * b, 1)
      const feed = { [graph.inputs[0]!.name]: Value.float32(shape, samples.slice(0, length)) }
      const sessions: Array<{ readonly label: string; readonly session: Session.Session; best: number }> = []
      for (const [label, bytes] of files)
        sessions.push({
          label,
          session: yield* Session.make(bytes, { threads: 1 }),
          best: Number.POSITIVE_INFINITY
        })
      for (let turn = 0; turn < Number(flags.turns); turn++)
        for (const row of sessions) {
          const start = performance.now()
          yield* row.session.run(feed)
          row.best = Math.min(row.best, performance.now() - start)
        }
      const against = sessions[1]!.label === "ONNX Runtime's static quantizer" ? sessions[1]!.best : undefined
      for (const { label, best } of sessions) {
        const microseconds = ((1000 * best) / BATCH).toFixed(0)
        const ratio = against === undefined ? "" : (best / against).toFixed(2)
        console.log(
          `| ${name} | ${label} | ${files.get(label)!.byteLength} | ${microseconds} | ${ratio} | ${same.get(label) ?? ""} |`
        )
      }
    })
  )

console.log("| network | file | bytes | µs an image | times the reference | of 2,000 as simulated |")
console.log("|---|---|---|---|---|---|")
for (const name of flags.networks.split(",")) await Effect.runPromise(rowsOf(name))

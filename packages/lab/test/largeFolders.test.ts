/** Model folders whose matrices stay in their files: what is packed layer by layer is what is packed at once. */
import { Layer, Model, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as ort from "onnxruntime-node"
import { describe, expect, it } from "vitest"
import { Tasks } from "../src/index.ts"

const folders = path.join(import.meta.dirname, "../../runtime/test/goldens/folders")
const out = fs.mkdtempSync(path.join(tmpdir(), "large-"))
const read = (folder: string, options: Model.ReadOptions) =>
  Effect.runPromise(Model.read(path.join(folders, folder), options))

interface Asked {
  readonly folder: string
  readonly plan: string
  readonly target: "onnx" | "matmulnbits"
  readonly kept: boolean
}

const quantized = async ({ folder, plan, target, kept }: Asked) => {
  const file = path.join(out, `${folder}-${plan}-${target}-${kept}.onnx`)
  const result = await Effect.runPromise(
    Tasks.quantize({
      model: path.join(folders, folder),
      reading: kept ? { holdUpTo: 0 } : {},
      plan,
      data: undefined,
      target: { name: target },
      out: file
    })
  )
  return { file, result }
}

/** Logits of ONNX Runtime, which finds a file's weights itself. */
const logitsOf = async (file: string) => {
  const session = await ort.InferenceSession.create(file)
  const ids = new ort.Tensor("int64", BigInt64Array.from([3n, 1n, 4n, 1n, 5n, 9n]), [1, 6])
  const { logits } = await session.run({ input_ids: ids })
  return Array.from(logits!.data as Float32Array)
}

describe("a folder too large to be held", () => {
  it.each(["llama", "qwen2", "phi3", "gemma"])("%s has the weights that it has when held", async (folder) => {
    const held = await read(folder, { keepOpen: true })
    const kept = await read(folder, { keepOpen: true, holdUpTo: 0 })
    expect([Model.tooLargeToHold(held), Model.tooLargeToHold(kept) !== undefined]).toEqual([undefined, true])
    const layers = Layer.layersOf(kept.graph)
    expect(layers.map(({ id }) => id)).toEqual(Layer.layersOf(held.graph).map(({ id }) => id))
    for (const { weight } of layers) expect(Tensor.isKept(kept.graph.constants.get(weight)!.data)).toBe(true)
    for (const [name, constant] of held.graph.constants)
      expect(Tensor.values(kept.graph.constants.get(name)!)).toEqual(Tensor.values(constant))
  })

  it.each([
    ["llama", "w4.g16", "onnx"],
    ["llama", "w4.g16", "matmulnbits"],
    ["llama", "w4.g16.asym", "matmulnbits"],
    ["qwen2", "w3.g32.asym", "onnx"],
    ["phi3", "wnf4.g32", "onnx"],
    ["smollm", "w8", "onnx"],
    ["llama", "wf16", "onnx"],
    ["gemma", "wmxe2m1", "onnx"]
  ] as const)(
    "%s in %s for %s: the file computes what the one packed at once does",
    async (folder, plan, target) => {
      const whole = await quantized({ folder, plan, target, kept: false })
      const parts = await quantized({ folder, plan, target, kept: true })
      const beside = `${parts.file}.data`
      expect(fs.existsSync(`${whole.file}.data`)).toBe(false)
      expect(await logitsOf(parts.file)).toEqual(await logitsOf(whole.file))
      expect(parts.result.layers).toEqual(whole.result.layers)
      expect(parts.result.bytes).toBe(fs.statSync(parts.file).size + fs.statSync(beside).size)
      expect(parts.result.predictedBytes).toBe(whole.result.bytes)
      const [a, b] = await Promise.all(
        [whole, parts].map(({ file }) => Effect.runPromise(Model.read(file, { keepOpen: true })))
      )
      expect([...b!.graph.constants]).toEqual([...a!.graph.constants])
    }
  )

  it("tells what the work will take before it begins, and of a held one nothing", async () => {
    const told = async (reading: Model.ReadOptions) => {
      const said: Array<string> = []
      const file = path.join(out, "told.onnx")
      fs.rmSync(file, { force: true })
      const model = path.join(folders, "llama")
      await Effect.runPromise(
        Tasks.quantize({ model, reading, plan: "w4.g16", data: undefined, out: file }, (text) =>
          Effect.sync(() => {
            expect(fs.existsSync(file)).toBe(false)
            said.push(text)
          })
        )
      )
      return said
    }
    expect(await told({})).toEqual([])
    // Two blocks: q and o 32 × 32, k and v 16 × 32, three matrices of 40 × 32; the head 48 × 32.
    const weights = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 40 * 32) + 48 * 32
    expect(await told({ holdUpTo: 0 })).toEqual([
      expect.stringMatching(
        new RegExp(
          `^${weights} weights are packed one matrix at a time: about \\d+ min, and at most about 0.3 GiB`
        )
      )
    ])
  })

  it("knows two networks apart by one weight, and refuses what is no number", async () => {
    const copy = path.join(out, "copy")
    fs.cpSync(path.join(folders, "llama"), copy, { recursive: true })
    const file = path.join(copy, "model.safetensors")
    const bytes = fs.readFileSync(file)
    const survey = () =>
      Effect.runPromise(Model.read(copy, { keepOpen: true, holdUpTo: 0 }).pipe(Effect.flip))
    const before = await Effect.runPromise(Model.read(copy, { keepOpen: true, holdUpTo: 0 }))
    const last = bytes.length - 4
    bytes.writeFloatLE(bytes.readFloatLE(last) + 1, last)
    fs.writeFileSync(file, bytes)
    const after = await Effect.runPromise(Model.read(copy, { keepOpen: true, holdUpTo: 0 }))
    expect(after.sha256).not.toBe(before.sha256)
    bytes.writeFloatLE(Number.NEGATIVE_INFINITY, last)
    fs.writeFileSync(file, bytes)
    const refused = await survey()
    expect(refused.message).toMatch(/tensor \S+ holds an infinite value or no number at element \d+/)
  })

  it("is not run: what asks data of it is refused, with what takes it", async () => {
    const data = path.join(out, "a.txt")
    fs.writeFileSync(data, "a text of some windows")
    const refused = await Effect.runPromise(
      Tasks.evaluate({
        model: path.join(folders, "llama"),
        reading: { holdUpTo: 0 },
        data,
        plan: undefined,
        recipe: undefined,
        text: { window: 4 },
        samples: undefined,
        threads: 1
      }).pipe(
        Effect.provide(Tasks.Progress.layer({ sink: process.stderr, environment: {}, quiet: true })),
        Effect.flip
      )
    )
    expect(refused.message).toMatch(/its weights take \d+ bytes in float32.*not run here.*fit and quantize/)
  })

  it("is not rounded by what it reads, nor by what needs data", async () => {
    const refusal = (plan: string, recipe?: "best") =>
      Effect.runPromise(
        Tasks.quantize({
          model: path.join(folders, "llama"),
          reading: { holdUpTo: 0 },
          plan,
          data: undefined,
          recipe,
          out: path.join(out, "never.onnx")
        }).pipe(
          Effect.flip,
          Effect.map(({ message }) => message)
        )
      )
    expect(await refusal("w4a8")).toContain("whose ranges come from data")
    expect(await refusal("w4", "best")).toContain("the recipe best learns from calibration samples")
    expect(fs.existsSync(path.join(out, "never.onnx"))).toBe(false)
  })
})

import { Effect, Fiber } from "effect"
import { readFileSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { Data, Evaluate, Progress, Session, Value } from "../src/index.ts"
import { idx, npy } from "./support/files.ts"
import { bytesOf, inFolder, messageOf, project, run } from "./support/run.ts"
import { tinyModel, unary } from "./support/tinyModel.ts"

const fashion = project("experiments/data/fashion-mnist/fashion-mnist.json")

const splitOf = (spec: string, name: Data.SplitName) =>
  Effect.flatMap(Data.open(spec), (dataset) => dataset.split(name))

interface Golden {
  readonly fp32: { readonly accuracy: number; readonly loss: number }
}

const goldenOf = (model: string): Golden["fp32"] => {
  const golden: Golden = JSON.parse(
    readFileSync(project(`test/goldens/models/${model}.fakequant.json`), "utf8")
  )
  return golden.fp32
}

describe("Evaluate.run on trained networks", () => {
  it("resnet8 on all 10,000 test images: PyTorch's accuracy exactly, its loss to 1e-6", async () => {
    const golden = goldenOf("resnet8")
    const { n, metrics } = await run(
      Effect.flatMap(splitOf(fashion, "test"), (split) =>
        Evaluate.run(bytesOf("experiments/models/resnet8.onnx"), split)
      )
    )
    expect(n).toBe(10000)
    expect(metrics.top1).toMatchObject({ value: golden.accuracy, n: 10000 })
    expect(metrics.loss!.value).toBeCloseTo(golden.loss, 6)
    expect(metrics.top1!.low).toBeLessThan(golden.accuracy)
    expect(metrics.top1!.high).toBeGreaterThan(golden.accuracy)
  })

  it("gives the same figures, bit for bit, for any batch size and number of threads", async () => {
    const split = await run(splitOf(fashion, "sensitivity"))
    const evaluate = (batchSize: number, threads: number) =>
      run(Evaluate.run(bytesOf("experiments/models/resnet8.onnx"), split, { batchSize, threads, limit: 200 }))
    const reference = await evaluate(64, 1)
    for (const [batchSize, threads] of [
      [200, 1],
      [7, 1],
      [33, 2]
    ] as const) {
      const other = await evaluate(batchSize, threads)
      expect(other.metrics).toEqual(reference.metrics)
      expect(other.classification).toEqual(reference.classification)
    }
  })

  it("chargpt on the golden batch: PyTorch's accuracy exactly, its loss to 1e-5, a prediction a token", async () => {
    const golden: { readonly loss_fp64: number; readonly accuracy_on_batch: number } = JSON.parse(
      readFileSync(project("test/goldens/models/chargpt.golden.json"), "utf8")
    )
    const rows = { kind: "text", file: "golden_16x129.u8", window: 128, layout: "rows" } as const
    const dataset = await run(
      Data.openDescribed({ version: 1, sources: { rows }, classes: 256 }, project("experiments/data/kjv"))
    )
    const { metrics } = await run(
      Evaluate.run(bytesOf("experiments/models/chargpt.onnx"), dataset.whole!, { batchSize: 5 })
    )
    expect(metrics.top1).toMatchObject({ value: golden.accuracy_on_batch, n: 16 * 128 })
    expect(metrics.loss).toMatchObject({ n: 16 })
    expect(metrics.loss!.value).toBeCloseTo(golden.loss_fp64, 5)
    expect(metrics.bitsPerToken!.value).toBeCloseTo(metrics.loss!.value / Math.LN2, 12)
  })
})

const write = (folder: string, x: Buffer, y?: Buffer) =>
  Effect.promise(async () => {
    await writeFile(join(folder, "x.npy"), x)
    if (y === undefined) return join(folder, "x.npy")
    await writeFile(join(folder, "y.npy"), y)
    return `${join(folder, "x.npy")},${join(folder, "y.npy")}`
  })

const wholeOf = (spec: Effect.Effect<string>) =>
  Effect.map(Effect.flatMap(spec, Data.open), ({ whole }) => whole!)

const logits = (rows: number) =>
  npy(
    "<f4",
    [rows, 2],
    Float32Array.from({ length: rows * 2 }, (_, i) => i % 3)
  )

describe("Evaluate.run on small models", () => {
  it("fills up the last batch of a model whose batch is fixed, and drops the filling", () =>
    inFolder(async (folder) => {
      const split = await run(
        wholeOf(write(folder, logits(7), npy("|u1", [7], Uint8Array.of(0, 1, 1, 0, 1, 0, 1))))
      )
      const evaluate = (shape: ReadonlyArray<number | string>) =>
        run(Evaluate.run(unary("Identity", shape), split))
      expect(await evaluate([3, 2])).toEqual(await evaluate(["N", 2]))
    }))

  it("predicts without labels, and measures nothing", () =>
    inFolder(async (folder) => {
      const split = wholeOf(write(folder, logits(3)))
      const result = await run(
        Effect.flatMap(split, (split) => Evaluate.run(unary("Identity", ["N", 2]), split))
      )
      expect(result.metrics).toEqual({})
      expect([...result.classification!.predicted]).toEqual([1, 0, 1])
      expect(result.classification!.labelled).toBeUndefined()
    }))

  it("measures images against images", () =>
    inFolder(async (folder) => {
      const [from, to] = [new Float32Array(2 * 144).fill(0.25), new Float32Array(2 * 144).fill(-0.75)]
      const split = wholeOf(write(folder, npy("<f4", [2, 1, 12, 12], from), npy("<f4", [2, 1, 12, 12], to)))
      const { metrics } = await run(
        Effect.flatMap(split, (split) => Evaluate.run(unary("Neg", ["N", 1, 12, 12]), split, { peak: 2 }))
      )
      expect(Object.keys(metrics)).toEqual(["mse", "psnrDb", "ssim"])
      expect(metrics.mse!.value).toBe(0.25)
      expect(metrics.psnrDb!.value).toBeCloseTo(10 * Math.log10(16), 12)
    }))

  it("folds named outputs in order", () =>
    inFolder(async (folder) => {
      const float = (name: string) => ({ name, dtype: "float32" as const, shape: ["N", 2] })
      const model = tinyModel(
        [
          { op: "Neg", inputs: ["x"], outputs: ["y"] },
          { op: "Abs", inputs: ["y"], outputs: ["z"] }
        ],
        [float("x")],
        [float("y"), float("z")]
      )
      const largest = Effect.gen(function* () {
        const split = yield* wholeOf(write(folder, npy("<f4", [3, 2], Float32Array.of(1, 2, -5, 4, 3, 0))))
        const session = yield* Session.make(model)
        return yield* Evaluate.outputs(
          session,
          split,
          ["z"],
          [] as ReadonlyArray<number>,
          (state, { z }, batch) => [...state, batch.from, Math.max(...Array.from(z!.data, Number))],
          { batchSize: 2 }
        )
      })
      expect(await run(Effect.scoped(largest))).toEqual([0, 5, 2, 3])
    }))

  it("feeds other inputs what the caller makes of each batch", () =>
    inFolder(async (folder) => {
      const float = (name: string, shape: ReadonlyArray<number | string>) =>
        ({ name, dtype: "float32", shape }) as const
      const model = tinyModel(
        [{ op: "Add", inputs: ["x", "shift"], outputs: ["y"] }],
        [float("x", ["N", 2]), float("shift", ["N", 1])],
        [float("y", ["N", 2])]
      )
      const shift = ({ labels, from, to }: Data.Batch) =>
        Value.float32([to - from, 1], Float32Array.from(labels!.data))
      const fold = Effect.gen(function* () {
        const x = npy("<f4", [3, 2], Float32Array.of(1, 2, 3, 4, 5, 6))
        const split = yield* wholeOf(write(folder, x, npy("|u1", [3], Uint8Array.of(10, 20, 30))))
        const session = yield* Session.make(model)
        return yield* Evaluate.outputs(
          session,
          split,
          ["y"],
          [] as ReadonlyArray<number>,
          (state, { y }) => [...state, ...Array.from(y!.data, Number)],
          { input: "x", feeds: (batch) => ({ shift: shift(batch) }), batchSize: 2 }
        )
      })
      expect(await run(Effect.scoped(fold))).toEqual([11, 12, 23, 24, 35, 36])
    }))

  it("stops between batches when interrupted", () =>
    inFolder(async (folder) => {
      let seen = 0
      const endless = Effect.gen(function* () {
        const split = yield* wholeOf(write(folder, logits(2000)))
        const session = yield* Session.make(unary("Identity", ["N", 2]))
        const count = () => ++seen
        yield* Evaluate.outputs(session, split, ["y"], 0, count, { batchSize: 1 })
      }).pipe(Effect.scoped)
      await run(
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(endless)
          yield* Effect.repeat(Effect.sleep(1), { until: () => seen >= 5 })
          yield* Fiber.interrupt(fiber)
        })
      )
      expect(seen).toBeGreaterThanOrEqual(5)
      expect(seen).toBeLessThan(2000)
    }))

  it("reports progress to the end", () =>
    inFolder(async (folder) => {
      const steps: Array<string> = []
      const report = ({ stage, done, total }: Progress.Step) =>
        Effect.sync(() => {
          steps.push(`${stage} ${done}/${total}`)
        })
      const evaluate = Effect.flatMap(wholeOf(write(folder, logits(5))), (split) =>
        Evaluate.run(unary("Identity", ["N", 2]), split, { batchSize: 2, stage: "tiny" })
      )
      await run(Effect.provideService(evaluate, Progress.Reporter, { report }))
      expect(steps).toEqual(["tiny 0/5", "tiny 2/5", "tiny 4/5", "tiny 5/5"])
    }))
})

describe("models and data that do not fit", () => {
  const identity = unary("Identity", ["N", 2])
  const float = (name: string) => ({ name, dtype: "float32" as const, shape: ["N", 2] })
  const cases: ReadonlyArray<{
    readonly what: string
    readonly model: Uint8Array
    readonly x: Buffer
    readonly y?: Buffer
    readonly options?: Evaluate.RunOptions
    readonly message: RegExp
  }> = [
    {
      what: "shapes",
      model: identity,
      x: npy("<f4", [1, 3], new Float32Array(3)),
      message:
        /^model on .*x\.npy: the model's input 'x' is float32 \[N,2\], but the samples are float32 \[N,3\]\. Fix layout/
    },
    {
      what: "types",
      model: identity,
      x: npy("<i8", [1, 2], new BigInt64Array(2)),
      message: /the model's input 'x' is float32 \[N,2\], but the samples are int64 \[N,2\]/
    },
    {
      what: "several inputs",
      model: tinyModel(
        [{ op: "Add", inputs: ["a", "b"], outputs: ["y"] }],
        [float("a"), float("b")],
        [float("y")]
      ),
      x: logits(1),
      message: /the model has 2 inputs \(a, b\), and these data have one array a sample/
    },
    {
      what: "an input the model lacks",
      model: identity,
      x: logits(1),
      options: { input: "image" },
      message: /the model has no input 'image'\. Name one of x/
    },
    {
      what: "a label beyond the classes, named by its place in the file",
      model: identity,
      x: logits(3),
      y: npy("|u1", [3], Uint8Array.of(0, 1, 2)),
      message: /the label 2 of sample 2 \(counted from 0\) is beyond the 2 classes of output 'y'/
    },
    {
      what: "labels a token for a model that predicts one class",
      model: identity,
      x: logits(2),
      y: npy("|u1", [2, 3], new Uint8Array(6)),
      message:
        /the output has \[2\] numbers a sample, which is not one row of class scores for each of the 3 labels/
    },
    {
      what: "a metric the labels do not allow",
      model: identity,
      x: logits(2),
      y: npy("|u1", [2], new Uint8Array(2)),
      options: { metrics: ["top1", "ssim"] },
      message: /ssim cannot be measured: .* the data have classes as labels/
    },
    {
      what: "a metric without labels",
      model: identity,
      x: logits(2),
      options: { metrics: ["top1"] },
      message: /top1 cannot be measured: .* the data have no labels/
    },
    {
      what: "an output the model lacks",
      model: identity,
      x: logits(2),
      options: { output: "scores" },
      message: /the model has no output 'scores'\. Name one of y/
    },
    {
      what: "a model that gives NaN",
      model: unary("Log", ["N", 2]),
      x: npy("<f4", [2, 2], Float32Array.of(1, 1, 1, -1)),
      message: /the output 'y' is not a number \(NaN\) for sample 1 \(counted from 0\)/
    }
  ]
  for (const { what, model, x, y, options, message } of cases)
    it(what, () =>
      inFolder(async (folder) => {
        const evaluate = Effect.flatMap(wholeOf(write(folder, x, y)), (split) =>
          Evaluate.run(model, split, options)
        )
        expect(await messageOf(evaluate)).toMatch(message)
      })
    )

  it("a summed output cannot be cut from a filled-up batch", () =>
    inFolder(async (folder) => {
      await writeFile(join(folder, "x"), idx("float32", [3, 2], [1, 2, 3, 4, 5, 6]))
      const model = tinyModel(
        [{ op: "ReduceSum", inputs: ["x"], outputs: ["total"] }],
        [{ name: "x", dtype: "float32", shape: [2, 2] }],
        [{ name: "total", dtype: "float32", shape: [1, 1] }]
      )
      const fold = Effect.gen(function* () {
        const split = yield* wholeOf(Effect.succeed(join(folder, "x")))
        const session = yield* Session.make(model)
        return yield* Evaluate.outputs(session, split, ["total"], 0, (count) => count + 1)
      })
      expect(await messageOf(Effect.scoped(fold))).toMatch(
        /batch is fixed at 2, the last batch has 1 samples/
      )
    }))
})

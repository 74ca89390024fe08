import { Effect } from "effect"
import { writeFile, mkdir, readFile, rename, cp } from "node:fs/promises"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import sharp from "sharp"
import { describe, expect, it } from "vitest"
import { Data, Value } from "../src/index.ts"
import * as Descriptor from "../src/data/Descriptor.ts"
import { idx, npy, npz } from "./support/files.ts"
import { floatsOf, inFolder, messageOf, project, run } from "./support/run.ts"

const splitOf = async (spec: string, name: Data.SplitName, options?: Data.Options) =>
  run((await run(Data.open(spec, options))).split(name))

const wholeOf = async (spec: string): Promise<Data.Split> => {
  const { whole } = await run(Data.open(spec))
  if (whole === undefined) throw new Error(`${spec} declares its splits`)
  return whole
}

const describedIn = (folder: string, descriptor: object) =>
  Effect.flatMap(
    Effect.promise(() => writeFile(join(folder, "data.json"), JSON.stringify(descriptor))),
    () => Data.open(join(folder, "data.json"))
  )

const range = (length: number, from = 0): Array<number> => Array.from({ length }, (_, i) => from + i)

describe("real data sets", () => {
  it("Fashion-MNIST: the first 16 test images are the ones the goldens were computed on, bit for bit", async () => {
    const test = await splitOf(project("experiments/data/fashion-mnist/fashion-mnist.json"), "test")
    expect([test.size, test.dtype, test.inputShape]).toEqual([10000, "float32", [1, 28, 28]])
    const batch = await run(test.batch(0, 16))
    expect(batch.inputs).toEqual(
      Value.float32([16, 1, 28, 28], floatsOf("test/goldens/models/resnet8.input16.f32"))
    )
    expect(batch.labels).toMatchObject({ kind: "classes", shape: [] })
    expect([...batch.labels!.data].slice(0, 6)).toEqual([9, 2, 1, 1, 6, 1])
  })

  it("King James: 1514 windows of held-out text, each token predicted once; 128 rows for calibration", async () => {
    const dataset = await run(Data.open(project("experiments/data/kjv/kjv.json")))
    const test = await run(dataset.split("test"))
    expect([test.size, test.dtype, test.inputShape]).toEqual([1514, "int64", [128]])
    const text = await readFile(project("experiments/data/kjv/kjv_test.u8"))
    const { inputs, labels } = await run(test.batch(1513, 2000))
    expect([...inputs.data].map(Number)).toEqual([...text.subarray(1513 * 128, 1514 * 128)])
    expect([...labels!.data]).toEqual([...text.subarray(1513 * 128 + 1, 1514 * 128 + 1)])
    const rows = await readFile(project("experiments/data/kjv/calib_128x129.u8"))
    const sensitivity = await run(dataset.split("sensitivity"))
    const row = await run(sensitivity.batch(0, 1))
    expect([...row.inputs.data].map(Number)).toEqual([...rows.subarray(64 * 129, 64 * 129 + 128)])
    expect([...row.labels!.data]).toEqual([...rows.subarray(64 * 129 + 1, 65 * 129)])
  })
})

describe("docs/data.md", () => {
  it("has descriptors that decode", async () => {
    const guide = await readFile(project("docs/data.md"), "utf8")
    const examples = [...guide.matchAll(/```json\n(.*?)```/gs)].map(([, json]) => json!)
    expect(examples.length).toBe(3)
    for (const example of examples) await run(Descriptor.parse("docs/data.md", example))
  })
})

describe("forms", () => {
  it("a pair of IDX files, gzipped or not: pixels between 0 and 1 in NCHW", () =>
    inFolder(async (folder) => {
      const images = idx("uint8", [3, 2, 2], range(12, 100))
      await writeFile(join(folder, "images"), images)
      await writeFile(join(folder, "images.gz"), gzipSync(images))
      await writeFile(join(folder, "labels.gz"), gzipSync(idx("int32", [3], [7, 8, 9])))
      for (const name of ["images", "images.gz"]) {
        const whole = await wholeOf(`${join(folder, name)},${join(folder, "labels.gz")}`)
        const { inputs, labels } = await run(whole.batch(1, 3))
        expect(inputs).toEqual(
          Value.float32(
            [2, 1, 2, 2],
            Float32Array.from(range(8, 104), (p) => Math.fround(p / 255))
          )
        )
        expect([...labels!.data]).toEqual([8, 9])
      }
      expect((await wholeOf(join(folder, "images"))).hasLabels).toBe(false)
    }))

  it("big-endian floats in IDX, and 1-D samples as they are", () =>
    inFolder(async (folder) => {
      await writeFile(join(folder, "x"), idx("float32", [2, 3], [0.5, -1, 2, 3, 4, 5]))
      const { inputs } = await run((await wholeOf(join(folder, "x"))).batch(0, 2))
      expect(inputs).toEqual(Value.float32([2, 3], Float32Array.of(0.5, -1, 2, 3, 4, 5)))
    }))

  const arrays = [
    ["<f4", Float32Array.of(1.5, -2), "float32", [1.5, -2]],
    ["<f8", Float64Array.of(0.1, 1e-3), "float32", [Math.fround(0.1), Math.fround(1e-3)]],
    ["|u1", Uint8Array.of(0, 255), "uint8", [0, 255]],
    ["|i1", Int8Array.of(-128, 127), "int8", [-128, 127]],
    ["<i2", Int16Array.of(-300, 300), "float32", [-300, 300]],
    ["<i4", Int32Array.of(-5, 70000), "int32", [-5, 70000]],
    ["<i8", BigInt64Array.of(-5n, 2n ** 40n), "int64", [-5, 2 ** 40]],
    [">i4", Int32Array.of(1 << 24, 2 << 24), "int32", [1, 2]]
  ] as const
  for (const [descr, data, dtype, values] of arrays)
    it(`.npy of ${descr} feeds ${dtype}`, () =>
      inFolder(async (folder) => {
        await writeFile(join(folder, "x.npy"), npy(descr, [2, 1], data))
        const { inputs } = await run((await wholeOf(join(folder, "x.npy"))).batch(0, 2))
        expect([inputs.dtype, inputs.shape, [...inputs.data].map(Number)]).toEqual([dtype, [2, 1], values])
      }))

  it("a pair of .npy files with values as labels", () =>
    inFolder(async (folder) => {
      await writeFile(join(folder, "x.npy"), npy("<f4", [3, 1], Float32Array.of(1, 2, 3)))
      await writeFile(join(folder, "y.npy"), npy("<f8", [3, 2], Float64Array.of(1, 2, 3, 4, 5, 6)))
      const whole = await wholeOf(`${join(folder, "x.npy")},${join(folder, "y.npy")}`)
      const { labels } = await run(whole.batch(1, 3))
      expect(labels).toEqual({ kind: "values", shape: [2], data: Float32Array.of(3, 4, 5, 6) })
    }))

  it("an .npz archive with x and y, or with names of one's own", () =>
    inFolder(async (folder) => {
      const x = npy("<i8", [2, 2], BigInt64Array.of(1n, 2n, 3n, 4n))
      const y = npy("|u1", [2, 2], Uint8Array.of(2, 3, 4, 5))
      await writeFile(join(folder, "xy.npz"), npz({ x, y }))
      const { inputs, labels } = await run((await wholeOf(join(folder, "xy.npz"))).batch(0, 2))
      expect(inputs).toEqual(Value.int64([2, 2], BigInt64Array.of(1n, 2n, 3n, 4n)))
      expect(labels).toEqual({ kind: "classes", shape: [2], data: Int32Array.of(2, 3, 4, 5) })
      await writeFile(join(folder, "own.npz"), npz({ tokens: x }))
      const source = { kind: "npz", file: "own.npz", x: "tokens" }
      const dataset = await run(describedIn(folder, { version: 1, sources: { own: source } }))
      expect(dataset.inputShape).toEqual([2])
    }))

  it("a text file: bytes in windows, contiguous parts", () =>
    inFolder(async (folder) => {
      await writeFile(join(folder, "text"), Buffer.from(range(41)))
      const calibration = await splitOf(join(folder, "text"), "calibration", { window: 4 })
      const { inputs, labels } = await run(calibration.batch(0, 1))
      expect(inputs).toEqual(Value.int64([1, 4], BigInt64Array.of(0n, 1n, 2n, 3n)))
      expect(labels).toEqual({
        kind: "classes",
        shape: [4],
        data: Int32Array.of(1, 2, 3, 4),
        bytes: Float64Array.of(4)
      })
    }))

  it("characters through a token map", () =>
    inFolder(async (folder) => {
      await writeFile(join(folder, "text"), "aéba?")
      const text = { kind: "text", file: "text", window: 2, tokens: { a: 0, b: 1, é: 2 }, unknown: 3 }
      const dataset = await run(describedIn(folder, { version: 1, sources: { text } }))
      const { inputs, labels } = await run(dataset.whole!.batch(0, 2))
      expect([...inputs.data].map(Number)).toEqual([0, 2, 1, 0])
      expect([...labels!.data]).toEqual([2, 1, 0, 3])
    }))
})

describe("image folders", () => {
  // One pixel of each colour, so that channels and axes cannot be confused.
  const pixels = Buffer.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 40, 50, 60, 70, 80, 90])
  const raw = { raw: { width: 3, height: 2, channels: 3 as const } }
  const write = async (folder: string, csv?: string) => {
    await sharp(pixels, raw).png().toFile(join(folder, "b.png"))
    await sharp(
      pixels.map((p) => 255 - p),
      raw
    )
      .png()
      .toFile(join(folder, "a.png"))
    if (csv !== undefined) await writeFile(join(folder, "labels.csv"), csv)
  }

  it("in the order of labels.csv, channels first", () =>
    inFolder(async (folder) => {
      await write(folder, "label,file\n3,b.png\n\n1,a.png\n")
      const whole = await wholeOf(folder)
      const { inputs, labels } = await run(whole.batch(0, 2))
      expect(inputs.shape).toEqual([2, 3, 2, 3])
      const red = [255, 0, 0, 10, 40, 70].map((p) => Math.fround(p / 255))
      expect([...inputs.data].slice(0, 6)).toEqual(red)
      expect([...labels!.data]).toEqual([3, 1])
    }))

  it("without labels.csv in the order of names, channels last, colours reversed, one mean a channel", () =>
    inFolder(async (folder) => {
      await mkdir(join(folder, "pictures"))
      await write(join(folder, "pictures"))
      const descriptor = {
        version: 1,
        sources: { pictures: { kind: "images", folder: "pictures", channels: "bgr" } },
        input: { layout: "NHWC", scale: 1, mean: [1, 2, 3], std: [1, 2, 4] }
      }
      const dataset = await run(describedIn(folder, descriptor))
      expect([dataset.inputShape, dataset.hasLabels]).toEqual([[2, 3, 3], false])
      const { inputs } = await run(dataset.whole!.batch(1, 2))
      // b.png: blue, green, red of the red pixel and of the grey one.
      expect([...inputs.data].slice(0, 3)).toEqual([-1, -1, 63])
      expect([...inputs.data].slice(9, 12)).toEqual([29, 9, 1.75])
    }))

  it("class names from the descriptor", () =>
    inFolder(async (folder) => {
      await write(folder, "file,label\nb.png,dog\na.png,cat\n")
      const sources = { pictures: { kind: "images", folder: "." } }
      const dataset = await run(describedIn(folder, { version: 1, sources, classes: ["cat", "dog"] }))
      expect([...(await run(dataset.whole!.batch(0, 2))).labels!.data]).toEqual([1, 0])
    }))

  it("resized to the shorter side, then cropped to the centre, as gray", () =>
    inFolder(async (folder) => {
      await sharp({ create: { width: 80, height: 40, channels: 3, background: "#808080" } })
        .png()
        .toFile(join(folder, "wide.png"))
      const descriptor = {
        version: 1,
        sources: { pictures: { kind: "images", folder: ".", channels: "gray" } },
        input: { resize: { shorter: 20 }, crop: { height: 16, width: 24 }, dtype: "uint8" }
      }
      const { whole } = await run(describedIn(folder, descriptor))
      const { inputs } = await run(whole!.batch(0, 1))
      expect(inputs).toEqual(Value.make("uint8", [1, 1, 16, 24], new Uint8Array(16 * 24).fill(128)))
    }))
})

describe("preprocessing of arrays", () => {
  it("a folder of grey images has one channel, unless the descriptor says otherwise", () =>
    inFolder(async (folder) => {
      for (let i = 0; i < 3; i++)
        await sharp(new Uint8Array(6).fill(20 * i), { raw: { width: 3, height: 2, channels: 1 } })
          .toColourspace("b-w")
          .png()
          .toFile(join(folder, `${i}.png`))
      expect((await wholeOf(folder)).inputShape).toEqual([1, 2, 3])
      await writeFile(
        join(folder, "colour.json"),
        JSON.stringify({ version: 1, sources: { a: { kind: "images", folder: ".", channels: "rgb" } } })
      )
      expect((await wholeOf(join(folder, "colour.json"))).inputShape).toEqual([3, 2, 3])
    }))

  it("moves channels of NHWC and NCHW arrays, and reshapes", () =>
    inFolder(async (folder) => {
      const shape = [1, 2, 3, 2]
      await writeFile(join(folder, "x.npy"), npy("|u1", shape, Uint8Array.from(range(12))))
      const read = async (layout: string, input: object) => {
        const sources = { x: { kind: "npy", x: "x.npy", layout } }
        const { whole } = await run(
          describedIn(folder, { version: 1, sources, input: { scale: 1, ...input } })
        )
        return (await run(whole!.batch(0, 1))).inputs
      }
      expect(await read("NHWC", {})).toEqual(
        Value.float32([1, 2, 2, 3], Float32Array.of(0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11))
      )
      expect(await read("NCHW", { layout: "NHWC" })).toEqual(
        Value.float32([1, 3, 2, 2], Float32Array.of(0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11))
      )
      expect(await read("NHWC", { layout: "NHWC", reshape: [12] })).toEqual(
        Value.float32([1, 12], Float32Array.from(range(12)))
      )
    }))

  it("resizes images of arrays; nearest keeps the pixels", () =>
    inFolder(async (folder) => {
      await writeFile(join(folder, "x.npy"), npy("|u1", [2, 2, 2], Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)))
      const descriptor = {
        version: 1,
        sources: { x: { kind: "npy", x: "x.npy", layout: "NHW" } },
        input: { resize: { height: 4, width: 2 }, kernel: "nearest", scale: 1 }
      }
      const { whole } = await run(describedIn(folder, descriptor))
      const { inputs } = await run(whole!.batch(1, 2))
      expect(inputs).toEqual(Value.float32([1, 1, 4, 2], Float32Array.of(5, 6, 5, 6, 7, 8, 7, 8)))
    }))
})

describe("splits of data that name none", () => {
  it("are disjoint, cover everything and are the same each time", () =>
    inFolder(async (folder) => {
      await writeFile(join(folder, "x.npy"), npy("<i4", [100, 1], Int32Array.from(range(100))))
      const samples = async () => {
        const dataset = await run(Data.open(join(folder, "x.npy")))
        const parts = await Promise.all(
          (["calibration", "sensitivity", "test"] as const).map((name) => run(dataset.split(name)))
        )
        expect(parts.map(({ size }) => size)).toEqual([10, 20, 70])
        const batches = await Promise.all(parts.map((part) => run(part.batch(0, part.size))))
        return batches.flatMap(({ inputs }) => [...inputs.data].map(Number))
      }
      const first = await samples()
      expect(await samples()).toEqual(first)
      expect(first).not.toEqual(range(100))
      expect(first.toSorted((a, b) => a - b)).toEqual(range(100))
    }))

  it("need three samples", () =>
    inFolder(async (folder) => {
      await writeFile(join(folder, "x.npy"), npy("<i4", [2, 1], Int32Array.of(1, 2)))
      const dataset = await run(Data.open(join(folder, "x.npy")))
      expect(await messageOf(dataset.split("test"))).toContain("2 samples are too few to be cut")
    }))
})

describe("fingerprint", () => {
  it("follows the contents and the preprocessing, not names and places", () =>
    inFolder(async (folder) => {
      const [here, there] = [join(folder, "here"), join(folder, "there")]
      await mkdir(here)
      await writeFile(join(here, "x.npy"), npy("<f4", [3, 1], Float32Array.of(1, 2, 3)))
      const sources = { x: { kind: "npy", x: "x.npy" } }
      const print = (folder: string, descriptor: object) =>
        run(Effect.flatMap(describedIn(folder, descriptor), Data.fingerprint))
      const original = await print(here, { version: 1, sources })
      expect(original).toMatch(/^[0-9a-f]{64}$/)
      await cp(here, there, { recursive: true })
      await rename(join(there, "x.npy"), join(there, "moved.npy"))
      const moved = { x: { kind: "npy", x: "moved.npy" } }
      expect(await print(there, { version: 1, name: "moved", sources: moved })).toBe(original)
      expect(await print(here, { version: 1, sources, input: { mean: 1 } })).not.toBe(original)
      await writeFile(join(here, "x.npy"), npy("<f4", [3, 1], Float32Array.of(1, 2, 4)))
      expect(await print(here, { version: 1, sources })).not.toBe(original)
    }))
})

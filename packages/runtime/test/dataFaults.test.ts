/** Everything that can be wrong with data: one message each, naming the file and the place. */
import { Effect } from "effect"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import sharp from "sharp"
import { describe, expect, it } from "vitest"
import { Data } from "../src/index.ts"
import { idx, npy, npz } from "./support/files.ts"
import { inFolder, messageOf } from "./support/run.ts"

interface Fault {
  readonly what: string
  readonly files: (folder: string) => Promise<unknown>
  /** Names inside the folder, joined by commas. */
  readonly spec: string
  readonly message: RegExp
}

const images = idx("uint8", [4, 2, 2], Array(16).fill(7))
const png = (width: number) =>
  sharp({ create: { width, height: 4, channels: 3, background: "red" } })
    .png()
    .toBuffer()
const put = (folder: string, files: Readonly<Record<string, string | Uint8Array>>) =>
  Promise.all(Object.entries(files).map(([name, content]) => writeFile(join(folder, name), content)))

const faults: ReadonlyArray<Fault> = [
  {
    what: "a missing file",
    files: async () => undefined,
    spec: "nowhere.npz",
    message: /nowhere\.npz: there is no such file or folder\. Data are a folder of images/
  },
  {
    what: "missing labels",
    files: (f) => put(f, { "i.gz": gzipSync(images) }),
    spec: "i.gz,l.gz",
    message: /l\.gz: there is no such file\. Check the path/
  },
  {
    what: "more images than labels",
    files: (f) => put(f, { i: images, l: idx("uint8", [3], [0, 1, 2]) }),
    spec: "i,l",
    message: /l: there are 3 labels for the 4 samples of .*i\. /
  },
  {
    what: "a truncated IDX file",
    files: (f) => put(f, { i: images.subarray(0, 27) }),
    spec: "i",
    message: /i: the header announces uint8 \[4,2,2\], 32 bytes in all, but the file has 27: it is truncated/
  },
  {
    what: "a truncated IDX header",
    files: (f) => put(f, { i: images.subarray(0, 10) }),
    spec: "i",
    message: /i: the file is truncated inside its header of 16 bytes/
  },
  {
    what: "a broken gzip stream",
    files: (f) => put(f, { "i.gz": gzipSync(images).subarray(0, -6) }),
    spec: "i.gz",
    message: /i\.gz: the gzip stream is broken/
  },
  {
    what: "labels in another format than the images",
    files: (f) => put(f, { i: images, l: npy("|u1", [4], Uint8Array.of(1, 2, 3, 4)) }),
    spec: "i,l",
    message: /l: it is no IDX file/
  },
  {
    what: "an empty array",
    files: (f) => put(f, { "x.npy": npy("<f4", [0, 3], new Float32Array(0)) }),
    spec: "x.npy",
    message: /x\.npy: the array is empty: its shape is \[0,3\]/
  },
  {
    what: "a truncated .npy",
    files: (f) => put(f, { "x.npy": npy("<f4", [3, 1], Float32Array.of(1, 2)) }),
    spec: "x.npy",
    message: /x\.npy: the header announces float32 \[3,1\].* it is truncated/
  },
  {
    what: "Fortran order",
    files: (f) => put(f, { "x.npy": npy("<f4", [2, 1], Float32Array.of(1, 2), true) }),
    spec: "x.npy",
    message: /x\.npy: the array is in Fortran order\. Save numpy\.ascontiguousarray/
  },
  {
    what: "an element type without a reader",
    files: (f) => put(f, { "x.npy": npy("<c8", [1], Float32Array.of(1, 2)) }),
    spec: "x.npy",
    message: /x\.npy: its element type '<c8' is not supported\. Save it as one of float32/
  },
  {
    what: "a negative label",
    files: (f) =>
      put(f, {
        "x.npy": npy("<f4", [2, 1], Float32Array.of(1, 2)),
        "y.npy": npy("<i8", [2], BigInt64Array.of(0n, -1n))
      }),
    spec: "x.npy,y.npy",
    message: /y\.npy, sample 1 \(counted from 0\): the label -1 is out of range/
  },
  {
    what: "an archive without x",
    files: (f) => put(f, { "a.npz": npz({ y: npy("<i4", [1], Int32Array.of(1)) }) }),
    spec: "a.npz",
    message: /a\.npz: there is no array "x" in it, only y\. Save it with numpy\.savez/
  },
  {
    what: "a broken archive",
    files: (f) => put(f, { "a.npz": npz({ x: npy("<f4", [1], Float32Array.of(1)) }).subarray(0, 80) }),
    spec: "a.npz",
    message: /a\.npz: the archive is broken/
  },
  {
    what: "an empty folder",
    files: (f) => mkdir(join(f, "empty")),
    spec: "empty",
    message: /empty: the folder holds no PNG or JPEG image/
  },
  {
    what: "an image that is none",
    files: async (f) => put(f, { "a.png": await png(4), "b.png": "not an image" }),
    spec: ".",
    message: /b\.png: the image cannot be read/
  },
  {
    what: "images of two sizes",
    files: async (f) => put(f, { "a.png": await png(4), "b.png": await png(5) }),
    spec: ".",
    message: /b\.png: the image is 4×5 \(height×width\) where a\.png is 4×4\. Add resize or crop/
  },
  {
    what: "an image without a label",
    files: async (f) =>
      put(f, { "a.png": await png(4), "b.png": await png(4), "labels.csv": "file,label\na.png,0\n" }),
    spec: ".",
    message: /labels\.csv: 1 of 2 images have no label, the first is b\.png/
  },
  {
    what: "a label without an image",
    files: async (f) => put(f, { "a.png": await png(4), "labels.csv": "file,label\na.png,0\n\nc.png,1\n" }),
    spec: ".",
    message: /labels\.csv, line 4: there is no image c\.png in the folder/
  },
  {
    what: "an image labelled twice",
    files: async (f) => put(f, { "a.png": await png(4), "labels.csv": "file,label\na.png,0\na.png,1\n" }),
    spec: ".",
    message: /labels\.csv, line 3: the image a\.png is listed twice/
  },
  {
    what: "a class name that nothing defines",
    files: async (f) => put(f, { "a.png": await png(4), "labels.csv": "file,label\na.png,cat\n" }),
    spec: ".",
    message:
      /labels\.csv, line 2: the label "cat" of a\.png is no class number.*name the classes in a descriptor/
  },
  {
    what: "labels.csv without its columns",
    files: async (f) => put(f, { "a.png": await png(4), "labels.csv": "a.png,0\n" }),
    spec: ".",
    message: /labels\.csv, line 1: the header is "a\.png,0"\. It must name the columns file,label/
  },
  {
    what: "a single image",
    files: async (f) => put(f, { "a.png": await png(4) }),
    spec: "a.png",
    message: /a\.png: it is a single image\. Give its folder/
  },
  {
    what: "a text shorter than a window",
    files: (f) => put(f, { text: "short" }),
    spec: "text",
    message: /text: its 5 tokens do not fill one window of 128/
  },
  {
    what: "an empty file",
    files: (f) => put(f, { text: "" }),
    spec: "text",
    message: /text: the file is empty/
  }
]

describe("broken data", () => {
  for (const { what, files, spec, message } of faults)
    it(what, () =>
      inFolder(async (folder) => {
        await files(folder)
        const path = spec
          .split(",")
          .map((name) => join(folder, name))
          .join(",")
        // Some faults show when the data are opened, those inside a sample when it is read.
        const readAll = Effect.flatMap(Data.open(path), ({ whole }) => whole!.batch(0, whole!.size))
        expect(await messageOf(readAll)).toMatch(message)
      })
    )

  it("a number that is none, naming its sample in the file", () =>
    inFolder(async (folder) => {
      await put(folder, { "x.npy": npy("<f4", [40, 2], new Float32Array(80).fill(NaN, 41, 42)) })
      const read = Effect.gen(function* () {
        const dataset = yield* Data.open(join(folder, "x.npy"))
        for (const name of ["calibration", "sensitivity", "test"] as const) {
          const split = yield* dataset.split(name)
          yield* split.batch(0, split.size)
        }
      })
      expect(await messageOf(read)).toMatch(/x\.npy, sample 20 \(counted from 0\): the sample holds NaN/)
    }))
})

const npySource = { kind: "npy", x: "x.npy", y: "y.npy" }

const described: ReadonlyArray<{ what: string; descriptor: object; messages: ReadonlyArray<RegExp> }> = [
  {
    what: "every fault of the schema at once, with paths",
    descriptor: {
      version: 2,
      sources: { a: { kind: "npy", y: 3, colour: "red" } },
      input: { layout: "CHW", scale: "2/3" },
      splits: { validation: {}, test: { from: -1 } }
    },
    messages: [
      /\n  version/,
      /\n  sources\.a\.x/,
      /\n  sources\.a\.y/,
      /\n  sources\.a\.colour/,
      /\n  input\.layout/,
      /\n  input\.scale/,
      /\n  splits\.validation/,
      /\n  splits\.test\.from/
    ]
  },
  {
    what: "overlapping splits",
    descriptor: {
      version: 1,
      sources: { a: npySource },
      splits: { calibration: { from: 0, to: 2 }, test: { from: 1 } }
    },
    messages: [/splits\.test: it overlaps "calibration" in source "a" \(all from 1 on and \[0,2\)\)/]
  },
  {
    what: "an unknown source, an empty range, a std of zero, fractions in integers",
    descriptor: {
      version: 1,
      sources: { a: npySource, b: { kind: "npy", x: "z.npy" } },
      input: { dtype: "uint8", mean: 1, std: 0 },
      splits: { calibration: { source: "c" }, sensitivity: { source: "a", from: 2, to: 2 }, test: {} }
    },
    messages: [
      /there is no source "c", only a, b/,
      /the range \[2,2\) is empty/,
      /std must be above 0, and is 0/,
      /mean makes fractions, which uint8 cannot hold/,
      /splits\.test\.source: name one of the sources a, b/
    ]
  },
  {
    what: "one file in two sources",
    descriptor: { version: 1, sources: { a: npySource, b: npySource }, splits: { test: { source: "a" } } },
    messages: [/x\.npy already belongs to source "a"/]
  },
  {
    what: "a range beyond the data",
    descriptor: { version: 1, sources: { a: npySource }, splits: { test: { from: 1, to: 9 } } },
    messages: [/splits\.test: the range \[1,9\) does not lie in the 3 samples of source "a"/]
  },
  {
    what: "labels beyond the classes",
    descriptor: { version: 1, sources: { a: npySource }, classes: 2 },
    messages: [/y\.npy, sample 2 \(counted from 0\): the label 2 is out of range: classes are 0 to 1/]
  },
  {
    what: "a layout the array does not have",
    descriptor: { version: 1, sources: { a: { ...npySource, layout: "NHWC" } } },
    messages: [/x\.npy: its shape \[3,2\] is not NHWC/]
  },
  {
    what: "a mean for each of three channels where there is one",
    descriptor: { version: 1, sources: { a: npySource }, input: { mean: [1, 2, 3] } },
    messages: [/mean has 3 numbers for 1 channel/]
  },
  {
    what: "a shape with another number of elements",
    descriptor: { version: 1, sources: { a: npySource }, input: { reshape: [3] } },
    messages: [/a sample has 2 elements \(\[2\]\), which the shape \[3\] does not hold/]
  },
  {
    what: "resizing what is no image",
    descriptor: { version: 1, sources: { a: npySource }, input: { resize: { shorter: 4 } } },
    messages: [/only 8-bit images of 1 or 3 channels can be resized/]
  },
  {
    what: "sources of different shapes",
    descriptor: {
      version: 1,
      sources: { a: npySource, b: { kind: "npy", x: "z.npy" } },
      splits: { test: { source: "a" } }
    },
    messages: [/sources a and b: their samples differ: float32 \[2\] and float32 \[1\]/]
  }
]

describe("broken descriptors", () => {
  for (const { what, descriptor, messages } of described)
    it(what, () =>
      inFolder(async (folder) => {
        await put(folder, {
          "x.npy": npy("<f4", [3, 2], new Float32Array(6)),
          "y.npy": npy("|u1", [3], Uint8Array.of(0, 1, 2)),
          "z.npy": npy("<f4", [3, 1], new Float32Array(3)),
          "data.json": JSON.stringify(descriptor)
        })
        const message = await messageOf(Data.open(join(folder, "data.json")))
        for (const expected of messages) expect(message).toMatch(expected)
      })
    )

  it("a missing split, and a file that is no JSON", () =>
    inFolder(async (folder) => {
      await put(folder, {
        "x.npy": npy("<f4", [3, 2], new Float32Array(6)),
        "data.json": JSON.stringify({
          version: 1,
          sources: { a: { kind: "npy", x: "x.npy" } },
          splits: { test: {} }
        }),
        "broken.json": "{"
      })
      const calibration = Effect.flatMap(Data.open(join(folder, "data.json")), (data) =>
        data.split("calibration")
      )
      expect(await messageOf(calibration)).toMatch(/data\.json, splits\.calibration: this split is missing/)
      expect(await messageOf(Data.open(join(folder, "broken.json")))).toMatch(
        /broken\.json: it is not valid JSON/
      )
    }))
})

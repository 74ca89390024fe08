/**
 * A folder of PNG and JPEG images with a `labels.csv`, decoded a batch at a time by sharp (libvips).
 *
 * The CSV has a header with the columns `file` and `label`, in the order the samples shall have; a label
 * is a class number, or a class name when the descriptor names the classes. Without the CSV the images
 * come in the order of their names and have no labels. All images must come out at one size: those that
 * differ need `resize` or `crop`.
 */
import { parse } from "csv-parse/sync"
import { Effect } from "effect"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import type { Sharp } from "sharp"
import * as Value from "../Value.ts"
import * as Blob from "./Blob.ts"
import { DataFailure } from "./DataFailure.ts"
import type { Descriptor, Input, SourceOf } from "./Descriptor.ts"
import type { Labels, Source } from "./Source.ts"

/** The native library takes a while to load, and most data are no images. */
const libvips = async () => (await import("sharp")).default

interface Pixels {
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly data: Uint8Array<ArrayBuffer>
}

/** Resize and centre crop. Errors of sharp (a crop larger than the image) surface when it runs. */
export const geometry = (image: Sharp, height: number, width: number, input: Input): Sharp => {
  const { resize, crop } = input
  const kernel = input.kernel ?? "linear"
  let size = { height, width }
  if (resize !== undefined) {
    const factor = "shorter" in resize ? resize.shorter / Math.min(height, width) : 1
    size =
      "shorter" in resize
        ? { height: Math.round(height * factor), width: Math.round(width * factor) }
        : resize
    image = image.resize({ ...size, fit: "fill", kernel })
  }
  if (crop === undefined) return image
  if (crop.height > size.height || crop.width > size.width)
    throw new Error(
      `a crop of ${crop.height}×${crop.width} does not fit into ${size.height}×${size.width} (height×width)`
    )
  const top = Math.floor((size.height - crop.height) / 2)
  const left = Math.floor((size.width - crop.width) / 2)
  return image.extract({ top, left, ...crop })
}

const unreadable = (path: string) => (error: unknown) =>
  new DataFailure({
    file: path,
    problem: `the image cannot be read (${error instanceof Error ? error.message : String(error)})`,
    mend: "Replace it, or remove it together with its row in the labels"
  })

const decode = (
  path: string,
  input: Input,
  channels: "rgb" | "bgr" | "gray"
): Effect.Effect<Pixels, DataFailure> =>
  Effect.tryPromise({
    try: async () => {
      const sharp = await libvips()
      const { height, width } = await sharp(path).metadata()
      const coloured = sharp(path)
        .removeAlpha()
        .toColourspace(channels === "gray" ? "b-w" : "srgb")
      const { data, info } = await geometry(coloured, height, width, input)
        .raw({ depth: "uchar" })
        .toBuffer({ resolveWithObject: true })
      const pixels = new Uint8Array(data)
      if (channels === "bgr")
        for (let i = 0; i < pixels.length; i += 3) {
          const red = pixels[i]!
          pixels[i] = pixels[i + 2]!
          pixels[i + 2] = red
        }
      return { height: info.height, width: info.width, channels: info.channels, data: pixels }
    },
    catch: unreadable(path)
  })

/** Grey files are read grey: networks for them have one channel. Others are read as colours. */
const usualChannels = (path: string): Effect.Effect<"rgb" | "gray", DataFailure> =>
  Effect.tryPromise({
    try: async () => {
      const sharp = await libvips()
      const { space } = await sharp(path).metadata()
      return space === "b-w" || space === "grey16" ? "gray" : "rgb"
    },
    catch: unreadable(path)
  })

/** A source of raw 8-bit images, resized and cropped sample by sample. */
export const resized = (source: Source, input: Input): Effect.Effect<Source, DataFailure> =>
  Effect.gen(function* () {
    const { shape, layout, dtype } = source
    const [height, width, channels] =
      layout === "NCHW" ? [shape[1]!, shape[2]!, shape[0]!] : [shape[0]!, shape[1]!, shape[2] ?? 1]
    const failure = (problem: string, mend: string) => new DataFailure({ file: source.file, problem, mend })
    if (layout === undefined || dtype !== "uint8" || (channels !== 1 && channels !== 3))
      return yield* failure(
        `only 8-bit images of 1 or 3 channels can be resized or cropped, and its samples are ${Value.describe(dtype, shape)}`,
        "Name the source's layout if they are images, or drop resize and crop"
      )
    const one = (pixels: Uint8Array) =>
      Effect.tryPromise({
        try: async () => {
          const interleaved = layout === "NCHW" ? toInterleaved(pixels, channels) : pixels
          const sharp = await libvips()
          const image = sharp(interleaved, { raw: { height, width, channels } })
          const { data, info } = await geometry(image, height, width, input)
            .toColourspace(channels === 1 ? "b-w" : "srgb")
            .raw({ depth: "uchar" })
            .toBuffer({ resolveWithObject: true })
          return { shape: [info.height, info.width, info.channels], data }
        },
        catch: (error) =>
          failure(
            `its images cannot be resized (${error instanceof Error ? error.message : String(error)})`,
            "Fix resize and crop in the descriptor"
          )
      })
    const probe = yield* one(new Uint8Array(height * width * channels))
    return {
      ...source,
      shape: probe.shape,
      layout: "NHWC",
      read: (samples) =>
        Effect.gen(function* () {
          const raw = yield* source.read(samples)
          const inputs = new Uint8Array(samples.length * probe.data.length)
          const pixels = Uint8Array.from(raw.inputs, Number)
          const size = height * width * channels
          const resizeInto = (_: number, i: number) =>
            Effect.map(one(pixels.subarray(i * size, (i + 1) * size)), ({ data }) =>
              inputs.set(data, i * probe.data.length)
            )
          yield* Effect.forEach(samples, resizeInto, { concurrency: 4, discard: true })
          return { inputs, labels: raw.labels }
        })
    }
  })

/** Planes one after the other to pixels one after the other. */
const toInterleaved = (planes: Uint8Array, channels: number): Uint8Array => {
  const size = planes.length / channels
  return Uint8Array.from(planes, (_, i) => planes[(i % channels) * size + Math.floor(i / channels)]!)
}

interface Entry {
  readonly file: string
  readonly label: string
  readonly line: number
}

const parseLabels = (path: string, content: Uint8Array): Effect.Effect<ReadonlyArray<Entry>, DataFailure> =>
  Effect.gen(function* () {
    const lines: Array<number> = []
    const records = yield* Effect.try({
      try: () =>
        parse(content, {
          bom: true,
          trim: true,
          skip_empty_lines: true,
          on_record: (record: Array<string>, info) => {
            lines.push(info.lines)
            return record
          }
        }),
      catch: (error) =>
        new DataFailure({
          file: path,
          problem: error instanceof Error ? error.message : String(error),
          mend: "Write it as CSV with the header file,label"
        })
    })
    const header = records[0] ?? []
    const [file, label] = [header.indexOf("file"), header.indexOf("label")]
    if (file < 0 || label < 0)
      return yield* new DataFailure({
        file: path,
        at: "line 1",
        problem: `the header is "${header.join(",")}"`,
        mend: "It must name the columns file,label"
      })
    return records
      .slice(1)
      .map((fields, i) => ({ file: fields[file]!, label: fields[label]!, line: lines[i + 1]! }))
  })

const classNumber = (
  path: string,
  entry: Entry,
  classes: Descriptor["classes"]
): Effect.Effect<number, DataFailure> => {
  const names = typeof classes === "number" ? undefined : classes
  const named = names?.indexOf(entry.label) ?? -1
  const label = named >= 0 ? named : /^\d+$/.test(entry.label) ? Number(entry.label) : -1
  const count = typeof classes === "number" ? classes : (names?.length ?? 2 ** 31)
  if (label >= 0 && label < count) return Effect.succeed(label)
  const known = names === undefined ? "" : ` or a name among ${names.slice(0, 12).join(", ")}`
  return Effect.fail(
    new DataFailure({
      file: path,
      at: `line ${entry.line}`,
      problem: `the label ${JSON.stringify(entry.label)} of ${entry.file} is no class number below ${count}${known}`,
      mend: names === undefined ? "Use numbers, or name the classes in a descriptor" : "Fix the label"
    })
  )
}

const isImage = (name: string): boolean => /\.(png|jpe?g)$/i.test(name)

export const open = (
  spec: SourceOf<"images">,
  input: Input,
  classes: Descriptor["classes"]
): Effect.Effect<Source, DataFailure> =>
  Effect.gen(function* () {
    const { folder } = spec
    const names = yield* Blob.attempt(folder, () => readdir(folder))
    const images = names.filter(isImage).sort()
    if (images.length === 0)
      return yield* new DataFailure({
        file: folder,
        problem: "the folder holds no PNG or JPEG image",
        mend: "Name a folder with images and, for labels, a labels.csv with the columns file,label"
      })
    const csv = join(folder, spec.labels ?? "labels.csv")
    const labelled = spec.labels !== undefined || names.includes("labels.csv")
    const entries = labelled ? yield* parseLabels(csv, yield* Blob.whole(csv)) : undefined
    const known = new Set(images)
    const seen = new Set<string>()
    for (const entry of entries ?? []) {
      const problem = !known.has(entry.file)
        ? `there is no image ${entry.file} in the folder`
        : seen.has(entry.file)
          ? `the image ${entry.file} is listed twice`
          : undefined
      if (problem !== undefined)
        return yield* new DataFailure({ file: csv, at: `line ${entry.line}`, problem, mend: "Fix the row" })
      seen.add(entry.file)
    }
    const missing = entries === undefined ? [] : images.filter((image) => !seen.has(image))
    if (missing.length > 0)
      return yield* new DataFailure({
        file: csv,
        problem: `${missing.length} of ${images.length} images have no label, the first is ${missing[0]}`,
        mend: "Add their rows, or remove the images"
      })
    const labels =
      entries && Int32Array.from(yield* Effect.forEach(entries, (entry) => classNumber(csv, entry, classes)))
    const files = entries === undefined ? images : entries.map(({ file }) => file)
    const path = (sample: number) => join(folder, files[sample]!)
    const channels = spec.channels ?? (yield* usualChannels(path(0)))
    const first = yield* decode(path(0), input, channels)
    const shape = [first.height, first.width, first.channels]
    const sampleLength = first.data.length
    const labelsOf = (samples: ReadonlyArray<number>): Labels | undefined =>
      labels && { kind: "classes", shape: [], data: Int32Array.from(samples, (sample) => labels[sample]!) }
    return {
      file: folder,
      size: files.length,
      dtype: "uint8",
      shape,
      layout: "NHWC",
      labels: labels && { kind: "classes", shape: [] },
      read: (samples) =>
        Effect.gen(function* () {
          const inputs = new Uint8Array(samples.length * sampleLength)
          const decodeInto = (sample: number, i: number) =>
            Effect.gen(function* () {
              const pixels = yield* decode(path(sample), input, channels)
              if (pixels.height !== first.height || pixels.width !== first.width)
                return yield* new DataFailure({
                  file: path(sample),
                  problem:
                    `the image is ${pixels.height}×${pixels.width} (height×width) where ${files[0]} is ` +
                    `${first.height}×${first.width}`,
                  mend: "Add resize or crop to the descriptor's input"
                })
              inputs.set(pixels.data, i * sampleLength)
            })
          yield* Effect.forEach(samples, decodeInto, { concurrency: 4, discard: true })
          return { inputs, labels: labelsOf(samples) }
        })
    }
  })

/**
 * From stored samples to the model's input: type, axis order, x = (pixel · scale − mean) / std.
 *
 * Every step is rounded to float32, in the order the training frameworks use (scale, subtract, divide), so
 * the numbers are those the network was trained on. 8-bit pixels go through a table of 256 entries a
 * channel. Numbers that are not finite, or do not fit the type, are errors that name the sample.
 */
import { Dim } from "@bitbudget/graph"
import { Effect } from "effect"
import * as Value from "../Value.ts"
import { DataFailure } from "./DataFailure.ts"
import type { Input } from "./Descriptor.ts"
import { at } from "./Source.ts"
import type { Source } from "./Source.ts"

export interface Prepared {
  readonly dtype: Value.DType
  /** One sample's shape. */
  readonly shape: ReadonlyArray<number>
  /** What the user should know, such as pixels that nothing normalises. */
  readonly notes: ReadonlyArray<string>
  /** The model's input from the source's elements of these samples. */
  readonly convert: (
    raw: Value.Data,
    samples: ReadonlyArray<number>
  ) => Effect.Effect<Value.Value, DataFailure>
}

/** Integers keep their type, other numbers and images become float32. */
const defaultType = (source: Source): Value.DType => {
  if (source.layout !== undefined) return "float32"
  switch (source.dtype) {
    case "int64":
    case "int32":
    case "uint8":
    case "int8":
    case "bool":
      return source.dtype
    default:
      return "float32"
  }
}

interface Planes {
  readonly channels: number
  readonly height: number
  readonly width: number
  /** Steps in the stored sample from one channel, row, column to the next. */
  readonly channelStep: number
  readonly rowStep: number
  readonly columnStep: number
}

const planesOf = (source: Source): Planes | undefined => {
  const { shape } = source
  switch (source.layout) {
    case undefined:
      return undefined
    case "NCHW": {
      const [channels, height, width] = [shape[0]!, shape[1]!, shape[2]!]
      return { channels, height, width, channelStep: height * width, rowStep: width, columnStep: 1 }
    }
    case "NHWC":
    case "NHW": {
      const [height, width, channels] = [shape[0]!, shape[1]!, shape[2] ?? 1]
      return { channels, height, width, channelStep: 1, rowStep: width * channels, columnStep: channels }
    }
  }
}

/** Position of every element of the model's input within the stored sample, and its channel. */
const gather = (planes: Planes, layout: "NCHW" | "NHWC") => {
  const { channels, height, width } = planes
  const from = new Int32Array(channels * height * width)
  const channelOf = new Uint16Array(from.length)
  for (let c = 0; c < channels; c++)
    for (let h = 0; h < height; h++)
      for (let w = 0; w < width; w++) {
        const to = layout === "NCHW" ? (c * height + h) * width + w : (h * width + w) * channels + c
        from[to] = c * planes.channelStep + h * planes.rowStep + w * planes.columnStep
        channelOf[to] = c
      }
  return { from, channelOf }
}

const fround = Math.fround

/** `1/255` is a division, not a product with a rounded reciprocal. */
const scaling = (scale: number | string): ((value: number) => number) => {
  if (typeof scale === "number") return (value) => fround(value * scale)
  const divisor = Number(scale.slice("1/".length))
  return (value) => fround(value / divisor)
}

export const prepare = (source: Source, input: Input): Effect.Effect<Prepared, DataFailure> =>
  Effect.gen(function* () {
    const failure = (problem: string, mend: string) => new DataFailure({ file: source.file, problem, mend })
    const dtype = input.dtype ?? defaultType(source)
    const isFloat = dtype === "float32" || dtype === "float64"
    const planes = planesOf(source)
    const channels = planes?.channels ?? 1
    const stored = Value.describe(source.dtype, source.shape)
    if (planes === undefined && input.layout !== undefined)
      return yield* failure(
        `its samples are ${stored}, and nothing says that they are images`,
        "Name the source's layout (NHWC, NCHW or NHW) in the descriptor, or drop the input's layout"
      )
    for (const [field, value] of [
      ["mean", input.mean],
      ["std", input.std]
    ] as const)
      if (Array.isArray(value) && value.length !== channels)
        return yield* failure(
          `${field} has ${value.length} numbers for ${channels} channel${channels === 1 ? "" : "s"} (samples are ${stored})`,
          `Give one number, or one a channel`
        )
    const length = Dim.elements(source.shape)
    const { height, width } = planes ?? { height: 0, width: 0 }
    const natural =
      planes === undefined
        ? source.shape
        : input.layout === "NHWC"
          ? [height, width, channels]
          : [channels, height, width]
    const shape = input.reshape ?? natural
    if (Dim.elements(shape) !== length)
      return yield* failure(
        `a sample has ${length} elements ([${natural.join(",")}]), which the shape [${shape.join(",")}] does not hold`,
        "Fix reshape in the descriptor's input"
      )
    const scale = input.scale ?? (planes !== undefined && source.dtype === "uint8" && isFloat ? "1/255" : 1)
    const changed = [scale, input.mean ?? 0, input.std ?? 1].flat().join() !== "1,0,1"
    if (!isFloat && changed)
      return yield* failure(
        `scale, mean and std make fractions, which ${dtype} cannot hold`,
        'Drop them, or set "dtype": "float32" in the descriptor\'s input'
      )
    const withShape = (data: Value.Data, samples: ReadonlyArray<number>) =>
      Value.make(dtype, [samples.length, ...shape], data)
    // Token numbers and the like pass untouched.
    if (dtype === source.dtype && planes === undefined && !isFloat)
      return { dtype, shape, notes: [], convert: (raw, samples) => Effect.succeed(withShape(raw, samples)) }

    const scaled = scaling(scale)
    const [means, stds] = [[input.mean ?? 0].flat(), [input.std ?? 1].flat()]
    const normalise = (value: number, channel: number): number => {
      if (!changed) return value
      const mean = fround(means[channel] ?? means[0]!)
      return fround(fround(scaled(value) - mean) / fround(stds[channel] ?? stds[0]!))
    }
    const order = planes && gather(planes, input.layout ?? "NCHW")
    const table =
      source.dtype === "uint8" && isFloat
        ? Float32Array.from({ length: 256 * channels }, (_, i) => normalise(i % 256, Math.floor(i / 256)))
        : undefined
    const wrong = (sample: number, value: number | bigint) =>
      new DataFailure({
        file: source.file,
        at: at(sample),
        problem: Number.isFinite(Number(value))
          ? `the number ${value} does not fit ${dtype}`
          : `the sample holds ${value}`,
        mend: "Remove or repair the sample"
      })
    if (table?.some((value) => !Number.isFinite(value)))
      return yield* failure(
        "scale, mean and std turn pixels into numbers that are not finite",
        "Fix them in the descriptor's input: x = (pixel · scale − mean) / std"
      )
    // Nothing says how the network was trained: pixels of 0 to 1 are a guess that is often wrong.
    const guessed =
      table !== undefined &&
      planes !== undefined &&
      [input.scale, input.mean, input.std].every((one) => one === undefined)
    const notes = guessed
      ? [
          `${source.file}: nothing says how pixels are normalised, so they are fed as pixel / 255; most networks ` +
            `were trained on (pixel / 255 − mean) / std: name these in a descriptor (docs/data.md)`
        ]
      : []
    return {
      dtype,
      shape,
      notes,
      convert: (raw, samples) =>
        Effect.gen(function* () {
          const data = Value.zeros(dtype, samples.length * length)
          for (let s = 0; s < samples.length; s++) {
            const start = s * length
            for (let i = 0; i < length; i++) {
              const channel = order === undefined ? 0 : order.channelOf[i]!
              const element = raw[start + (order === undefined ? i : order.from[i]!)]!
              if (table !== undefined) data[start + i] = table[channel * 256 + Number(element)]!
              else if (isFloat) {
                const value = normalise(Number(element), channel)
                if (!Number.isFinite(value)) return yield* wrong(samples[s]!, value)
                data[start + i] = value
              } else {
                if (Value.isNumeric(data)) data[start + i] = Number(element)
                else data[start + i] = BigInt(element)
                if (Number(data[start + i]) !== Number(element)) return yield* wrong(samples[s]!, element)
              }
            }
          }
          return withShape(data, samples)
        })
    }
  })

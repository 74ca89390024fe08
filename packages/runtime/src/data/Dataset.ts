/**
 * A data set: sources prepared for a model, cut into splits, read a batch at a time.
 *
 * Memory is bounded by one batch, plus what a source has to keep (decompressed bytes, class numbers).
 * Where the descriptor names no splits, the one source is cut in order into calibration, sensitivity and
 * test, so that the same data always give the same parts.
 */
import { Effect } from "effect"
import * as Value from "../Value.ts"
import { DataFailure } from "./DataFailure.ts"
import { splitNames } from "./Descriptor.ts"
import type { Descriptor, Range, SplitName } from "./Descriptor.ts"
import type { Prepared } from "./Input.ts"
import type { Labels, NamedInput, Source, Tokens } from "./Source.ts"

export interface Batch {
  /** Position of the first sample within the split, and one past the last. */
  readonly from: number
  readonly to: number
  /** `[to − from, …sample]` */
  readonly inputs: Value.Value
  /** What goes to inputs of these names, where the network has several. */
  readonly named: ReadonlyMap<string, Value.Value>
  readonly labels: Labels | undefined
}

export interface Split {
  readonly name: SplitName | "whole"
  /** File that messages about its samples name. */
  readonly file: string
  readonly size: number
  readonly dtype: Value.DType
  /** One sample's shape. */
  readonly inputShape: ReadonlyArray<number>
  /** Inputs that samples have by name; empty for the usual one input. */
  readonly named: ReadonlyArray<NamedInput>
  readonly hasLabels: boolean
  /** Kind and one sample's shape of the labels. */
  readonly labels: Source["labels"]
  /** Number in the file, counted from 0, of a sample of the split. */
  readonly sampleAt: (position: number) => number
  /** Samples `from` up to, not including, `to`; fewer at the split's end. */
  readonly batch: (from: number, to: number) => Effect.Effect<Batch, DataFailure>
  /** Samples at any positions, in that order; the batch counts its rows from 0. */
  readonly pick: (positions: ReadonlyArray<number>) => Effect.Effect<Batch, DataFailure>
}

export interface Dataset {
  readonly name: string
  /** What was opened, paths resolved. */
  readonly descriptor: Descriptor
  readonly dtype: Value.DType
  readonly inputShape: ReadonlyArray<number>
  readonly hasLabels: boolean
  /** What the tokens of a text are; undefined of other data. */
  readonly tokens: Tokens | undefined
  /** What the user should know of it. */
  readonly notes: ReadonlyArray<string>
  readonly split: (name: SplitName) => Effect.Effect<Split, DataFailure>
  /** All samples in file order, where nothing says which of them are for testing. */
  readonly whole: Split | undefined
}

/** A source and how its samples become the model's input. */
export interface Part {
  readonly source: Source
  readonly prepared: Prepared
  readonly shuffle: number | undefined
}

/** Most samples the automatic cut spends on calibration and on sensitivity. */
const calibrationLimit = 512
const sensitivityLimit = 4096

/** The automatic cut: a tenth, a fifth, the rest. */
export const defaultRanges = (
  size: number
): { readonly [K in SplitName]: Required<Omit<Range, "source">> } => {
  const calibration = Math.max(1, Math.min(calibrationLimit, Math.floor(size / 10)))
  const sensitivity = calibration + Math.max(1, Math.min(sensitivityLimit, Math.floor(size / 5)))
  return {
    calibration: { from: 0, to: calibration },
    sensitivity: { from: calibration, to: sensitivity },
    test: { from: sensitivity, to: size }
  }
}

/** Numbers 0 … size−1 in a random order that depends on the seed only (Fisher–Yates, mulberry32). */
export const permutation = (size: number, seed: number): Uint32Array => {
  const order = Uint32Array.from({ length: size }, (_, i) => i)
  let state = seed >>> 0
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  for (let i = size - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const swapped = order[i]!
    order[i] = order[j]!
    order[j] = swapped
  }
  return order
}

/** Named inputs are fed as they are, but for the float64 that NumPy makes by itself. */
const fedAs = (dtype: Value.DType): Value.DType => (dtype === "float64" ? "float32" : dtype)

const floatsNarrowed = (dtype: Value.DType, shape: ReadonlyArray<number>, data: Value.Data): Value.Value =>
  data instanceof Float64Array
    ? Value.float32(shape, Float32Array.from(data))
    : Value.make(dtype, shape, data)

const makeSplit = (
  name: Split["name"],
  { source, prepared }: Part,
  range: { readonly from: number; readonly to: number },
  order: Uint32Array | undefined
): Split => {
  const size = range.to - range.from
  const sampleAt = (position: number) => order?.[range.from + position] ?? range.from + position
  const read = (samples: ReadonlyArray<number>, from: number) =>
    Effect.gen(function* () {
      const raw = yield* source.read(samples)
      const inputs = yield* prepared.convert(raw.inputs, samples)
      const named = new Map(
        (source.named ?? []).map(({ name, dtype, shape }, i) => {
          const rows = [samples.length, ...shape]
          return [name, floatsNarrowed(dtype, rows, raw.named![i]!)]
        })
      )
      return { from, to: from + samples.length, inputs, named, labels: raw.labels }
    })
  return {
    name,
    file: source.file,
    size,
    dtype: prepared.dtype,
    inputShape: prepared.shape,
    named: (source.named ?? []).map(({ name, dtype, shape }) => ({ name, dtype: fedAs(dtype), shape })),
    hasLabels: source.labels !== undefined,
    labels: source.labels,
    sampleAt,
    batch: (from, end) =>
      Effect.suspend(() => {
        const to = Math.min(end, size)
        if (!(from >= 0 && from < to))
          throw new Error(`Split.batch: no samples in [${from},${end}) of ${size}`)
        const samples = Array.from({ length: to - from }, (_, i) => sampleAt(from + i))
        return read(samples, from)
      }),
    pick: (positions) => Effect.suspend(() => read(positions.map(sampleAt), 0))
  }
}

export const make = (
  name: string,
  file: string,
  descriptor: Descriptor,
  parts: ReadonlyMap<string, Part>
): Effect.Effect<Dataset, DataFailure> =>
  Effect.gen(function* () {
    const failure = (at: string, problem: string, mend: string) =>
      new DataFailure({ file, at, problem, mend })
    const [firstName, first] = [...parts][0]!
    for (const [other, { prepared }] of parts)
      if (prepared.dtype !== first.prepared.dtype || prepared.shape.join() !== first.prepared.shape.join())
        return yield* failure(
          `sources ${firstName} and ${other}`,
          `their samples differ: ${first.prepared.dtype} [${first.prepared.shape.join(",")}] and ` +
            `${prepared.dtype} [${prepared.shape.join(",")}]`,
          "Give both the same form with the input's resize, reshape or dtype"
        )
    const orders = new Map(
      [...parts].map(([name, { source, shuffle }]) => [
        name,
        shuffle === undefined ? undefined : permutation(source.size, shuffle)
      ])
    )
    const declared = descriptor.splits
    const automatic = defaultRanges(first.source.size)
    const splits = new Map<SplitName, Split>()
    for (const split of splitNames) {
      const range: Range | undefined = declared === undefined ? automatic[split] : declared[split]
      if (range === undefined) continue
      const sourceName = range.source ?? firstName
      const part = parts.get(sourceName)!
      const size = part.source.size
      const [from, to] = [range.from ?? 0, range.to ?? size]
      if (declared === undefined && (to > size || from >= to)) continue
      if (to > size || from >= to)
        return yield* failure(
          `splits.${split}`,
          `the range [${from},${to}) does not lie in the ${size} samples of source "${sourceName}"`,
          "Fix from and to"
        )
      splits.set(split, makeSplit(split, part, { from, to }, orders.get(sourceName)))
    }
    const { prepared, source } = first
    return {
      name,
      descriptor,
      dtype: prepared.dtype,
      inputShape: prepared.shape,
      tokens: source.tokens,
      notes: [...parts.values()].flatMap(({ prepared }) => prepared.notes),
      hasLabels: [...parts.values()].every(({ source }) => source.labels !== undefined),
      split: (split) => {
        const found = splits.get(split)
        if (found !== undefined) return Effect.succeed(found)
        return Effect.fail(
          declared === undefined
            ? failure(
                `split ${split}`,
                `${source.size} samples are too few to be cut into ${splitNames.join(", ")}`,
                "Give at least three samples"
              )
            : failure(
                `splits.${split}`,
                "this split is missing",
                "Name its range of samples in the descriptor"
              )
        )
      },
      whole:
        declared === undefined
          ? makeSplit("whole", first, { from: 0, to: source.size }, undefined)
          : undefined
    }
  })

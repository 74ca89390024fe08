/**
 * A source: samples by number, as they stand in the files, with their labels.
 *
 * What a sample means for the model (scale, layout, type) is not known here: see `Input.ts`. Labels are
 * class numbers (one a sample, or one a token) or values to be predicted (images, regressions).
 */
import { Effect } from "effect"
import * as Value from "../Value.ts"
import type { ArrayFile } from "./ArrayFile.ts"
import { DataFailure } from "./DataFailure.ts"

export type Layout = "NHWC" | "NCHW" | "NHW"

/** Labels of a batch, row-major: `shape` is one sample's. */
export type Labels =
  | {
      readonly kind: "classes"
      readonly shape: ReadonlyArray<number>
      readonly data: Int32Array
      /** Of texts: bytes that the predicted tokens of each sample stand for. */
      readonly bytes?: Float64Array
    }
  | { readonly kind: "values"; readonly shape: ReadonlyArray<number>; readonly data: Float32Array }

/** The label of a token that is not to be predicted: it gives context to others. */
export const IGNORED = -1

/** What a token of a text is, and one more than the largest number it can have. */
export type Tokens =
  | { readonly kind: "bytes"; readonly vocabulary: number; readonly stated: boolean }
  | { readonly kind: "map"; readonly vocabulary: number }
  | { readonly kind: "tokenizer"; readonly vocabulary: number; readonly file: string }

/** The form of one sample's labels. */
export interface LabelForm {
  readonly kind: Labels["kind"]
  readonly shape: ReadonlyArray<number>
  /** How many of them count; all when absent. */
  readonly scored?: number
  /** Whether they say how many bytes of text they stand for. */
  readonly bytes?: boolean
}

export interface Raw {
  readonly inputs: Value.Data
  /** Elements of the named inputs, in the order of the source's `named`. */
  readonly named?: ReadonlyArray<Value.Data>
  readonly labels: Labels | undefined
}

/** One of several inputs, as the files have it. */
export interface NamedInput {
  readonly name: string
  readonly dtype: Value.DType
  /** One sample's shape. */
  readonly shape: ReadonlyArray<number>
}

export interface Source {
  /** The file a message about a sample should name. */
  readonly file: string
  readonly size: number
  readonly dtype: Value.DType
  /** One sample's shape. */
  readonly shape: ReadonlyArray<number>
  readonly layout: Layout | undefined
  readonly labels: LabelForm | undefined
  /** Of texts. */
  readonly tokens?: Tokens
  /** Arrays that go to inputs of their names, for networks with several; the first field of a sample is `dtype`, `shape`. */
  readonly named?: ReadonlyArray<NamedInput>
  readonly read: (samples: ReadonlyArray<number>) => Effect.Effect<Raw, DataFailure>
}

/** `sample 17`: counted from 0 in file order. */
export const at = (sample: number): string => `sample ${sample} (counted from 0)`

/** Class numbers of every sample, checked against the number of classes where that is known. */
const classNumbers = (
  array: ArrayFile,
  classes: number | undefined
): Effect.Effect<Int32Array, DataFailure> =>
  Effect.gen(function* () {
    const rows = array.shape[0]!
    const data = yield* array.rows(Array.from({ length: rows }, (_, row) => row))
    const labels = new Int32Array(data.length)
    const perSample = data.length / rows
    for (let i = 0; i < data.length; i++) {
      const label = Number(data[i])
      if (label < 0 || label >= (classes ?? 2 ** 31))
        return yield* new DataFailure({
          file: array.file,
          at: at(Math.floor(i / perSample)),
          problem: `the label ${label} is out of range: classes are 0 to ${classes === undefined ? "2³¹−1" : classes - 1}`,
          mend: "Fix the label, or the number of classes in the descriptor"
        })
      labels[i] = label
    }
    return labels
  })

const targetValues = (array: ArrayFile, samples: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const data = yield* array.rows(samples)
    const values = new Float32Array(data.length)
    const perSample = data.length / samples.length
    for (let i = 0; i < data.length; i++) {
      const value = Number(data[i])
      if (!Number.isFinite(value))
        return yield* new DataFailure({
          file: array.file,
          at: at(samples[Math.floor(i / perSample)]!),
          problem: `the target holds ${value}`,
          mend: "Remove or repair the sample"
        })
      values[i] = value
    }
    return values
  })

/** A source from an array of samples and, where there is one, an array of labels of the same length. */
export const fromArrays = (
  x: ArrayFile,
  y: ArrayFile | undefined,
  layout: Layout | undefined,
  classes: number | undefined
): Effect.Effect<Source, DataFailure> =>
  Effect.gen(function* () {
    const size = x.shape[0]!
    const shape = x.shape.slice(1)
    const rank = layout === undefined ? shape.length : layout === "NHW" ? 2 : 3
    if (shape.length !== rank)
      return yield* new DataFailure({
        file: x.file,
        problem: `its shape [${x.shape.join(",")}] is not ${layout}`,
        mend: "Fix the source's layout in the descriptor"
      })
    const common = { file: x.file, size, dtype: x.dtype, shape, layout }
    if (y === undefined)
      return {
        ...common,
        labels: undefined,
        read: (samples) => Effect.map(x.rows(samples), (inputs) => ({ inputs, labels: undefined }))
      }
    if (y.shape[0] !== size)
      return yield* new DataFailure({
        file: y.file,
        problem: `there are ${y.shape[0]} labels for the ${size} samples of ${x.file}`,
        mend: "Give the labels that belong to the samples, one each"
      })
    const labelShape = y.shape.slice(1)
    if (y.dtype === "float32" || y.dtype === "float64")
      return {
        ...common,
        labels: { kind: "values", shape: labelShape },
        read: (samples) =>
          Effect.gen(function* () {
            const data = yield* targetValues(y, samples)
            return { inputs: yield* x.rows(samples), labels: { kind: "values", shape: labelShape, data } }
          })
      }
    const all = yield* classNumbers(y, classes)
    const perSample = all.length / size
    return {
      ...common,
      labels: { kind: "classes", shape: labelShape },
      read: (samples) =>
        Effect.map(x.rows(samples), (inputs) => {
          const data = new Int32Array(samples.length * perSample)
          samples.forEach((sample, i) =>
            data.set(all.subarray(sample * perSample, (sample + 1) * perSample), i * perSample)
          )
          return { inputs, labels: { kind: "classes", shape: labelShape, data } }
        })
    }
  })

/** The source with further arrays, which go to the inputs of their names. All have a row a sample. */
export const withNamed = (
  source: Source,
  arrays: ReadonlyMap<string, ArrayFile>
): Effect.Effect<Source, DataFailure> =>
  Effect.gen(function* () {
    for (const array of arrays.values())
      if (array.shape[0] !== source.size)
        return yield* new DataFailure({
          file: array.file,
          problem: `it has ${array.shape[0]} rows where ${source.file} has ${source.size}`,
          mend: "Give every input one row a sample"
        })
    const named = [...arrays].map(([name, { dtype, shape }]) => ({ name, dtype, shape: shape.slice(1) }))
    return {
      ...source,
      named,
      read: (samples) =>
        Effect.gen(function* () {
          const raw = yield* source.read(samples)
          return { ...raw, named: yield* Effect.forEach(arrays.values(), (array) => array.rows(samples)) }
        })
    }
  })

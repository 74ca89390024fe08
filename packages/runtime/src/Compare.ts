/**
 * Holds the outputs of a network against those of a reference on the same samples: what a plan does to every output,
 * labels or not. Both run batch by batch, so memory is bounded by one batch.
 */
import { Effect } from "effect"
import type { Output, Split } from "./Data.ts"
import { eachBatch, Mismatch } from "./Feed.ts"
import type { Failure, Options } from "./Feed.ts"
import type { Intervals } from "@bitbudget/numerics"
import * as Distortion from "./metrics/Distortion.ts"
import * as Sessions from "./Session.ts"
import * as Value from "./Value.ts"

/** What is known of an output beyond its shape, by name. */
export type Outputs = Readonly<Record<string, Output>>

export interface CompareOptions extends Options {
  /** What the user says of the outputs; what is not said is deduced. */
  readonly outputs?: Outputs | undefined
  /** Only this output. */
  readonly output?: string | undefined
  /** Outputs that are probabilities, and the axis of their classes (the batch is axis 0; negative from the end). */
  readonly probabilities?: ReadonlyMap<string, number>
  readonly threads?: number
}

export interface Comparison {
  readonly n: number
  /** The weighted sum of the outputs' distortions. */
  readonly distortion: Intervals.Estimate
  readonly outputs: ReadonlyArray<Distortion.Measured>
  /** Outputs that cannot be compared, and why. */
  readonly notes: ReadonlyArray<string>
}

/** Four axes are images (N, C, H, W); otherwise classes come last. */
const usualAxis = (rank: number): number => (rank === 4 ? 1 : rank - 1)

const describe = (
  name: string,
  value: Value.Value,
  { outputs = {}, probabilities = new Map() }: CompareOptions
): Distortion.Output | string => {
  const said = Object.hasOwn(outputs, name) ? outputs[name] : undefined
  const { shape, dtype } = value
  const rank = shape.length
  const stated = said?.axis ?? probabilities.get(name) ?? usualAxis(rank)
  const axis = (stated < 0 ? stated + rank : stated) - 1
  const floats = dtype === "float32" || dtype === "float64"
  const kind = said?.kind ?? (probabilities.has(name) ? "classes" : "map")
  if (floats && kind === "classes" && !(axis >= 0 && axis < rank - 1))
    return `axis ${stated} of output '${name}' does not exist: its shape is [${shape.join(",")}], the batch being axis 0`
  return {
    name,
    kind: floats ? kind : "whole",
    probabilities: probabilities.has(name),
    axis,
    weight: said?.weight ?? 1,
    shape: shape.slice(1)
  }
}

const isFloats = (data: Value.Data): data is Float32Array | Float64Array =>
  data instanceof Float32Array || data instanceof Float64Array

/** Outputs of `model` against those of `reference`, both as bytes of ONNX files. */
export const run = (
  reference: Uint8Array,
  model: Uint8Array,
  split: Split,
  options: CompareOptions = {}
): Effect.Effect<Comparison, Failure> =>
  Effect.scoped(
    Effect.gen(function* () {
      const threads = options.threads === undefined ? {} : { threads: options.threads }
      const float = yield* Sessions.make(reference, threads)
      const other = yield* Sessions.make(model, threads)
      const mismatch = (problem: string, mend: string) =>
        new Mismatch({ model: float.name, file: split.file, problem, mend })
      const all = float.outputs.map(({ name }) => name)
      for (const name of [
        ...Object.keys(options.outputs ?? {}),
        ...(options.output === undefined ? [] : [options.output])
      ])
        if (!all.includes(name))
          return yield* mismatch(`the model has no output '${name}'`, `Name one of ${all.join(", ")}`)
      const wanted = options.output === undefined ? all : [options.output]
      const n = Math.min(split.size, options.limit ?? split.size)
      const scores = new Map<string, Distortion.Scores>()
      const left = new Map<string, string>()
      yield* eachBatch(float, split, options, wanted, (references, batch) =>
        Effect.gen(function* () {
          const samples = batch.to - batch.from
          const part: Split = {
            ...split,
            size: samples,
            sampleAt: (position) => split.sampleAt(batch.from + position),
            batch: () => Effect.succeed({ ...batch, from: 0, to: samples }),
            pick: (positions) => split.pick(positions.map((position) => batch.from + position))
          }
          yield* eachBatch(other, part, { ...options, batchSize: samples, silent: true }, wanted, (results) =>
            Effect.gen(function* () {
              for (const name of wanted) {
                const [a, b] = [references[name]!, results[name]!]
                if (a.shape[0] !== samples || a.shape.join() !== b.shape.join()) {
                  left.set(
                    name,
                    `output '${name}' has no row a sample that could be compared, and is left out`
                  )
                  continue
                }
                let kept = scores.get(name)
                if (kept === undefined) {
                  const output = describe(name, a, options)
                  if (typeof output === "string")
                    return yield* mismatch(output, `Fix "axis" in the data set's descriptor`)
                  kept = Distortion.make(output, n)
                  scores.set(name, kept)
                }
                const length = a.data.length / samples
                for (let i = 0; i < samples; i++) {
                  if (!isFloats(a.data) || !isFloats(b.data))
                    Distortion.scoreWhole(kept, batch.from + i, a.data, b.data, i * length)
                  else if (!Distortion.score(kept, batch.from + i, a.data, b.data, i * length))
                    return yield* mismatch(
                      `the output '${name}' is not a finite number for sample ${split.sampleAt(batch.from + i)} (counted from 0)`,
                      "The model overflows on it: look for divisions by zero and too narrow number formats"
                    )
                }
              }
            })
          )
        })
      )
      const compared = [...scores.values()].filter(({ output: { name } }) => !left.has(name))
      if (compared.length === 0)
        return yield* mismatch(
          "none of the model's outputs has one row a sample",
          "Name an output with --output"
        )
      return {
        n,
        distortion: Distortion.total(compared),
        outputs: compared.map(Distortion.measured),
        notes: [...left.values()]
      }
    })
  )

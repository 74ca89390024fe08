/**
 * Feeds a split of a data set to a model, a batch at a time, in order.
 *
 * Whether the two fit each other is checked before the first batch. A model whose batch is fixed gets
 * batches of that size, the last one filled up with its samples over again, whose results are dropped. Between
 * batches the process can be interrupted.
 */
import { Dim } from "@bitbudget/graph"
import { Effect, Schema } from "effect"
import type { Batch, DataFailure, Split } from "./Data.ts"
import { batchAxis, moveAxis, repeated } from "./batchAxis.ts"
import * as Cache from "./Cache.ts"
import * as Progress from "./Progress.ts"
import type { Port, RuntimeFailure, Session } from "./Session.ts"
import * as Value from "./Value.ts"

/** The model and the data do not fit each other. */
export class Mismatch extends Schema.TaggedError<Mismatch>()("Mismatch", {
  model: Schema.String,
  file: Schema.String,
  problem: Schema.String,
  mend: Schema.String
}) {
  override get message() {
    return `${this.model} on ${this.file}: ${this.problem}. ${this.mend}`
  }
}

export interface Options {
  /**
   * Samples a batch; a model with a fixed batch size has its own. When absent 128, fewer where the outputs of
   * so many would not fit into 64 MB.
   */
  readonly batchSize?: number
  /** The input the samples go to, where the model has several. */
  readonly input?: string
  /** What the model's other inputs get with each batch: labels, directions, constants. */
  readonly feeds?: (batch: Batch) => Readonly<Record<string, Value.Value>>
  /** Only the first so many samples of the split. */
  readonly limit?: number
  /** Name under which progress is reported. */
  readonly stage?: string
  /** Whether no progress is reported: the caller reports its own. */
  readonly silent?: boolean
  /**
   * What becomes of the rows that fill up the last batch of a model with a fixed batch: their results are dropped, or
   * kept where outputs reduce over the batch in a way that repeated samples do not change (extremes). Default: drop.
   */
  readonly filling?: "drop" | "keep"
}

const usualBatchSize = 128
const batchBytes = 64 * 2 ** 20

/** A field of a sample: what a batch of it is, and what it is called where samples have several. */
interface Field {
  readonly name: string | undefined
  readonly dtype: Value.DType
  /** One sample's shape. */
  readonly shape: ReadonlyArray<number>
}

const isInteger = (dtype: string): boolean => /^u?int/.test(dtype) || dtype === "bool"

/** Why a field of the samples cannot be fed to the input, if it cannot. Named integers may be widened. */
const misfit = (input: Port, axis: number, { name, dtype, shape }: Field): string | undefined => {
  const sample = input.shape.toSpliced(axis, 1)
  const fits =
    (input.dtype === dtype || (name !== undefined && isInteger(input.dtype) && isInteger(dtype))) &&
    input.shape.length === shape.length + 1 &&
    sample.every((dim, i) => typeof dim === "string" || dim === shape[i])
  if (fits) return undefined
  return (
    `the model's input '${input.name}' is ${Value.describe(input.dtype, input.shape)}, but the samples are ` +
    Value.describe(dtype, ["N", ...shape])
  )
}

/** The setting that makes them fit, where one is known to. */
const mendOf = (input: Port, { shape }: Field): string => {
  const [a, b, c] = shape
  const [, ...wanted] = input.shape
  const channels = shape.length === 3 && wanted.length === 3 && wanted[0] !== a
  if (channels && wanted[0] === 1 && a === 3)
    return 'Images are read in colour: set "channels": "gray" in the data set\'s descriptor'
  if (channels && wanted[0] === 3 && a === 1)
    return 'Images are read grey: set "channels": "rgb" in the data set\'s descriptor'
  if (channels && wanted[0] === b && wanted[1] === c && wanted[2] === a)
    return 'Set "layout": "NHWC" in the input of the data set\'s descriptor'
  return "Fix layout, dtype, resize or reshape in the data set's descriptor"
}

/** A model's input and how its values are taken from a batch, with samples over again until there are `rows`. */
interface Feeding {
  readonly port: Port
  /** Where the samples lie in it. */
  readonly axis: number
  readonly of: (batch: Batch, rows: number) => Value.Value
}

/** What is known of a model before it is run. */
type Ports = Pick<Session, "name" | "inputs" | "outputs">

/** Integers as the input's type; the caller has checked that both are integers. */
const widened = (value: Value.Value, dtype: Value.DType): Value.Value => {
  if (value.dtype === dtype) return value
  const data = Value.zeros(dtype, value.data.length)
  if (Value.isNumeric(data)) data.set(Array.from(value.data, Number))
  else data.set(Array.from(value.data, BigInt))
  return Value.make(dtype, value.shape, data)
}

/** Caches that nothing was kept in: those the data have no array for. */
const emptyCaches = (session: Ports, { named }: Split, wanted: string | undefined) => {
  const given = new Set([...named.map(({ name }) => name), wanted])
  return Cache.cachesOf(session).filter(({ past }) => !given.has(past.name))
}

/** Every input the samples go to, checked against them. */
const feedingsOf = (
  session: Ports,
  split: Split,
  { input: wanted, feeds }: Options
): Effect.Effect<ReadonlyArray<Feeding>, Mismatch> =>
  Effect.gen(function* () {
    const mismatch = (problem: string, mend: string) =>
      new Mismatch({ model: session.name, file: split.file, problem, mend })
    const cached = new Set(emptyCaches(session, split, wanted).map(({ past }) => past.name))
    const inputs = session.inputs.filter(({ name }) => !cached.has(name))
    const names = inputs.map((input) => input.name).join(", ")
    const feedingOf = (
      port: Port,
      field: Field,
      of: (batch: Batch) => Value.Value
    ): Effect.Effect<Feeding, Mismatch> => {
      if (!Value.isDType(port.dtype))
        return mismatch(
          `the model's input '${port.name}' holds ${port.dtype}, which ONNX Runtime's Node binding cannot be fed`,
          "Export the model with float32 inputs"
        )
      const { dtype } = port
      const axis = batchAxis(port, inputs)
      const problem = misfit(port, axis, field)
      return problem === undefined
        ? Effect.succeed({
            port,
            axis,
            of: (batch, rows) => moveAxis(repeated(widened(of(batch), dtype), rows), 0, axis)
          })
        : mismatch(problem, mendOf(port, field))
    }
    const whole: Field = { name: undefined, dtype: split.dtype, shape: split.inputShape }
    const [only, ...others] = inputs
    const fed =
      wanted === undefined
        ? others.length === 0
          ? only
          : undefined
        : inputs.find(({ name }) => name === wanted)
    if (wanted !== undefined && fed === undefined)
      return yield* mismatch(`the model has no input '${wanted}'`, `Name one of ${names}`)
    if (fed !== undefined && !split.named.some(({ name }) => name === fed.name))
      return [yield* feedingOf(fed, whole, ({ inputs }) => inputs)]
    if (feeds === undefined && split.named.length === 0)
      return yield* mismatch(
        `the model has ${inputs.length} inputs (${names}), and these data have one array a sample`,
        "Give an .npz file whose arrays have the names of the inputs, or make the others constants of the model"
      )
    const ports = fed === undefined ? inputs : [fed]
    return yield* Effect.forEach(ports, (port) => {
      const field = split.named.find(({ name }) => name === port.name)
      return field === undefined
        ? mismatch(
            `there is no array for the model's input '${port.name}', only ${split.named.map(({ name }) => name).join(", ")}`,
            `Save the arrays under the names of the inputs (${names}), or name them in a descriptor's "inputs"`
          )
        : feedingOf(port, field, ({ named }) => named.get(port.name)!)
    })
  })

/** The usual batch, or as many samples as leave the outputs within bounds. */
const batchSizeFor = (session: Session, split: Split, outputs: ReadonlyArray<string>): number => {
  const inputElements = Dim.elements(split.inputShape)
  let bytes = 0
  for (const { name, shape } of session.outputs) {
    if (!outputs.includes(name)) continue
    const known = shape.slice(1).filter((dim) => typeof dim === "number")
    // A symbolic dimension beyond the batch follows the input: the length of a text.
    const unknown = known.length < shape.length - 1 ? inputElements : 1
    bytes += 4 * Dim.elements(known) * unknown
  }
  return Math.max(1, Math.min(usualBatchSize, Math.floor(batchBytes / Math.max(1, bytes))))
}

/** Results of the first `samples` of a filled-up batch of `rows`. */
const trimmed = (value: Value.Value, rows: number, samples: number): Value.Value | undefined => {
  const [first, ...rest] = value.shape
  if (first === undefined || first % rows !== 0) return undefined
  const kept = (first / rows) * samples
  return Value.make(value.dtype, [kept, ...rest], value.data.slice(0, kept * Dim.elements(rest)))
}

export type Failure = RuntimeFailure | DataFailure | Mismatch

/**
 * What a batch of the split feeds to each of the model's inputs, samples over again until there are `rows`, after it was found
 * out that the two fit.
 */
export const feederOf = (
  session: Ports,
  split: Split,
  options: Options = {}
): Effect.Effect<(batch: Batch, rows: number) => Readonly<Record<string, Value.Value>>, Mismatch> =>
  Effect.map(feedingsOf(session, split, options), (feedings) => (batch, rows) => ({
    ...Cache.empty(emptyCaches(session, split, options.input), rows),
    ...Object.fromEntries(feedings.map(({ port, of }) => [port.name, of(batch, rows)]))
  }))

/** Runs the model on every batch and hands on the named outputs, each with the samples as its first axis. */
export const eachBatch = <E>(
  session: Session,
  split: Split,
  options: Options,
  outputs: ReadonlyArray<string>,
  use: (results: Readonly<Record<string, Value.Value>>, batch: Batch) => Effect.Effect<void, E>
): Effect.Effect<void, Failure | E> =>
  Effect.gen(function* () {
    const feedings = yield* feedingsOf(session, split, options)
    const total = Math.min(split.size, options.limit ?? split.size)
    const caches = emptyCaches(session, split, options.input)
    const fixed = feedings.map(({ port, axis }) => port.shape[axis]).find((rows) => typeof rows === "number")
    const batchSize = fixed ?? options.batchSize ?? batchSizeFor(session, split, outputs)
    if (!(batchSize >= 1)) throw new Error(`eachBatch: a batch of ${batchSize} samples`)
    const stage = options.stage ?? `${session.name} on ${split.name}`
    const fedPorts = feedings.map(({ port }) => port)
    const axisOf = new Map(session.outputs.map((port) => [port.name, batchAxis(port, fedPorts)]))
    const report = (done: number) =>
      options.silent === true ? Effect.void : Progress.step({ stage, done, total })
    for (let from = 0; from < total; from += batchSize) {
      yield* report(from)
      const batch = yield* split.batch(from, Math.min(from + batchSize, total))
      const samples = batch.to - batch.from
      const short = fixed !== undefined && samples < fixed
      const fed = feedings.map(({ port, of }) => [port.name, of(batch, fixed ?? samples)] as const)
      const feeds = {
        ...Cache.empty(caches, fixed ?? samples),
        ...options.feeds?.(batch),
        ...Object.fromEntries(fed)
      }
      const found = yield* session.run(feeds, outputs)
      const results = Object.fromEntries(
        Object.entries(found).map(([name, value]) => [name, moveAxis(value, axisOf.get(name) ?? 0, 0)])
      )
      if (!short || options.filling === "keep") {
        yield* use(results, batch)
        continue
      }
      const kept: Record<string, Value.Value> = {}
      for (const [name, value] of Object.entries(results)) {
        const trim = trimmed(value, fixed, samples)
        if (trim === undefined)
          return yield* new Mismatch({
            model: session.name,
            file: split.file,
            problem:
              `the model's batch is fixed at ${fixed}, the last batch has ${samples} samples, and the output ` +
              `'${name}' of shape [${value.shape.join(",")}] has no row a sample to drop the others from`,
            mend: `Use a multiple of ${fixed} samples, or export the model with a symbolic batch`
          })
        kept[name] = trim
      }
      yield* use(kept, batch)
    }
    yield* report(total)
  })

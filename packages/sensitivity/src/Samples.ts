/**
 * The samples a sensitivity is measured on: consecutive ones of a split, batch by batch, each with the loss's target.
 *
 * Targets that come from the float model are computed batch by batch too, so memory is bounded by one batch,
 * whatever the number of samples.
 */
import { Dim, Gradient, Graph, Model } from "@bitbudget/graph"
import type { Data } from "@bitbudget/runtime"
import { Evaluate, Session, Value } from "@bitbudget/runtime"
import type { Scope } from "effect"
import { Effect } from "effect"
import type { Loss, LossName } from "./Loss.ts"
import { named } from "./Loss.ts"

export interface Options {
  readonly graph: Graph.Graph
  readonly split: Data.Split
  readonly loss: LossName
  /** Position of the first sample in the split; 0 when absent. */
  readonly from?: number
  /** So many from there; all that are left when there are fewer. */
  readonly samples: number
  readonly batchSize: number
  readonly threads?: number
  /** The last batch is filled up with its last sample, for graphs made for one batch size. */
  readonly filled?: boolean
}

export interface Batch {
  /** Counted from the first sample used; `to` is past the last real sample. */
  readonly from: number
  readonly to: number
  /** By the model's input. */
  readonly inputs: Readonly<Record<string, Value.Value>>
  readonly target: Value.Value
}

export interface Samples {
  readonly count: number
  readonly batchSize: number
  readonly loss: Loss
  /** Shape of one sample's class numbers. */
  readonly labelShape: ReadonlyArray<number>
  readonly batch: (from: number) => Effect.Effect<Batch, Evaluate.Failure>
}

/** Class numbers of the largest scores along an axis. */
const argmax = (scores: Value.Value, axis: number): BigInt64Array => {
  const { shape, data } = scores
  const classes = shape[axis]!
  const inner = Dim.elements(shape.slice(axis + 1))
  const rows = data.length / classes
  const winners = new BigInt64Array(rows)
  for (let row = 0; row < rows; row++) {
    const start = Math.floor(row / inner) * classes * inner + (row % inner)
    let best = 0
    for (let c = 1; c < classes; c++) if (data[start + c * inner]! > data[start + best * inner]!) best = c
    winners[row] = BigInt(best)
  }
  return winners
}

/** The value with its last row repeated until there are `rows`. */
const filledTo = (value: Value.Value, rows: number): Value.Value => {
  const have = value.shape[0]!
  if (have === rows) return value
  const width = value.data.length / have
  const data = Value.zeros(value.dtype, rows * width)
  for (let i = 0; i < data.length; i++)
    data[i] = value.data[Math.min(Math.floor(i / width), have - 1) * width + (i % width)]!
  return Value.make(value.dtype, [rows, ...value.shape.slice(1)], data)
}

/** What is wrong, and the mend. */
type Problem = readonly [problem: string, mend: string]

/** Why the samples do not fit the model's one input, if they do not; what feeds several inputs sees to them. */
const misfit = (graph: Graph.Graph, split: Data.Split): Problem | undefined => {
  const [input, ...others] = graph.inputs
  if (input === undefined || others.length > 0) return undefined
  const fits =
    input.dtype === split.dtype &&
    input.shape.length === split.inputShape.length + 1 &&
    split.inputShape.every((dim, i) => Dim.sameDim(dim, input.shape[i + 1]!))
  if (fits) return undefined
  const samples = `${split.dtype} ${Dim.showShape([{ batch: 1 }, ...split.inputShape])}`
  return [
    `the model's input ${input.name} is ${input.dtype} ${Dim.showShape(input.shape)}, but the samples are ${samples}`,
    "Give the data in this shape, or mend the data set's descriptor"
  ]
}

/** Axis of the classes in the scored output: where the labels say, the last one without labels. */
const classAxisOf = (graph: Graph.Graph, split: Data.Split, loss: Loss): number | undefined => {
  const output = Graph.shapeOf(graph, Gradient.scoredOutput(graph, loss.kind))
  return loss.target === "labels" && split.labels !== undefined
    ? Gradient.classAxisOf(output, [output[0]!, ...split.labels.shape])
    : output.length - 1
}

/** Why the loss cannot be taken of this output and these labels, if it cannot. */
const unfitLoss = (graph: Graph.Graph, split: Data.Split, loss: Loss): Problem | undefined => {
  const name = Gradient.scoredOutput(graph, loss.kind)
  const output = Graph.shapeOf(graph, name)
  const wanted = loss.kind === "meanSquaredError" ? "values" : "classes"
  const axis = classAxisOf(graph, split, loss)
  if (wanted === "classes" && axis !== undefined && output[axis] === 1)
    return [
      `the output ${name} is ${Dim.showShape(output)}, one score, and the softmax of one score is always 1`,
      "Give float targets as labels: the loss is the mean squared error then"
    ]
  if (loss.target !== "labels") return undefined
  if ((split.labels?.scored ?? Number.POSITIVE_INFINITY) < Dim.elements(split.labels?.shape ?? []))
    return [
      "its windows overlap, and predictions that do not count have no loss",
      "Give a stride that is no less than the window"
    ]
  const mend = "Give labels that fit, or choose another --loss"
  if (split.labels === undefined) return ["the data have no labels", mend]
  if (split.labels.kind !== wanted)
    return [
      `the labels are ${split.labels.kind}, and the loss needs ${wanted === "values" ? "values" : "class numbers"}`,
      mend
    ]
  const labels: Dim.Shape = [output[0]!, ...split.labels.shape]
  const fits =
    wanted === "values"
      ? Dim.elementsOf(labels) !== undefined &&
        Dim.sameDim(Dim.elementsOf(labels)!, Dim.elementsOf(output) ?? 0)
      : axis !== undefined
  return fits
    ? undefined
    : [`the output is ${Dim.showShape(output)} and the labels are ${Dim.showShape(labels)}`, mend]
}

/** Labels of the targets: those of the data, or one a row of scores. */
const labelShapeOf = (graph: Graph.Graph, split: Data.Split, loss: Loss): ReadonlyArray<number> => {
  if (loss.kind !== "crossEntropy") return []
  if (loss.target === "labels") return split.labels?.shape ?? []
  const output = Graph.shapeOf(graph, Gradient.scoredOutput(graph, loss.kind))
  return output.slice(1, -1).filter(Dim.isStatic)
}

/** The samples; the float model's session, where the targets need one, is released with the scope. */
export const open = (options: Options): Effect.Effect<Samples, Evaluate.Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const { graph, split, batchSize, threads } = options
    const loss = named(options.loss)
    const problem = misfit(graph, split) ?? unfitLoss(graph, split, loss)
    if (problem !== undefined)
      return yield* new Evaluate.Mismatch({
        model: graph.name,
        file: split.file,
        problem: problem[0],
        mend: problem[1]
      })
    const ports = (values: ReadonlyArray<Graph.Value>) =>
      values.map(({ name, dtype, shape }) => ({
        name,
        dtype,
        shape: shape.map((dim) => (Dim.isStatic(dim) ? dim : "batch"))
      }))
    const feeds = yield* Evaluate.feederOf(
      {
        name: graph.name,
        inputs: ports(graph.inputs),
        outputs: ports(graph.outputs.map((name) => Graph.valueOf(graph, name)))
      },
      split
    )
    const start = options.from ?? 0
    const count = Math.min(options.samples, split.size - start)
    if (!(count >= 1)) throw new Error(`Samples.open: no samples from ${start} in ${split.size}`)
    // A model whose batch is fixed gets batches of that size, the last one filled up.
    const fixed = graph.inputs[0]!.shape[0]
    const [size, filled] =
      fixed !== undefined && Dim.isStatic(fixed)
        ? [fixed, true]
        : [Math.min(batchSize, count), options.filled === true]
    const labelShape = labelShapeOf(graph, split, loss)
    const output = Gradient.scoredOutput(graph, loss.kind)
    const reference =
      loss.target === "labels"
        ? undefined
        : yield* Session.make(Model.encode({ ...graph, outputs: [output] }), {
            name: graph.name,
            ...(threads === undefined ? {} : { threads })
          })
    const shape = Graph.shapeOf(graph, output)
    const classAxis = loss.kind === "crossEntropy" ? classAxisOf(graph, split, loss) : undefined
    const classes = classAxis === undefined ? undefined : Dim.shapeAt(shape, 1)[classAxis]

    const targetOf = (inputs: Batch["inputs"], fed: number, labels: Data.Labels | undefined) =>
      Effect.gen(function* () {
        if (reference !== undefined) {
          const scores = (yield* reference.run(inputs))[output]!
          if (loss.target === "outputs") return scores
          return Value.int64([fed, ...labelShape], argmax(scores, shape.length - 1))
        }
        const data = labels?.data ?? []
        if (labels?.kind === "values") {
          const sample = Dim.shapeAt(shape.slice(1), 1)
          return Value.float32([data.length / Dim.elements(sample), ...sample], labels.data)
        }
        const rows = data.length / Dim.elements(labelShape)
        return Value.int64([rows, ...labelShape], BigInt64Array.from(data, BigInt))
      })

    return {
      count,
      batchSize: size,
      loss,
      labelShape,
      batch: (from) =>
        Effect.gen(function* () {
          const to = Math.min(from + size, count)
          const read = yield* split.batch(start + from, start + to)
          const beyond =
            classes === undefined ? undefined : Evaluate.labelBeyond(graph.name, split, read, output, classes)
          if (beyond !== undefined) return yield* beyond
          const rows = filled ? size : to - from
          const inputs = feeds(read, rows)
          const target = yield* targetOf(inputs, rows, read.labels)
          return { from, to, inputs, target: filledTo(target, rows) }
        })
    }
  })

/** Hands on the batches in order; between them the process can be interrupted. */
export const each = <E>(
  samples: Samples,
  use: (batch: Batch) => Effect.Effect<void, E>
): Effect.Effect<void, Evaluate.Failure | E> =>
  Effect.gen(function* () {
    for (let from = 0; from < samples.count; from += samples.batchSize) {
      yield* use(yield* samples.batch(from))
      yield* Effect.yieldNow
    }
  })

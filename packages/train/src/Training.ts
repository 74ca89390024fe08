/**
 * Training as runs of one session: samples streamed in an order that depends on seed and epoch only, one run a step. State
 * goes in as the tensors that the step before gave out.
 */
import { type Graph, Model } from "@bitbudget/graph"
import { Random } from "@bitbudget/numerics"
import { type Data, type Evaluate, Session, Value } from "@bitbudget/runtime"
import { Effect, Schema, type Scope } from "effect"
import * as Augment from "./Augment.ts"
import type { Objective } from "./Objective.ts"
import * as Optimizer from "./Optimizer.ts"
import { type ScheduleName, shareAt } from "./Schedule.ts"
import * as Step from "./Step.ts"

/** What goes from step to step. */
export interface State {
  readonly parameters: Float32Array
  readonly memory: ReadonlyArray<Float32Array>
}

export interface Plan {
  readonly graphs: Step.Graphs
  readonly settings: Step.Settings
  readonly augmentation: Augment.Augmentation
  readonly training: Data.Split
  readonly heldOut: Data.Split
  /** What a batch of either feeds to the network's own inputs. */
  readonly feeds: (batch: Data.Batch) => Readonly<Record<string, Value.Value>>
  readonly batch: number
  readonly epochs: number
  readonly learningRate: number
  readonly schedule: ScheduleName
  /** Steps over which the rate rises from 0. */
  readonly warmup: number
  readonly seed: number
  readonly threads?: number | undefined
}

/** The loss is no number any more. */
export class Diverged extends Schema.TaggedError<Diverged>()("Diverged", {
  epoch: Schema.Number,
  step: Schema.Number
}) {
  override get message() {
    return `the training loss is no number in step ${this.step} of epoch ${this.epoch}`
  }
}

export interface Epoch {
  readonly state: State
  /** Mean of the steps' losses, and of the gradients' norms. */
  readonly loss: number
  readonly gradientNorm: number
}

export interface Running {
  readonly start: State
  readonly stepsPerEpoch: number
  /** One pass over the training samples; `epoch` counts from 0. `report` is told the steps done. */
  readonly epoch: (
    state: State,
    epoch: number,
    report: (done: number) => Effect.Effect<void>
  ) => Effect.Effect<Epoch, Evaluate.Failure | Diverged>
  /** Mean loss of the samples held out. */
  readonly score: (parameters: Float32Array) => Effect.Effect<number, Evaluate.Failure>
}

/** Positions 0 … n − 1 in the order of an epoch (Fisher–Yates). */
export const orderOf = (n: number, seed: number, epoch: number): ReadonlyArray<number> => {
  const draw = Random.bits(seed, `tuning order ${epoch}`)
  const order = Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor((draw() / 2 ** 32) * (i + 1))
    const swapped = order[i]!
    order[i] = order[j]!
    order[j] = swapped
  }
  return order
}

/** Labels as the loss reads them. */
const targetOf = (objective: Objective, { labels }: Data.Batch): Value.Value => {
  if (labels === undefined) throw new Error("training: the task's loss needs labels")
  const rows = labels.data.length / labels.shape.reduce((a, b) => a * b, 1)
  const shape = [rows, ...labels.shape]
  return objective.task?.kind === "crossEntropy"
    ? Value.int64(shape, BigInt64Array.from(labels.data, BigInt))
    : Value.float32(shape, Float32Array.from(labels.data))
}

/** The inputs that a graph still reads. */
const needed = (graph: Graph.Graph, all: Readonly<Record<string, Value.Value>>) =>
  Object.fromEntries(
    Object.entries(all).filter(([name]) => graph.inputs.some((input) => input.name === name))
  )

const isFloats = (data: Value.Data): data is Float32Array => data instanceof Float32Array

const floats = (value: Value.Value): Float32Array => {
  if (!isFloats(value.data)) throw new Error(`training: ${value.dtype} where float32 was written`)
  return value.data
}

export const open = (
  { graphs, settings, augmentation, training, heldOut, feeds, ...plan }: Plan,
  objective: Objective
): Effect.Effect<Running, Evaluate.Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const { batch, seed, epochs, learningRate, schedule, warmup } = plan
    const threads = plan.threads === undefined ? {} : { threads: plan.threads }
    const session = (graph: Graph.Graph) =>
      Session.make(Model.encode(graph), { name: graph.name, ...threads })
    const stepping = yield* session(graphs.step)
    const scoring = yield* session(graphs.scoring)
    const stateNames = Step.stateOf(settings)
    const length = graphs.initial.length
    const stepsPerEpoch = Math.floor(training.size / batch)
    const changes = !Augment.isNone(augmentation)
    const image = graphs.step.inputs[0]!
    const scalar = (x: number) => Value.float32([], Float32Array.of(x))
    const vector = (data: Float32Array) => Value.float32([length], data)

    const inputsOf = (samples: Data.Batch) => ({
      ...feeds(samples),
      ...(graphs.target === undefined ? {} : { [graphs.target]: targetOf(objective, samples) })
    })
    const drawn = (draw: () => number): Readonly<Record<string, Value.Value>> => {
      if (!changes) return {}
      const [, , height, width] = image.shape
      const numbers = Augment.draws(augmentation, batch, [Number(height), Number(width)], draw)
      return { [Step.names.draws]: Value.float32([batch, Augment.DRAWS], numbers) }
    }
    /** An augmented network reads its samples under another name. */
    const renamed = (inputs: Readonly<Record<string, Value.Value>>) => {
      if (!changes) return inputs
      const own = image.name.slice(0, -Step.givenInput("").length)
      return Object.fromEntries(
        Object.entries(inputs).map(([name, value]) => [name === own ? image.name : name, value])
      )
    }

    const running: Running = {
      start: {
        parameters: graphs.initial,
        memory: stateNames.slice(1).map(() => new Float32Array(length))
      },
      stepsPerEpoch,
      epoch: (state, epoch, report) =>
        Effect.gen(function* () {
          const order = orderOf(training.size, seed, epoch)
          const draw = Random.bits(seed, `augmentation ${epoch}`)
          let { parameters, memory } = state
          let [loss, norm] = [0, 0]
          for (let i = 0; i < stepsPerEpoch; i++) {
            yield* report(i)
            const step = epoch * stepsPerEpoch + i
            const samples = yield* training.pick(order.slice(i * batch, (i + 1) * batch))
            const rate = learningRate * shareAt(schedule, step, epochs * stepsPerEpoch, warmup)
            const corrections = Optimizer.corrections(settings, step + 1)
            const inputs = {
              ...renamed(inputsOf(samples)),
              ...drawn(draw),
              ...Object.fromEntries([parameters, ...memory].map((data, k) => [stateNames[k]!, vector(data)])),
              [Step.names.rate]: scalar(rate),
              [Step.names.corrections]: Value.float32([2], Float32Array.from(corrections))
            }
            const results = yield* stepping.run(needed(graphs.step, inputs))
            const outputs = graphs.next.map((name) => floats(results[name]!))
            const [stepLoss, stepNorm] = [outputs.at(-2)![0]!, outputs.at(-1)![0]!]
            if (!Number.isFinite(stepLoss) || !Number.isFinite(stepNorm))
              return yield* new Diverged({ epoch: epoch + 1, step: i + 1 })
            parameters = outputs[0]!
            memory = outputs.slice(1, -2)
            loss += stepLoss / stepsPerEpoch
            norm += stepNorm / stepsPerEpoch
            // Node runs a step synchronously; between steps the process may be interrupted.
            yield* Effect.yieldNow
          }
          yield* report(stepsPerEpoch)
          return { state: { parameters, memory }, loss, gradientNorm: norm }
        }),
      score: (parameters) =>
        Effect.gen(function* () {
          let sum = 0
          for (let from = 0; from < heldOut.size; from += batch) {
            const rows = Math.min(batch, heldOut.size - from)
            // A graph of fixed batch: the last one is filled up with its last sample.
            const positions = Array.from({ length: batch }, (_, i) => from + Math.min(i, rows - 1))
            const samples = yield* heldOut.pick(positions)
            const inputs = {
              ...inputsOf(samples),
              [Step.names.parameters]: vector(parameters)
            }
            const results = yield* scoring.run(needed(graphs.scoring, inputs))
            const losses = floats(results[graphs.losses]!)
            for (let i = 0; i < rows; i++) sum += losses[i]!
            yield* Effect.yieldNow
          }
          return sum / heldOut.size
        })
    }
    return running
  })

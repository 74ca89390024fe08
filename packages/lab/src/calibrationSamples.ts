/** Calibration samples of a data set as recipes want them: batches of one size, each read once, run by ONNX Runtime. */
import { Dim, Gradient, type Graph, Model, type Tensor } from "@bitbudget/graph"
import type { Calibration } from "@bitbudget/quant"
import { type Data, Evaluate, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"

const USUAL_BATCH = 64

/** Samples up to so many bytes are kept in memory. */
const KEPT_BYTES = 2 ** 28

export interface Options {
  /** At most so many samples; whole batches of them. */
  readonly samples: number
  readonly threads?: number | undefined
}

/** What is fed, by input. */
type Inputs = Readonly<Record<string, Value.Value>>

/** Those that a graph made of the network still reads. */
const needed = ({ inputs }: Graph.Graph, all: Inputs): Inputs =>
  Object.fromEntries(Object.entries(all).filter(([name]) => inputs.some((input) => input.name === name)))

/** Where one sample has many targets, such as the tokens of a text: the axis of their classes in its output. */
const classAxisOf = ({ outputs, values }: Graph.Graph, { labels }: Data.Split): number | undefined => {
  if (outputs.length !== 1 || labels?.kind !== "classes" || labels.shape.length === 0) return undefined
  const { shape } = values.get(outputs[0]!)!
  const axis = Gradient.classAxisOf(shape, [shape[0]!, ...labels.shape])
  return axis === undefined ? undefined : axis - 1
}

/** Whole batches of the split's first samples, of the network's own batch size where that is fixed. */
export const calibrationSamples = (
  graph: Graph.Graph,
  split: Data.Split,
  { samples, threads }: Options
): Effect.Effect<Calibration<Evaluate.Failure>, Evaluate.Failure> =>
  Effect.gen(function* () {
    const fixed = graph.inputs[0]!.shape[0]
    const most = Math.min(samples, split.size)
    const batchSize = fixed !== undefined && Dim.isStatic(fixed) ? fixed : Math.min(USUAL_BATCH, most)
    const batches = most === 0 ? 0 : Math.max(1, Math.floor(most / batchSize))
    const feeds = yield* Effect.scoped(
      Effect.flatMap(Session.make(Model.encode(graph), { name: graph.name }), (session) =>
        Evaluate.feederOf(session, split)
      )
    )
    const read = (batch: number) =>
      Effect.map(split.batch(batch * batchSize, Math.min((batch + 1) * batchSize, most)), (samples): Inputs =>
        feeds(samples, batchSize)
      )
    // Recipes read their samples many times; large ones are read from the files each time, so that memory stays bounded.
    const isSmall = 4 * most * Dim.elements(split.inputShape) <= KEPT_BYTES
    const kept = isSmall
      ? yield* Effect.forEach(
          Array.from({ length: batches }, (_, batch) => batch),
          read
        )
      : []
    const inputsOf = (batch: number) => (isSmall ? Effect.succeed(kept[batch]!) : read(batch))
    const session = (opened: Graph.Graph) =>
      Session.make(Model.encode(opened), {
        name: graph.name,
        ...(threads === undefined ? {} : { threads })
      })
    const found: Calibration<Evaluate.Failure> = {
      batches,
      batchSize,
      classAxis: classAxisOf(graph, split),
      open: (opened) =>
        Effect.map(session(opened), ({ run }) => (batch, feeds = new Map<string, Tensor.Tensor>()) => {
          const fed = [...feeds].map(([name, tensor]) => [name, Value.fromTensor(tensor)] as const)
          return Effect.map(
            Effect.flatMap(inputsOf(batch), (inputs) =>
              run({ ...Object.fromEntries(fed), ...needed(opened, inputs) })
            ),
            (results) =>
              new Map(
                Object.entries(results).map(([name, { data }]) => [
                  name,
                  Value.isNumeric(data) ? data : Float64Array.from(data, Number)
                ])
              )
          )
        })
    }
    return found
  })

/** Calibration samples of a data set, for recipes: batches of one size, each read once, run by ONNX Runtime. */
import { Model, type Tensor } from "@bitbudget/graph"
import type { Calibration } from "@bitbudget/quant"
import type { Data, Evaluate } from "@bitbudget/runtime"
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"

export const calibrationOf = (
  split: Data.Split,
  {
    samples,
    batchSize,
    from = 0,
    classAxis
  }: {
    readonly samples: number
    readonly batchSize: number
    readonly from?: number
    /** Of one sample's output, where it is scores of classes. */
    readonly classAxis?: number
  }
): Effect.Effect<Calibration<Evaluate.Failure>, Evaluate.Failure> =>
  Effect.gen(function* () {
    const size = Math.min(batchSize, split.size)
    const batches = Math.max(1, Math.floor(Math.min(samples, split.size - from) / size))
    const inputs: Array<Value.Value> = []
    for (let batch = 0; batch < batches; batch++)
      inputs.push((yield* split.batch(from + batch * size, from + (batch + 1) * size)).inputs)
    return {
      batches,
      batchSize: size,
      classAxis,
      open: (graph) =>
        Effect.map(Session.make(Model.encode(graph), { name: graph.name }), (session) => (batch, feeds) => {
          const fed = [...(feeds ?? new Map<string, Tensor.Tensor>())].map(
            ([name, tensor]) => [name, Value.fromTensor(tensor)] as const
          )
          const input = graph.inputs[0]!.name
          return Effect.map(
            session.run({ ...Object.fromEntries(fed), [input]: inputs[batch]! }),
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
  })

/** Calibration samples for tests: given inputs, run by ONNX Runtime. */
import { type Graph, Model, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import * as ort from "onnxruntime-node"
import type { Calibration } from "../src/index.ts"

const toOrt = ({ shape, data }: Tensor.Tensor) => new ort.Tensor("float32", data as Float32Array, [...shape])

export const calibrationOf = (inputs: ReadonlyArray<Tensor.Tensor>, batchSize: number): Calibration => ({
  batches: inputs.length,
  batchSize,
  open: (graph: Graph.Graph) =>
    Effect.map(
      Effect.promise(() =>
        ort.InferenceSession.create(Model.encode(graph), { graphOptimizationLevel: "disabled" })
      ),
      (session) => (batch, feeds) =>
        Effect.promise(async () => {
          const fed = [...(feeds ?? [])].map(([name, tensor]) => [name, toOrt(tensor)] as const)
          const input = { [graph.inputs[0]!.name]: toOrt(inputs[batch]!) }
          const results = await session.run({ ...input, ...Object.fromEntries(fed) })
          return new Map(
            Object.entries(results).map(([name, { data }]) => [name, Float64Array.from(data as Float32Array)])
          )
        })
    )
})

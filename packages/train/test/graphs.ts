/** Graphs run by ONNX Runtime, and float64 arithmetic to hold them against. */
import { type Graph, Model, Tensor } from "@bitbudget/graph"
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"

/** Results of a graph by name, as plain numbers. */
export const run = (
  graph: Graph.Graph,
  feeds: Readonly<Record<string, Tensor.Tensor>> = {}
): Promise<ReadonlyMap<string, ReadonlyArray<number>>> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const session = yield* Session.make(Model.encode(graph), { threads: 1, optimization: "disabled" })
        const inputs = Object.entries(feeds).map(
          ([name, tensor]) => [name, Value.fromTensor(tensor)] as const
        )
        const results = yield* session.run(Object.fromEntries(inputs))
        return new Map(Object.entries(results).map(([name, { data }]) => [name, Array.from(data, Number)]))
      })
    )
  )

/** Numbers that are no multiples of anything, the same ones for the same phase. */
export const wave = (length: number, phase: number, size = 1): Float32Array =>
  Float32Array.from({ length }, (_, i) => size * Math.sin(1.7 * i + phase) * (1 + (i % 3) / 2))

export const roundHalfEven = (x: number): number => {
  const floor = Math.floor(x)
  return x - floor === 0.5 ? floor + (Math.abs(floor) % 2) : Math.round(x)
}

/** Relative to the largest of the expected numbers. */
export const distance = (found: ReadonlyArray<number>, expected: ReadonlyArray<number>): number => {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY
  const largest = Math.max(1e-9, ...expected.map(Math.abs))
  return Math.max(0, ...found.map((x, i) => Math.abs(x - expected[i]!))) / largest
}

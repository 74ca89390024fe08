/**
 * Several outputs as one: each flattened and divided by its size on the samples, one after the other. The squared error of
 * that, against the float network's, is Σ w‖z − ẑ‖² / E‖z‖² over the outputs, the distortion that searches go by; gradients
 * reach the layers of every head.
 */
import { Dim, Graph, GraphBuilder, Model, Tensor } from "@bitbudget/graph"
import { type Data, Evaluate, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"

export interface Joint {
  readonly graph: Graph.Graph
  readonly notes: ReadonlyArray<string>
}

interface Options {
  readonly split: Data.Split
  readonly samples: number
  /** Of outputs, by name; 1 where absent. */
  readonly weights?: Readonly<Record<string, number>>
  readonly threads?: number
}

/** Mean over the samples of each output's sum of squares. */
const signalsOf = (
  graph: Graph.Graph,
  outputs: ReadonlyArray<string>,
  { split, samples, threads }: Options
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const session = yield* Session.make(Model.encode({ ...graph, outputs }), {
        name: graph.name,
        ...(threads === undefined ? {} : { threads })
      })
      const sums = new Map(outputs.map((name) => [name, 0]))
      yield* Evaluate.outputs(
        session,
        split,
        outputs,
        sums,
        (state, results) => {
          for (const name of outputs) {
            const { data } = results[name]!
            if (!Value.isNumeric(data)) continue
            let sum = 0
            for (const x of data) sum += x * x
            state.set(name, state.get(name)! + sum)
          }
          return state
        },
        { limit: samples, stage: "size of each output" }
      )
      return new Map([...sums].map(([name, sum]) => [name, sum / Math.min(samples, split.size)]))
    })
  )

/** The network with all of its outputs that have float rows of their own for every sample in one; as it is where it has one. */
export const joint = (graph: Graph.Graph, options: Options): Effect.Effect<Joint, Evaluate.Failure> =>
  Effect.gen(function* () {
    if (graph.outputs.length === 1) return { graph, notes: [] }
    const batch = graph.inputs[0]?.shape[0]
    /** Where the samples lie: first, but for states of recurrent cells. */
    const axisOf = (name: string): number =>
      batch === undefined ? -1 : Graph.shapeOf(graph, name).findIndex((dim) => Dim.sameDim(dim, batch))
    const judged = graph.outputs.filter(
      (name) =>
        Graph.valueOf(graph, name).dtype === "float32" &&
        axisOf(name) >= 0 &&
        (options.weights?.[name] ?? 1) > 0
    )
    const left = graph.outputs.filter((name) => !judged.includes(name))
    const notes = [
      `all outputs are judged together (${judged.join(", ")}): squared error against the float network's, each relative to its own square`,
      ...left.map((name) => `output ${name} has no float row a sample, or weight 0, and is left out`)
    ]
    if (judged.length === 0)
      return yield* new Evaluate.Mismatch({
        model: graph.name,
        file: options.split.file,
        problem: "none of the model's outputs has a float row a sample",
        mend: "Name an output with --output"
      })
    const signals = yield* signalsOf(graph, judged, options)
    const builder = GraphBuilder.from(graph)
    const widths = judged.map((name) =>
      Dim.elementsAt(Graph.shapeOf(graph, name).toSpliced(axisOf(name), 1), 1)
    )
    const total = widths.reduce((a, b) => a + b, 0)
    const parts = judged.map((name) => {
      const axis = axisOf(name)
      const others = Graph.shapeOf(graph, name)
        .map((_, i) => i)
        .toSpliced(axis, 1)
      const rows =
        axis === 0
          ? name
          : builder.add("Transpose", [name], { perm: [axis, ...others] }, { name: `${name}/rows` })
      const flat = builder.add("Flatten", [rows], { axis: 1 }, { name: `${name}/flat` })
      // The mean over all elements is what the loss takes; an output that is always 0 adds nothing.
      const signal = signals.get(name)!
      const factor = signal > 0 ? Math.sqrt(((options.weights?.[name] ?? 1) * total) / signal) : 0
      const scale = builder.constant(Tensor.scalar("float32", factor), `${name}/relative`)
      return builder.add("Mul", [flat, scale], {}, { name: `${name}/relative` })
    })
    const all =
      parts.length === 1 ? parts[0]! : builder.add("Concat", parts, { axis: 1 }, { name: "all outputs" })
    // Layers that lead only to what is left out stay, with zeros.
    return { graph: builder.finish([all, ...left]), notes }
  })

/**
 * Shapes that no table and no declaration tells: of the results of unknown operators. One run of the file in ONNX
 * Runtime shows them; a second one with twice the batch, which of their dimensions follow it.
 */
import { Dim, Model } from "@bitbudget/graph"
import type { Tensor } from "@bitbudget/graph"
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"

interface Seen {
  readonly dtype: Tensor.DType
  readonly shape: Dim.Shape
}

/** Each of these shows at most the unknown nodes that the last one let be reached. */
const MOST_RUNS = 8

/** Half ones for floats, zeros for everything else: valid tokens, indices and flags. */
const filled = (dtype: Value.DType, shape: ReadonlyArray<number>): Value.Value => {
  const data = Value.zeros(dtype, Dim.elements(shape))
  return Value.make(
    dtype,
    shape,
    data instanceof Float32Array || data instanceof Float64Array ? data.fill(0.5) : data
  )
}

/** What one run makes of the values; a dimension twice as large at batch 2 is a multiple of the batch. */
const observe = Effect.fn(function* (file: string, model: Model.Model) {
  const bytes = yield* Model.exposing(file, model.unshaped)
  const session = yield* Session.make(bytes, { name: file, threads: 1 })
  const shapes = new Map(model.graph.inputs.map(({ name, shape }) => [name, shape]))
  const run = (batch: number) => {
    const feeds = session.inputs.flatMap(({ name, dtype }) => {
      const shape = shapes.get(name)
      return shape !== undefined && Value.isDType(dtype)
        ? [[name, filled(dtype, Dim.shapeAt(shape, batch))] as const]
        : []
    })
    return session.run(Object.fromEntries(feeds), [...model.unshaped])
  }
  const once = yield* run(1)
  const isBatched = model.graph.inputs.some(({ shape }) => shape.some(Dim.isBatch))
  const twice = isBatched ? yield* run(2) : once
  return model.unshaped.map((name): readonly [string, Seen] => {
    const [one, two] = [once[name]!, twice[name]!]
    const shape = one.shape.map((dim, i) => (isBatched && two.shape[i] === 2 * dim ? Dim.batchDim(dim) : dim))
    return [name, { dtype: one.dtype, shape }]
  })
})

/** The model, with what a run shows where the file does not say it; as it is where it does not run. */
export const surveyModel = Effect.fn(function* (
  file: string,
  options: Model.ReadOptions = {}
): Effect.fn.Return<Model.Model, Model.MalformedModel | Model.ModelFileError> {
  const observed = new Map(options.observed)
  let model = yield* Model.survey(file, options)
  // What an open size would be, no run can show.
  if (model.graph.inputs.some(({ shape }) => Dim.shapeAt(shape, 1).some(Number.isNaN))) return model
  for (let runs = 0; runs < MOST_RUNS && model.unshaped.length > 0; runs++) {
    const seen = yield* Effect.scoped(observe(file, model)).pipe(
      Effect.catchTag("RuntimeFailure", () => Effect.succeed([]))
    )
    if (seen.length === 0) return model
    for (const [name, value] of seen) observed.set(name, value)
    model = yield* Model.survey(file, { ...options, observed })
  }
  return model
})

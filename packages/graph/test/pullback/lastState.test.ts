/** A cell whose whole sequence nobody reads: its first output has no name, and gradients come through its last state. */
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { expect, it } from "vitest"
import { Gradient, Graph, GraphBuilder, Model, Tensor } from "../../src/index.ts"

const wave = (...shape: ReadonlyArray<number>) =>
  Tensor.float32(
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1 + i) / 2)
  )

/** Σ h² over the last states of an RNN, and its gradient by the input; `name` is that of the whole sequence. */
const gradient = async (name: string): Promise<Float32Array> => {
  const builder = new GraphBuilder("last")
  const x = builder.input("x", "float32", [3, 2, 2])
  const [w, r] = [builder.constant(wave(1, 4, 2), "w"), builder.constant(wave(1, 4, 4), "r")]
  const attributes = { hidden: 4, direction: "forward", batchFirst: false } as const
  const unused = {
    activations: undefined,
    activationAlpha: undefined,
    activationBeta: undefined,
    clip: undefined
  }
  const outputs = [name, "h"]
  builder.push(Graph.node("RNN", "cell", [x, w, r], outputs, { ...attributes, ...unused }))
  const e = new Gradient.Algebra(builder, "test/")
  const loss = e.total(e.mul("h", "h"))
  const [found] = Gradient.reverse(e, new Map([[loss, e.number(1)]]), [x])
  const bytes = Model.encode(Gradient.lower(builder.finish([found!])))
  const input = Value.fromTensor(wave(3, 2, 2))
  const run = Effect.gen(function* () {
    const session = yield* Session.make(bytes)
    return (yield* session.run({ x: input }))[session.outputs[0]!.name]!.data as Float32Array
  })
  return Effect.runPromise(Effect.scoped(run))
}

it("has the gradient of the cell whose sequence has a name", async () => {
  const [silent, named] = [await gradient(""), await gradient("sequence")]
  expect(named.some((value) => Math.abs(value) > 1e-3)).toBe(true)
  expect([...silent]).toEqual([...named])
})

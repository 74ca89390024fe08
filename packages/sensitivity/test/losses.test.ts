/** The losses and their gradients in the network's output, against their formulas in float64. */
import { Dim, Gradient, GraphBuilder, Model } from "@bitbudget/graph"
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { expect, test } from "vitest"
import { random } from "./pullback/case.ts"

type Ints = ReadonlyArray<number>

const next = random(17)
const draw = (shape: Ints): Float32Array =>
  Float32Array.from({ length: Dim.elements(shape) }, () => 6 * next() - 3)

/** Losses [N] and their gradient in z, run by ONNX Runtime; `ending` is what the network does to its logits. */
const run = (
  kind: Gradient.LossKind,
  shape: Ints,
  z: Float32Array,
  target: Value.Value,
  labelShape: Ints = [],
  ending: "Identity" | "Softmax" = "Identity"
) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const builder = new GraphBuilder("loss")
        const input = builder.input("z", "float32", [Dim.batchDim(), ...shape.slice(1)])
        const logits = builder.add("Identity", [input], {})
        const output =
          ending === "Softmax" ? builder.add("Softmax", [logits], { axis: shape.length - 1 }) : logits
        const lossy = Gradient.withLoss(builder.finish([output]), kind, labelShape)
        const e = new Gradient.Algebra(
          GraphBuilder.from(Gradient.bindBatch(lossy.graph, shape[0]!)),
          "gradient/"
        )
        const [gradient] = Gradient.reverse(e, new Map([[e.total(lossy.losses), e.number(1)]]), [input])
        const session = yield* Session.make(Model.encode(e.builder.finish([lossy.losses, gradient!])))
        const results = yield* session.run({ z: Value.float32(shape, z), [lossy.target]: target })
        return [lossy.losses, gradient!].map((name) => Array.from(results[name]!.data as Float32Array))
      })
    )
  )

/** Softmax of `classes` numbers `inner` apart. */
const softmax = (z: Float32Array, start: number, classes: number, inner = 1): Array<number> => {
  const powers = Array.from({ length: classes }, (_, k) => Math.exp(z[start + k * inner]!))
  const sum = powers.reduce((a, b) => a + b)
  return powers.map((power) => power / sum)
}

const close = (found: ReadonlyArray<number> | undefined, wanted: ReadonlyArray<number>) => {
  expect(found?.length).toBe(wanted.length)
  found!.forEach((value, i) => expect(value).toBeCloseTo(wanted[i]!, 5))
}

test.each(["Identity", "Softmax"] as const)(
  "cross-entropy of logits behind %s: −log p_t, p − 1_t",
  async (ending) => {
    const [shape, labels] = [
      [4, 5],
      [3, 0, 4, 3]
    ]
    const z = draw(shape)
    const [losses, gradient] = await run(
      "crossEntropy",
      shape,
      z,
      Value.int64([4], BigInt64Array.from(labels, BigInt)),
      [],
      ending
    )
    const p = labels.map((_, n) => softmax(z, n * 5, 5))
    close(
      losses,
      labels.map((label, n) => -Math.log(p[n]![label]!))
    )
    close(
      gradient,
      labels.flatMap((label, n) => p[n]!.map((value, k) => value - (k === label ? 1 : 0)))
    )
  }
)

test("cross-entropy of every next token: the mean over a sample's tokens", async () => {
  const [shape, labels] = [
    [2, 3, 4],
    [1, 3, 0, 2, 2, 1]
  ]
  const z = draw(shape)
  const target = Value.int64([2, 3], BigInt64Array.from(labels, BigInt))
  const [losses, gradient] = await run("crossEntropy", shape, z, target, [3])
  const p = labels.map((_, row) => softmax(z, row * 4, 4))
  const each = labels.map((label, row) => -Math.log(p[row]![label]!))
  close(
    losses,
    [0, 3].map((row) => (each[row]! + each[row + 1]! + each[row + 2]!) / 3)
  )
  close(
    gradient,
    labels.flatMap((label, row) => p[row]!.map((value, k) => (value - (k === label ? 1 : 0)) / 3))
  )
})

test("cross-entropy of every pixel: classes on the channels", async () => {
  const [shape, labels] = [
    [1, 3, 1, 2],
    [2, 0]
  ]
  const z = draw(shape)
  const target = Value.int64([1, 1, 2], BigInt64Array.from(labels, BigInt))
  const [losses] = await run("crossEntropy", shape, z, target, [1, 2])
  const each = labels.map((label, pixel) => -Math.log(softmax(z, pixel, 3, 2)[label]!))
  close(losses, [(each[0]! + each[1]!) / 2])
})

test("mean squared error: mean of (z − t)², 2(z − t)/elements", async () => {
  const shape = [3, 2, 2]
  const [z, t] = [draw(shape), draw(shape)]
  const [losses, gradient] = await run("meanSquaredError", shape, z, Value.float32(shape, t))
  const errors = Array.from(z, (value, i) => value - t[i]!)
  close(
    losses,
    [0, 4, 8].map((start) => errors.slice(start, start + 4).reduce((sum, error) => sum + error ** 2, 0) / 4)
  )
  close(
    gradient,
    errors.map((error) => error / 2)
  )
})

test("divergence from other logits: Σ q·log(q/p), p − q", async () => {
  const shape = [3, 4]
  const [z, t] = [draw(shape), draw(shape)]
  const [losses, gradient] = await run("klDivergence", shape, z, Value.float32(shape, t))
  const rows = [0, 1, 2].map((n) => ({ p: softmax(z, n * 4, 4), q: softmax(t, n * 4, 4) }))
  close(
    losses,
    rows.map(({ p, q }) => q.reduce((sum, value, k) => sum + value * Math.log(value / p[k]!), 0))
  )
  close(
    gradient,
    rows.flatMap(({ p, q }) => p.map((value, k) => value - q[k]!))
  )
})

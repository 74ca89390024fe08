/** Hessian-vector products of random small networks: symmetric, and the differences of gradients. */
import type { Op } from "@bitbudget/graph"
import { Dim, Gradient, GraphBuilder, Model } from "@bitbudget/graph"
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as fc from "fast-check"
import { expect, test } from "vitest"
import { random } from "./case.ts"

const smooth = ["Sigmoid", "Tanh", "Softplus", "Sin"] as const satisfies ReadonlyArray<Op>

const blocks = fc.array(
  fc.record({
    kind: fc.constantFrom("plain", "depthwise", "residual", "pool", "norm"),
    activation: fc.constantFrom(...smooth, "Gelu"),
    kernel: fc.integer({ min: 1, max: 3 }),
    stride: fc.integer({ min: 1, max: 2 }),
    dilation: fc.integer({ min: 1, max: 2 }),
    before: fc.integer({ min: 0, max: 1 }),
    after: fc.integer({ min: 0, max: 2 })
  }),
  { minLength: 1, maxLength: 3 }
)

const plans = fc.record({
  blocks,
  head: fc.constantFrom("gemm", "attention"),
  seed: fc.integer({ min: 1, max: 2 ** 30 })
})

type Plan = typeof plans extends fc.Arbitrary<infer P> ? P : never

const SAMPLES = 2
const CLASSES = 3

/** Images through the blocks to logits, all weights being inputs. */
const network = ({ blocks, head }: Plan) => {
  const builder = new GraphBuilder("random")
  const e = new Gradient.Algebra(builder)
  const weights: Array<string> = []
  const weight = (...shape: ReadonlyArray<number>): string => {
    const name = builder.input(`w${weights.length}`, "float32", shape)
    weights.push(name)
    return name
  }
  const input = builder.input("x", "float32", [SAMPLES, 2, 6, 6])
  let x = input
  for (const { kind, activation, kernel, stride, dilation, before, after } of blocks) {
    const channels = e.shape(x)[1]!
    const side = Math.min(...e.shape(x).slice(2))
    const reach = dilation * (kernel - 1) + 1
    const window = { kernel: [kernel, kernel], strides: [stride, stride], dilations: [dilation, dilation] }
    const pads = reach > side + before + after ? [2, 2, 2, 2] : [before, after, after, before]
    const convolved = (from: string, groups: number, filters: number) =>
      e.apply("Conv", [from, weight(filters, channels / groups, kernel, kernel)], { ...window, pads, groups })
    const bent = (from: string) =>
      activation === "Gelu" ? e.apply("Gelu", [from], { approximate: "none" }) : e.unary(activation, from)
    if (kind === "plain") x = bent(convolved(x, 1, 4))
    if (kind === "depthwise") x = bent(convolved(x, channels, channels))
    if (kind === "residual") {
      const same = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], groups: 1 }
      x = e.add(x, bent(e.apply("Conv", [x, weight(channels, channels, 3, 3)], same)))
    }
    if (kind === "pool" && side >= 2) {
      const pool = { kernel: [2, 2], strides: [2, 2], dilations: [1, 1], pads: [0, 0, 0, 0], ceilMode: true }
      x = e.apply("AveragePool", [bent(x)], { ...pool, countIncludePad: false })
    }
    if (kind === "norm")
      x = e.apply("InstanceNormalization", [x, weight(channels), weight(channels)], { epsilon: 0.5 })
  }
  const [, channels, height, width] = e.shape(x) as [number, number, number, number]
  const flat = { alpha: 1, beta: 1, transA: false, transB: true }
  if (head === "gemm") {
    const features = e.apply("Flatten", [x], { axis: 1 })
    return {
      builder,
      input,
      weights,
      logits: e.apply("Gemm", [features, weight(CLASSES, channels * height * width)], flat)
    }
  }
  const tokens = e.transpose(e.reshape(x, [SAMPLES, channels, height * width]), [0, 2, 1])
  const normal = e.apply("LayerNormalization", [tokens, weight(channels), weight(channels)], {
    axis: 2,
    epsilon: 0.5
  })
  const [q, k, v] = [weight(channels, 3), weight(channels, 3), weight(channels, 4)].map((w) =>
    e.matmul(normal, w)
  )
  const scores = e.apply("Softmax", [e.scale(0.6, e.matmul(q!, e.transposeLast(k!)))], { axis: 2 })
  const pooled = e.mean(e.matmul(scores, v!), [1])
  return { builder, input, weights, logits: e.matmul(pooled, weight(4, CLASSES)) }
}

const products = (plan: Plan) => {
  const { builder, input, weights, logits } = network(plan)
  const lossy = Gradient.withLoss(builder.finish([logits]), "crossEntropy")
  const whole = GraphBuilder.from(lossy.graph)
  const e = new Gradient.Algebra(whole, "second/")
  const directions = weights.map((name) => whole.input(`v/${name}`, "float32", e.shape(name)))
  const unit = e.number(1)
  const gradients = Gradient.reverse(e, new Map([[e.total(lossy.losses), unit]]), weights)
  const along = gradients.map((g, i) => e.total(e.mul(g, directions[i]!))).reduce((a, b) => e.add(a, b))
  const seconds = Gradient.reverse(e, new Map([[along, unit]]), weights)
  const bytes = Model.encode(Gradient.lower(whole.finish([...gradients, ...seconds])))
  const shapes = weights.map((name) => e.shape(name))
  return { bytes, input, target: lossy.target, weights, directions, gradients, seconds, shapes }
}

type Lists = ReadonlyArray<ArrayLike<number>>

const dot = (a: Lists, b: Lists): number =>
  a.reduce((sum, x, i) => sum + Array.from(x).reduce((s, value, j) => s + value * b[i]![j]!, 0), 0)

const compare = (plan: Plan) =>
  Effect.scoped(
    Effect.gen(function* () {
      const made = products(plan)
      const next = random(plan.seed)
      const draw = (shape: ReadonlyArray<number>, size = 1) =>
        Float32Array.from({ length: Dim.elements(shape) }, () => size * (2 * next() - 1))
      const session = yield* Session.make(made.bytes)
      const x = Value.float32([SAMPLES, 2, 6, 6], draw([SAMPLES, 2, 6, 6]))
      const target = Value.int64([SAMPLES], BigInt64Array.of(0n, 2n))
      const [w, u, v] = [0.8, 1, 1].map((size) => made.shapes.map((shape) => draw(shape, size)))
      const run = (t: number, direction: ReadonlyArray<Float32Array>) =>
        Effect.gen(function* () {
          const feeds = made.shapes.flatMap((shape, i) => [
            [
              made.weights[i]!,
              Value.float32(
                shape,
                w![i]!.map((value, j) => value + t * u![i]![j]!)
              )
            ] as const,
            [made.directions[i]!, Value.float32(shape, direction[i]!)] as const
          ])
          const results = yield* session.run({
            [made.input]: x,
            [made.target]: target,
            ...Object.fromEntries(feeds)
          })
          const lists = (names: ReadonlyArray<string>) =>
            names.map((name) => results[name]!.data as Float32Array)
          return { gradient: lists(made.gradients), product: lists(made.seconds) }
        })
      const [hv, hu] = [yield* run(0, v!), yield* run(0, u!)]
      const slope = (h: number) =>
        Effect.gen(function* () {
          return (dot((yield* run(h, v!)).gradient, v!) - dot((yield* run(-h, v!)).gradient, v!)) / (2 * h)
        })
      const h = 1 / 64
      const [wide, narrow] = [yield* slope(h), yield* slope(h / 2)]
      return {
        uHv: dot(hv.product, u!),
        vHu: dot(hu.product, v!),
        difference: (4 * narrow - wide) / 3,
        size: Math.sqrt(dot(hv.product, hv.product)),
        length: Math.sqrt(dot(u!, u!))
      }
    })
  )

test("u·Hv = v·Hu = the gradient's difference", async () => {
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      const { uHv, vHu, difference, size, length } = await Effect.runPromise(compare(plan))
      expect(Math.abs(uHv - vHu)).toBeLessThan(1e-5 * size * length + 1e-6)
      expect(Math.abs(uHv - difference)).toBeLessThan(2e-3 * size * length + 1e-4)
    }),
    { seed: 9, numRuns: 30 }
  )
})

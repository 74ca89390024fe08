/**
 * The gradient of a whole rounded network, as a training step computes it, against float64: forward and backward pass of
 * gemm → relu → gemm with LSQ written out by hand, for every weight, bias and scale.
 */
import { Dim, Gradient, type Graph, GraphBuilder, Tensor } from "@bitbudget/graph"
import { Choice, PlanFile, QuantizedNetwork, type Ranges } from "@bitbudget/quant"
import * as fc from "fast-check"
import { expect, it } from "vitest"
import * as Augment from "../src/Augment.ts"
import * as Optimizer from "../src/Optimizer.ts"
import * as Parameter from "../src/Parameter.ts"
import * as Step from "../src/Step.ts"
import * as Trainable from "../src/Trainable.ts"
import { distance, roundHalfEven, run, wave } from "./graphs.ts"

type Numbers = ReadonlyArray<number>

interface Sizes {
  readonly batch: number
  readonly inputs: number
  readonly hidden: number
  readonly outputs: number
}

const network = ({ inputs, hidden, outputs }: Sizes, phase: number): Graph.Graph => {
  const b = new GraphBuilder("two products")
  const x = b.input("x", "float32", [Dim.batchDim(), inputs])
  const gemm = { alpha: 1, beta: 1, transA: false, transB: true }
  const constant = (name: string, shape: Numbers, own: number, size: number) =>
    b.constant(Tensor.float32(shape, wave(Dim.elements(shape), own + phase, size)), name)
  const a = [x, constant("a.w", [hidden, inputs], 1, 0.5), constant("a.b", [hidden], 2, 0.1)]
  const relu = b.add("Relu", [b.add("Gemm", a, gemm, { name: "a" })], {}, { name: "relu" })
  const last = [relu, constant("b.w", [outputs, hidden], 3, 0.5), constant("b.b", [outputs], 4, 0.1)]
  return b.finish([b.add("Gemm", last, gemm, { name: "b" })])
}

/** One number rounded to codes of a scale: its value and code, and what LSQ takes from it. */
const rounded = (x: number, scale: number, low: number, high: number) => {
  const v = Math.fround(x / scale)
  const inside = v >= low && v <= high
  const q = roundHalfEven(Math.min(high, Math.max(low, v)))
  return { value: q * scale, inside, slope: inside ? q - v : q }
}

/** Sums of products over the middle index: a [n,k] by b [m,k] transposed. */
const product = (a: Numbers, b: Numbers, n: number, m: number, k: number): Array<number> =>
  Array.from({ length: n * m }, (_, at) => {
    const [i, j] = [Math.floor(at / m), at % m]
    let sum = 0
    for (let t = 0; t < k; t++) sum += a[i * k + t]! * b[j * k + t]!
    return sum
  })

/** a [columns, rows] as [rows, columns]. */
const transposed = (a: Numbers, rows: number, columns: number): Array<number> =>
  Array.from({ length: rows * columns }, (_, at) => a[(at % columns) * rows + Math.floor(at / columns)]!)

const columnSums = (a: Numbers, columns: number): Array<number> =>
  Array.from({ length: columns }, (_, j) => a.reduce((sum, x, i) => sum + (i % columns === j ? x : 0), 0))

const WEIGHT_BITS = 3
const ACTIVATION_BITS = 4
const [LOW, HIGH] = [-(2 ** (WEIGHT_BITS - 1)), 2 ** (WEIGHT_BITS - 1) - 1]
const TOP = 2 ** ACTIVATION_BITS - 1

/** Gradients by parameter name, in float64. `p` gives the parameters' values. */
const expected = (
  { batch, inputs, hidden, outputs }: Sizes,
  p: (name: string) => Numbers,
  x: Numbers,
  target: Numbers,
  zeroPoint: number
): ReadonlyMap<string, Numbers> => {
  const weights = (name: string, reduction: number) =>
    p(`${name}/latent`).map((w, i) => rounded(w, p(`${name}/scale`)[Math.floor(i / reduction)]!, LOW, HIGH))
  const [first, second] = [weights("a.w", inputs), weights("b.w", hidden)]
  const values = (all: ReadonlyArray<{ readonly value: number }>) => all.map(({ value }) => value)
  const bias = (sums: Numbers, b: Numbers) => sums.map((sum, i) => sum + b[i % b.length]!)
  const [s0, s1] = [p("x/a4/scale")[0]!, p("relu/a4/scale")[0]!]
  const read = x.map((each) => rounded(each, s0, -zeroPoint, TOP - zeroPoint))
  const h = bias(product(values(read), values(first), batch, hidden, inputs), p("a.b"))
  const between = h.map((each) => rounded(each, s1, 0, TOP))
  const y = bias(product(values(between), values(second), batch, outputs, hidden), p("b.b"))
  const dy = y.map((each, i) => (2 * (each - target[i]!)) / (batch * outputs))
  const dBetween = product(dy, transposed(values(second), hidden, outputs), batch, hidden, outputs)
  const dh = dBetween.map((g, i) => (between[i]!.inside ? g : 0))
  const dRead = product(dh, transposed(values(first), inputs, hidden), batch, inputs, hidden)
  const weightGradients = (g: Numbers, read: Numbers, name: string, m: number, k: number) => {
    const all = name === "a.w" ? first : second
    const whole = product(transposed(g, m, batch), transposed(read, k, batch), m, k, batch)
    const factor = 1 / Math.sqrt(k * HIGH)
    const scales = Array.from({ length: m }, (_, j) =>
      whole.reduce((sum, d, i) => sum + (Math.floor(i / k) === j ? factor * d * all[i]!.slope : 0), 0)
    )
    return [
      [`${name}/latent`, whole.map((d, i) => (all[i]!.inside ? d : 0))],
      [`${name}/scale`, scales]
    ] as const
  }
  const activation = (g: Numbers, all: typeof read, features: number, high: number) => [
    g.reduce((sum, d, i) => sum + d * all[i]!.slope, 0) / Math.sqrt(features * high)
  ]
  return new Map<string, Numbers>([
    ...weightGradients(dh, values(read), "a.w", hidden, inputs),
    ...weightGradients(dy, values(between), "b.w", outputs, hidden),
    ["a.b", columnSums(dh, hidden)],
    ["b.b", columnSums(dy, outputs)],
    ["x/a4/scale", activation(dRead, read, inputs, TOP - zeroPoint)],
    ["relu/a4/scale", activation(dBetween, between, hidden, TOP)]
  ])
}

it("a step's gradient is that of the same estimators in float64", async () => {
  const size = fc.integer({ min: 1, max: 6 })
  await fc.assert(
    fc.asyncProperty(
      fc.record({ batch: size, inputs: size, hidden: size, outputs: size }),
      fc.integer({ min: 0, max: 100 }),
      async (sizes, seed) => {
        const graph = network(sizes, seed / 13)
        const choices = PlanFile.uniform(graph, Choice.wa(WEIGHT_BITS, ACTIVATION_BITS))
        const ranges: Ranges.Ranges = new Map([
          ["x", { low: -1, high: 1.1 }],
          ["relu", { low: 0, high: 1.3 }]
        ])
        const start = QuantizedNetwork.plain(graph, choices, ranges)
        const estimators = { weights: "lsq", activations: "lsq", frozen: new Set<string>() } as const
        const trainable = Trainable.make(start, sizes.batch, estimators)
        const graphs = Step.make(
          trainable,
          Gradient.bindBatch(graph, sizes.batch),
          {
            distillation: 0,
            temperature: 1,
            task: { kind: "meanSquaredError", labelShape: [sizes.outputs] },
            compared: []
          },
          Augment.noAugmentation,
          // The first step's memory is the gradient itself.
          {
            ...Optimizer.usual,
            optimizer: "sgd",
            weightDecay: 0,
            clipNorm: undefined,
            scaleRates: { weights: 1, activations: 10 }
          }
        )
        const x = wave(sizes.batch * sizes.inputs, seed)
        const target = wave(sizes.batch * sizes.outputs, seed + 0.5)
        const vector = (data: Float32Array) => Tensor.float32([data.length], data)
        const results = await run(graphs.step, {
          x: Tensor.float32([sizes.batch, sizes.inputs], x),
          [graphs.target!]: Tensor.float32([sizes.batch, sizes.outputs], target),
          [Step.names.parameters]: vector(graphs.initial),
          [Step.names.mean]: vector(graphs.initial.map(() => 0)),
          [Step.names.rate]: Tensor.scalar("float32", 0),
          [Step.names.corrections]: Tensor.float32([2], [1, 1])
        })
        const found = Parameter.apart(Float32Array.from(results.get(graphs.next[1]!)!), graphs.places)
        const values = Parameter.apart(graphs.initial, graphs.places)
        const zeroPoint = roundHalfEven(Math.fround(1 / Math.fround(2.1 / TOP)))
        const reference = expected(
          sizes,
          (name) => Array.from(values.get(name)!),
          Array.from(x),
          Array.from(target),
          zeroPoint
        )
        expect([...found.keys()].toSorted()).toEqual([...reference.keys()].toSorted())
        const whole = (map: ReadonlyMap<string, ArrayLike<number>>) =>
          [...reference.keys()].flatMap((name) => Array.from(map.get(name)!))
        expect(distance(whole(found), whole(reference))).toBeLessThan(1e-5)
      }
    ),
    { numRuns: 25, seed: 4 }
  )
})

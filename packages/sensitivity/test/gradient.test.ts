/** Every pullback against central differences, run by ONNX Runtime: d/dt Σ r·f(x + t·u) = ⟨gradient, u⟩. */
import type { Attributes, Op } from "@bitbudget/graph"
import { Dim, Gradient, GraphBuilder, Model, Tensor } from "@bitbudget/graph"
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { expect, test } from "vitest"

const random = (seed: number) => {
  let state = seed
  return () => (state = (state * 48271) % 2147483647) / 2147483647
}

interface Case {
  readonly op: Op
  readonly shapes: ReadonlyArray<ReadonlyArray<number>>
  readonly attributes: Attributes[Op]
  /** Inputs are drawn from [low, high]. */
  readonly range?: readonly [number, number]
}

const row = <K extends Op>(
  op: K,
  shapes: Case["shapes"],
  attributes: Attributes[K],
  range?: readonly [number, number]
): Case => ({ op, shapes, attributes, ...(range === undefined ? {} : { range }) })

const window = (kernel: number, stride = 1, dilation = 1, pads = [0, 0, 0, 0]) => ({
  kernel: [kernel, kernel],
  strides: [stride, stride],
  dilations: [dilation, dilation],
  pads
})
const positive = [0.5, 2] as const
const gemm = { alpha: 0.7, beta: 1.3, transA: false, transB: false }

const cases: ReadonlyArray<Case> = [
  ...(
    ["Abs", "Cos", "Erf", "Exp", "HardSwish", "Neg", "Relu", "Sigmoid", "Sin", "Softplus", "Tanh"] as const
  ).map((op) => row(op, [[2, 5]], {})),
  ...(["Log", "Reciprocal", "Sqrt"] as const).map((op) => row(op, [[2, 5]], {}, positive)),
  ...(["Add", "Sub", "Mul", "Max", "Min", "PRelu"] as const).map((op) =>
    row(
      op,
      [
        [2, 3, 4],
        [3, 1]
      ],
      {}
    )
  ),
  ...(["Div", "Pow"] as const).map((op) => row(op, [[2, 3, 4], [4]], {}, positive)),
  row("Clip", [[3, 7]], { min: -0.5, max: 0.6 }),
  row("Elu", [[9]], { alpha: 1.2 }),
  row("Gelu", [[9]], { approximate: "none" }),
  row("Gelu", [[9]], { approximate: "tanh" }),
  row("HardSigmoid", [[9]], { alpha: 0.6, beta: 0.5 }),
  row("LeakyRelu", [[9]], { alpha: 0.1 }),
  row("Conv", [[2, 4, 6, 5], [6, 2, 3, 3], [6]], { ...window(3, 2, 1, [1, 0, 0, 1]), groups: 2 }),
  row(
    "Conv",
    [
      [2, 3, 7, 7],
      [3, 1, 3, 3]
    ],
    { ...window(3, 1, 2, [2, 2, 2, 2]), groups: 3 }
  ),
  row(
    "ConvTranspose",
    [
      [2, 4, 3, 3],
      [4, 2, 3, 3]
    ],
    {
      ...window(3, 2, 1, [1, 1, 1, 1]),
      groups: 2,
      outputPadding: [1, 0]
    }
  ),
  row("Gemm", [[3, 4], [4, 2], [2]], gemm),
  row(
    "Gemm",
    [
      [4, 3],
      [2, 4]
    ],
    { ...gemm, transA: true, transB: true }
  ),
  row(
    "MatMul",
    [
      [2, 3, 4],
      [4, 5]
    ],
    {}
  ),
  row(
    "MatMul",
    [
      [2, 1, 3, 4],
      [5, 4, 2]
    ],
    {}
  ),
  row("MatMul", [[4], [3, 4, 2]], {}),
  row("BatchNormalization", [[2, 3, 4], [3], [3], [3], [3]], { epsilon: 0.01 }, positive),
  row("LayerNormalization", [[2, 3, 8], [8], [8]], { axis: 2, epsilon: 0.01 }),
  row("InstanceNormalization", [[2, 3, 4, 4], [3], [3]], { epsilon: 0.01 }),
  row("LRN", [[2, 6, 3, 3]], { size: 3, alpha: 0.5, beta: 0.75, bias: 1 }),
  row("Softmax", [[2, 5, 3]], { axis: 1 }),
  row("LogSoftmax", [[2, 5]], { axis: 1 }),
  row("MaxPool", [[2, 2, 7, 6]], { ...window(3, 2, 1, [1, 1, 1, 1]), ceilMode: false }),
  row("AveragePool", [[2, 2, 7, 6]], {
    ...window(3, 2, 1, [1, 1, 1, 1]),
    ceilMode: false,
    countIncludePad: false
  }),
  row("GlobalAveragePool", [[2, 2, 3, 3]], {}),
  row("GlobalMaxPool", [[2, 2, 3, 3]], {}),
  row("Resize", [[1, 2, 3, 4]], {
    mode: "linear",
    coordinates: "half_pixel",
    nearestMode: "round_prefer_floor",
    cubicCoefficient: -0.75,
    excludeOutside: false,
    antialias: false,
    scales: [1, 1, 2, 2],
    sizes: undefined
  }),
  row("ReduceSum", [[2, 3, 4]], { axes: [1], keepDims: false }),
  row("ReduceMean", [[2, 3, 4]], { axes: [0, 2], keepDims: true }),
  row("ReduceMax", [[2, 3, 4]], { axes: [2], keepDims: false }),
  row("ReduceSumSquare", [[2, 3]], { axes: [1], keepDims: false }),
  row("ReduceL2", [[2, 3]], { axes: [1], keepDims: false }, positive),
  row(
    "Concat",
    [
      [2, 3],
      [2, 4]
    ],
    { axis: 1 }
  ),
  row("Slice", [[5, 7]], { starts: [1, -1], ends: [5, -8], axes: [0, 1], steps: [2, -2] }),
  row("Pad", [[2, 3]], { pads: [1, 0, 0, 2], mode: "constant", value: 0 }),
  row("Reshape", [[2, 6]], { shape: [3, 4] }),
  row("Flatten", [[2, 3, 2]], { axis: 1 }),
  row("Transpose", [[2, 3, 4]], { perm: [2, 0, 1] }),
  row("Expand", [[3, 1]], { shape: [2, 3, 4] }),
  row("Tile", [[2, 3]], { repeats: [2, 3] }),
  row("DepthToSpace", [[1, 8, 2, 3]], { blockSize: 2, mode: "CRD" }),
  row("ReduceMin", [[2, 3, 4]], { axes: [1], keepDims: true }),
  row("ReduceProd", [[2, 3]], { axes: [1], keepDims: false }, positive),
  row("Identity", [[3]], {}),
  row("Squeeze", [[2, 1, 3]], { axes: [1] }),
  row("Unsqueeze", [[2, 3]], { axes: [0] }),
  row("SpaceToDepth", [[1, 2, 4, 6]], { blockSize: 2 })
]

/** Σ r·f(x) and the gradient's product with u, in one graph. */
const check = ({ op, shapes, attributes, range = [-1, 1] }: Case, seed: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const next = random(seed)
      const draw = (shape: ReadonlyArray<number>, [low, high]: readonly [number, number]) =>
        Float32Array.from({ length: Dim.elements(shape) }, () => low + (high - low) * next())
      /** Values a fixed distance apart in random order: no two so close that a step crosses a kink. */
      const apart = (shape: ReadonlyArray<number>, [low, high]: readonly [number, number]) => {
        const n = Dim.elements(shape)
        const order = Array.from({ length: n }, (_, i) => ({ i, key: next() })).sort((a, b) => a.key - b.key)
        return Float32Array.from(order, ({ i }) => low + ((high - low) * (i + 0.37)) / n)
      }
      const builder = new GraphBuilder("case")
      const inputs = shapes.map((shape, i) => builder.input(`x${i}`, "float32", shape))
      const e = new Gradient.Algebra(builder)
      const y = e.apply(op, inputs, attributes)
      const r = e.constant(Tensor.float32(e.shape(y), draw(e.shape(y), [-1, 1])))
      const value = e.total(e.mul(y, r))
      const gradients = Gradient.reverse(e, new Map([[value, e.number(1)]]), inputs)
      const session = yield* Session.make(Model.encode(Gradient.lower(builder.finish([value, ...gradients]))))
      const x = shapes.map((shape) => apart(shape, range))
      const u = shapes.map((shape) => draw(shape, [-1, 1]))
      const run = (t: number) =>
        session.run(
          Object.fromEntries(
            inputs.map((name, i) => [
              name,
              Value.float32(
                shapes[i]!,
                x[i]!.map((a, j) => a + t * u[i]![j]!)
              )
            ])
          )
        )
      const h = 1 / 512
      const [high, low, here] = [yield* run(h), yield* run(-h), yield* run(0)]
      const difference = (Number(high[value]!.data[0]) - Number(low[value]!.data[0])) / (2 * h)
      const product = gradients.reduce(
        (sum, name, i) => sum + u[i]!.reduce((s, a, j) => s + a * Number(here[name]!.data[j]), 0),
        0
      )
      return { difference, product }
    })
  )

test.each(cases.map((each) => [each.op, each] as const))("%s", async (_, each) => {
  for (const seed of [1, 22, 333]) {
    const { difference, product } = await Effect.runPromise(check(each, seed * 1000))
    expect(Math.abs(difference - product), `seed ${seed}: ${difference} and ${product}`).toBeLessThan(
      0.01 * (1 + Math.abs(difference))
    )
  }
})

/** H·v of Σ losses with respect to the two weights, by the pass applied to its own output. */
const hessianVector = () => {
  const builder = new GraphBuilder("net")
  const x = builder.input("x", "float32", [2, 1, 5, 5])
  const shapes = [
    [4, 1, 3, 3],
    [3, 36]
  ]
  const weights = shapes.map((shape, i) => builder.input(`w${i}`, "float32", shape))
  const vectors = shapes.map((shape, i) => builder.input(`v${i}`, "float32", shape))
  const e = new Gradient.Algebra(builder)
  const hidden = e.unary("Sigmoid", e.apply("Conv", [x, weights[0]!], { ...window(3), groups: 1 }))
  const flat = e.apply("Flatten", [hidden], { axis: 1 })
  const z = e.apply("Gemm", [flat, weights[1]!], { alpha: 1, beta: 1, transA: false, transB: true })
  const loss = e.total(e.square(e.apply("LogSoftmax", [z], { axis: 1 })))
  const one = e.number(1)
  const gradients = Gradient.reverse(e, new Map([[loss, one]]), weights)
  const along = gradients.map((g, i) => e.total(e.mul(g, vectors[i]!))).reduce((a, b) => e.add(a, b))
  const products = Gradient.reverse(e, new Map([[along, one]]), weights)
  return {
    bytes: Model.encode(Gradient.lower(builder.finish([...gradients, ...products]))),
    gradients,
    products,
    shapes
  }
}

test("Hessian-vector products are symmetric, and the differences of gradients", async () => {
  const { symmetric, difference } = await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const { bytes, gradients, products, shapes } = hessianVector()
        const session = yield* Session.make(bytes)
        const next = random(7)
        const draw = (shape: ReadonlyArray<number>) =>
          Value.float32(
            shape,
            Float32Array.from({ length: Dim.elements(shape) }, () => 2 * next() - 1)
          )
        const x = draw([2, 1, 5, 5])
        const [w, u, v] = [shapes.map(draw), shapes.map(draw), shapes.map(draw)]
        const moved = (t: number) =>
          w.map((value, i) =>
            Value.float32(
              value.shape,
              Float32Array.from(
                { length: value.data.length },
                (_, j) => Number(value.data[j]) + t * Number(v[i]!.data[j])
              )
            )
          )
        const run = (weights: ReadonlyArray<Value.Value>, vectors: ReadonlyArray<Value.Value>) =>
          session.run({ x, w0: weights[0]!, w1: weights[1]!, v0: vectors[0]!, v1: vectors[1]! })
        const dot = (
          results: Readonly<Record<string, Value.Value>>,
          names: ReadonlyArray<string>,
          with_: typeof u
        ) =>
          names.reduce(
            (sum, name, i) =>
              sum +
              Array.from(
                { length: with_[i]!.data.length },
                (_, j) => Number(with_[i]!.data[j]) * Number(results[name]!.data[j])
              ).reduce((a, b) => a + b, 0),
            0
          )
        const [hv, hu] = [yield* run(w, v), yield* run(w, u)]
        const h = 1 / 256
        const [high, low] = [yield* run(moved(h), v), yield* run(moved(-h), v)]
        return {
          symmetric: [dot(hv, products, u), dot(hu, products, v)] as const,
          difference: (dot(high, gradients, u) - dot(low, gradients, u)) / (2 * h)
        }
      })
    )
  )
  expect(Math.abs(symmetric[0] / symmetric[1] - 1)).toBeLessThan(1e-3)
  expect(Math.abs(difference / symmetric[0] - 1)).toBeLessThan(1e-2)
})
